"""How many runs two workers claim and finish a second when there is nothing to do in them.

    python -m benchmarks.queueing.empty URL CONFIG CONCURRENCY

is one of the workers: it claims runs and ends them as succeeded, and does not open their graphs.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import psycopg

import interlock
from benchmarks.queueing.filling import ENQUEUE, FILL, settle
from benchmarks.queueing.places import Ground, place
from benchmarks.queueing.processes import ROOT, Place, end_worker, registered
from interlock.postgres.claiming import Claimed
from interlock.worker.working import Plan, Worker

CONCURRENCY = 128
WORKERS = 2
NOT_OVER: LiteralString = "select count(*) from interlock.queue"


async def empty_runs(on: Ground, *, runs: int, rounds: int) -> list[float]:
    """Return how many runs were claimed and finished a second in each round; the first one is not counted."""
    async with place(on) as where, _workers(where):
        rates = [await _rate(where, runs, f"round-{number}") for number in range(rounds + 1)]
    return rates[1:]


async def _rate(where: Place, runs: int, prefix: str) -> float:
    """Queue all runs in one transaction, and wait until the last one has ended."""
    values = {"prefix": prefix, "number": runs, "threads": runs, "tenants": 1}
    async with await psycopg.AsyncConnection.connect(where.url) as connection:
        await connection.execute(FILL, values)
        await connection.execute(ENQUEUE, values)
        await connection.commit()
        begun = time.perf_counter()
        await _over(connection)
        seconds = time.perf_counter() - begun
    await settle(where.url)
    return runs / seconds


async def _over(connection: psycopg.AsyncConnection[tuple[int, ...]]) -> None:
    while True:
        row = await (await connection.execute(NOT_OVER)).fetchone()
        await connection.commit()
        if row == (0,):
            return
        await asyncio.sleep(0.01)


@asynccontextmanager
async def _workers(where: Place) -> AsyncIterator[list[Process]]:
    arguments = (where.url, str(where.config), str(CONCURRENCY))
    working = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.queueing.empty", *arguments), cwd=ROOT
        )
        for _ in range(WORKERS)
    ]
    try:
        await registered(where, working)
        yield working
    finally:
        await asyncio.gather(*map(end_worker, working))


async def _nothing(claimed: Claimed) -> None:
    """Do nothing with a run."""


async def _work(url: str, config: str, concurrency: str) -> None:
    async with interlock.aopen(url, config=config) as il:
        worker = Worker(il, Plan(concurrency=int(concurrency)), execute=_nothing)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
