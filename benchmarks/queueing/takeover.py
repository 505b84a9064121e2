"""How long it takes until another worker goes on with what a killed one was at, with default settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import interlock
from benchmarks.queueing.graphs import begun
from benchmarks.queueing.places import Ground, lines, place
from benchmarks.queueing.processes import Place, end_worker, registered, worker

SECONDS = 60


async def takeovers(on: Ground, *, rounds: int) -> list[float]:
    """Kill a worker in the middle of a node so many times; return the seconds until the node began again."""
    found = []
    for number in range(rounds):
        async with place(on) as where:
            # Not always at the same moment of the survivor's look around and heartbeat.
            found.append(await _takeover(where, after=0.137 * number))
    return found


async def _takeover(where: Place, *, after: float) -> float:
    async with interlock.aopen(where.url, config=where.config) as il, _two(where) as workers:
        await il.asubmit("slow", {"name": "killed", "number": 0}, thread_id="killed")
        await lines(where.notes, 2, seconds=SECONDS)  # the first node, and the one that takes long
        await asyncio.sleep(after)
        pid = int(where.notes.read_text().split()[2])
        killed = time.time()
        next(each for each in workers if each.pid == pid).kill()
        await lines(where.notes, 3, seconds=SECONDS)
        await il.acancel("killed")
    return begun(where.notes, "linger")["killed"][1] - killed


@asynccontextmanager
async def _two(where: Place) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    workers = [await worker(where) for _ in range(2)]
    try:
        await registered(where, workers)
        yield workers
    finally:
        for each in workers:
            with suppress(ProcessLookupError):
                await end_worker(each)
