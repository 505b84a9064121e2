"""What contestants do: some threads side by side, so many steps each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from benchmarks.savers.contestants import MEMORY, OPENINGS, in_memory, stock_pool
from benchmarks.savers.graphs import Graph, ticking

COMMITS = "one-row commits"
"""The contestant that only commits: as many rows as there would be steps, of about the size of a step."""

TABLE = "create table if not exists plain (key text primary key, body text not null)"
INSERT = "insert into plain values (%s, %s)"
BODY = "x" * 600

Work = Callable[[int, int], Awaitable[object]]
"""Lets so many threads make so many steps each."""


@asynccontextmanager
async def committing(url: str) -> AsyncIterator[Work]:
    """Open a contestant that commits rows, each on its own."""
    async with stock_pool(url) as pool:
        async with pool.connection() as connection:
            await connection.execute(TABLE)

        async def commit(steps: int) -> None:
            for _ in range(steps):
                async with pool.connection() as connection:
                    await connection.execute(INSERT, (uuid4().hex, BODY))

        async def work(threads: int, steps: int) -> None:
            await asyncio.gather(*(commit(steps) for _ in range(threads)))

        yield work


@asynccontextmanager
async def stepping(name: str, url: str) -> AsyncIterator[Work]:
    """Open a contestant that runs graphs on a saver."""
    async with OPENINGS[name](url) as saver:

        async def work(threads: int, steps: int) -> None:
            await side_by_side(ticking(saver), threads, steps)

        async def work_in_memory(threads: int, steps: int) -> None:
            async with in_memory(url) as fresh:  # or else it would fill up
                await side_by_side(ticking(fresh), threads, steps)

        yield work_in_memory if name == MEMORY else work


async def side_by_side(graph: Graph, threads: int, steps: int) -> None:
    """Run new threads at the same time; each superstep is saved before the thread's next one begins."""

    async def run() -> None:
        await graph.ainvoke(
            {"until": steps},
            {"configurable": {"thread_id": uuid4().hex}, "recursion_limit": steps + 10},
            durability="sync",
        )

    await asyncio.gather(*(run() for _ in range(threads)))
