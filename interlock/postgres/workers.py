"""Workers as rows: registered, alive for as long as they say so, and removed by whoever finds them gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from interlock.core.queueing import LEASE_SECONDS, MAX_CRASHES
from interlock.errors import DatabaseUnavailable
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

CONCURRENCY = 16
"""Runs of one worker at once: they mostly wait for models; their steps share one core and one connection to save on."""

SQL = load("workers")
QUEUE = load("queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker takes on.

    Attributes:
        concurrency: how many runs at once.
        graphs: by name; None for all that the application has.
        tenants: None for all.
        lease: seconds after its last heartbeat for which it counts as alive.
    """

    concurrency: int = CONCURRENCY
    graphs: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    lease: float = LEASE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A worker that does not live any more, and how that was noticed."""

    worker_id: str
    process: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A run whose worker is gone: queued again, or dead because it took its worker with it too often."""

    run_id: str
    thread_id: str
    crashes: int
    is_dead: bool


async def register(locks: ThreadLocks, plan: Plan, process: str) -> str:
    """Begin to work under the name of the session that holds this process's threads, and return the name."""
    name = await locks.owner()
    async with locks.session(name) as connection:
        await execute(connection, QUEUE["plan_once"], {})
        values = {
            "worker": name,
            "process": process,
            "backend": connection.info.backend_pid,
            "concurrency": plan.concurrency,
            "graphs": _listed(plan.graphs),
            "tenants": _listed(plan.tenants),
            "lease": plan.lease,
        }
        await execute(connection, SQL["register"], values)
        locks.worker = name
    return name


async def beat(connection: Connection, worker: str, lease: float, state: str) -> bool:
    """Say that a worker lives; False when it was removed."""
    values = {"worker": worker, "lease": lease, "state": state}
    return bool(await fetch(connection, SQL["beat"], values))


async def gone(connection: Connection) -> list[Gone]:
    """Return the workers whose lock has fallen or whose lease is over."""
    return [Gone(**row) for row in await fetch(connection, SQL["gone"], {})]


async def hold(
    connection: Connection, worker: str, *, anyway: bool = False
) -> Mapping[str, Any] | None:
    """Hold the row of a worker that is gone, to the end of the transaction; None when it was removed, or it lives.

    What a flush of that worker is at is waited for, but not for long.
    """
    await execute(connection, SQL["patience"], {})
    rows = await fetch(connection, SQL["hold"], {"worker": worker, "anyway": anyway})
    return rows[0] if rows else None


async def cut(connection: Connection, worker: str) -> None:
    """End the sessions that hold a worker's locks; raises `DatabaseUnavailable` where the role may not."""
    try:
        async with connection.transaction():
            await fetch(connection, SQL["cut"], {"worker": worker})
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnavailable(
            f"The connection of worker {worker[:8]} cannot be ended, so its threads stay held.",
            hint="Let all workers use one role, or grant them pg_signal_backend.",
        ) from error


async def take_over(
    connection: Connection, worker: str, *, charge: bool, most_crashes: int = MAX_CRASHES
) -> list[Lost]:
    """Remove a worker whose row is held, and return the runs that it had."""
    values = {"worker": worker, "charge": charge, "most_crashes": most_crashes}
    return [Lost(**row) for row in await fetch(connection, SQL["take_over"], values)]


async def end_idle_blockers(connection: Connection, pid: int) -> int:
    """End the sessions that another waits for, whose client has gone silent in a transaction; return how many."""
    return len(await fetch(connection, SQL["end_idle_blockers"], {"pid": pid}))


async def reclaim(pool: Pool, thread_id: str) -> None:
    """Take a thread's run from a worker that does not live any more, for somebody who resumes it himself."""
    async with connected(pool) as connection:
        for row in await fetch(connection, SQL["worker_of"], {"thread_id": thread_id}):
            async with connection.transaction():
                if await hold(connection, row["worker_id"]) is not None:
                    await take_over(connection, row["worker_id"], charge=False)


async def forgive(connection: Connection, worker: str) -> None:
    """Charge none of a worker's runs with its death: it was taken for dead, and lives."""
    await execute(connection, SQL["forgive"], {"worker": worker})


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)
