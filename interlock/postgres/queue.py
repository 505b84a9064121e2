"""Runs that a worker has: handed back, and found to have got on."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.postgres.pool import Pool, connected, execute
from interlock.postgres.queries import load

SQL = load("queue")


async def hand_back(pool: Pool, worker: str, run_ids: Sequence[str], error: str, kind: str) -> None:
    """Give runs of a worker back that it does not work on any more."""
    values = {"worker": worker, "runs": list(run_ids), "error": error, "error_kind": kind}
    async with connected(pool) as connection:
        await execute(connection, SQL["hand_back"], values)


async def absolve(pool: Pool, worker: str, run_id: str) -> None:
    """Note that a run which may have killed its worker has made a step since."""
    async with connected(pool) as connection:
        await execute(connection, SQL["absolve"], {"worker": worker, "run_id": run_id})
