"""Stopping from outside, as rows: what nobody works on is cancelled at once, whoever runs the rest is ordered to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from interlock.core.queueing import StopKind
from interlock.errors import ThreadBusy
from interlock.postgres import locks
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

    async def carry_out(self) -> list[str]:
        """Cancel what is to be stopped and has lost its process, and return which runs.

        What a worker has is left to workers: they take it over, and whoever claims it then sees the order.
        """
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["standing_orders"], {})
        alive = await locks.held(self._pool, [row["thread_id"] for row in rows])
        lost = [row for row in rows if row["thread_id"] not in alive]
        return [row["run_id"] for row in lost if await self._cancelled(**row)]

    async def _cancelled(self, run_id: str, thread_id: str) -> bool:
        try:
            async with self._locks.hold(thread_id), connected(self._pool) as connection:
                rows = await fetch(connection, SQL["carry_out"], {"run_id": run_id})
        except ThreadBusy:
            return False  # somebody works on it again
        return bool(rows[0]["cancelled"])
