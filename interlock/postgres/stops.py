"""Stopping from outside, as rows: what nobody works on is cancelled at once, whoever runs the rest is ordered to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from interlock.core.queueing import StopKind
from interlock.errors import DatabaseUnavailable, ThreadBusy
from interlock.postgres import locks, workers
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("stops")

How = Literal["cancelled", "ordered", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What became of a wish to stop a run.

    Attributes:
        run_id: the run that is stopped: the one that was named, or what goes on with it.
        how: `cancelled` at once; `ordered` of whoever runs it; it had `ended` before.
    """

    run_id: str
    how: How


async def stop(
    connection: Connection, run_id: str, kind: StopKind, reason: str = "", by: str = ""
) -> Stopped:
    """Stop a run, or what goes on with it, in the caller's transaction; everybody is told when that is committed."""
    values = {"run_id": run_id, "kind": kind, "reason": clean(reason), "who": clean(by)}
    return Stopped(**(await fetch(connection, SQL["stop"], values))[0])


class StopStore:
    """Stops runs, and carries out what was ordered of processes that are gone."""

    def __init__(self, pool: Pool, thread_locks: ThreadLocks) -> None:
        self._pool = pool
        self._locks = thread_locks

    async def stop(self, run_id: str, kind: StopKind, reason: str = "", by: str = "") -> Stopped:
        """Stop a run, or what goes on with it."""
        async with connected(self._pool) as connection, connection.transaction():
            return await stop(connection, run_id, kind, reason, by)

    async def carry_out(self) -> None:
        """Cancel what is to be stopped and has lost its process; a worker that is gone is taken over for that."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["standing_orders"], {})
            for worker in {row["worker_id"] for row in rows if row["worker_id"]}:
                await _take_over(connection, worker)
        attended = [row for row in rows if not row["worker_id"]]
        alive = await locks.held(self._pool, [row["thread_id"] for row in attended])
        for row in attended:
            if row["thread_id"] not in alive:
                await self._cancel(row["run_id"], row["thread_id"])

    async def _cancel(self, run_id: str, thread_id: str) -> None:
        with suppress(ThreadBusy):  # somebody works on it again
            async with self._locks.hold(thread_id), connected(self._pool) as connection:
                await fetch(connection, SQL["carry_out"], {"run_id": run_id})


async def _take_over(connection: Connection, worker: str) -> None:
    """Take the runs of a worker from it if it does not live any more: what is to be stopped of them is cancelled."""
    with suppress(DatabaseUnavailable):  # a frozen worker holds its row: others end its session
        async with connection.transaction():
            if await workers.hold(connection, worker) is None:
                return
            with suppress(DatabaseUnavailable):  # this role may not end that one's sessions
                await workers.cut(connection, worker)
            await workers.take_over(connection, worker, charge=False)
