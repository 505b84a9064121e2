"""Let the runs of a worker that is gone go on in others."""

from __future__ import annotations

import asyncio

from interlock.core.letters import NewLetter
from interlock.errors import DatabaseUnavailable
from interlock.postgres import letters, workers
from interlock.postgres.pool import Connection, translated
from interlock.worker.connecting import connect
from interlock.worker.log import Log

PATIENCE = 1.0
"""Seconds after which it is looked whether a silent session holds a takeover up."""


async def take_over(
    connection: Connection, url: str, gone: workers.Gone, log: Log
) -> list[workers.Lost]:
    """Remove a worker that is gone, and return its runs; none when another did it, or it lives after all.

    A frozen process may have left a transaction open that holds rows: its session is ended.
    """
    taking = asyncio.ensure_future(_take_over(connection, gone, log))
    try:
        while not taking.done():
            await asyncio.wait([taking], timeout=PATIENCE)
            if not taking.done():
                await _end_blockers(connection, url)
    finally:
        taking.cancel()
    return taking.result()


async def _end_blockers(connection: Connection, url: str) -> None:
    async with await connect(url) as other:
        await workers.end_idle_blockers(other, connection.info.backend_pid)


async def _take_over(connection: Connection, gone: workers.Gone, log: Log) -> list[workers.Lost]:
    async with connection.transaction():
        held = await workers.hold(connection, gone.worker_id)
        if held is None:
            return []
        try:
            await workers.cut(connection, gone.worker_id)
        except DatabaseUnavailable as error:
            log.warn("worker.not_cut", worker=gone.worker_id, why=str(error))
        lost = await workers.take_over(connection, gone.worker_id, charge=held["charge"])
        for run in lost:
            if run.is_dead:
                await _bury(connection, run)
    log.info(
        "worker.taken_over",
        worker=gone.worker_id,
        process=gone.process,
        why=gone.why,
        runs=len(lost),
        dead=sum(run.is_dead for run in lost),
    )
    return lost


async def retire(connection: Connection, worker: str) -> list[workers.Lost]:
    """Remove a worker by its own will; what it still has is queued again and not charged."""
    with translated():  # a transaction's begin and end, too
        async with connection.transaction():
            if await workers.hold(connection, worker, anyway=True) is None:
                return []
            return await workers.take_over(connection, worker, charge=False)


async def forgive(connection: Connection, worker: str) -> None:
    """Leave no suspicion on the runs of a worker whose process lives, whoever has taken them over."""
    await retire(connection, worker)
    await workers.forgive(connection, worker)


async def _bury(connection: Connection, run: workers.Lost) -> None:
    """Write the letter of a run that took its workers with it."""
    ended = f"{run.crashes} workers ended while they worked on it, without a new checkpoint"
    letter = NewLetter(
        kind="poison",
        error=f"{ended[0].upper()}{ended[1:]}.",
        error_type="WorkerLost",
        because="it would end the next worker, too",
    )
    await letters.bury(connection, run.run_id, letter)
