"""One thread on one saver in a database of its own, made longer and read again."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from benchmarks.savers.contestants import CONNECTIONS, Opening, Saver
from benchmarks.savers.databases import database, stored_bytes
from benchmarks.savers.graphs import Graph, Times

THREAD: RunnableConfig = {"configurable": {"thread_id": "growing"}}
NOBODY: RunnableConfig = {"configurable": {"thread_id": "nobody", "checkpoint_ns": ""}}
WARM = 6
"""How often each connection has read something: Postgres plans a statement anew for each of the first five."""

LAST = 50
"""The time of a step is the median of so many last ones."""

AT_STEP = """
select checkpoint_id from checkpoints where thread_id = 'growing' and (metadata ->> 'step')::int = %s limit 1
"""
ONE_ROW = """
create temporary table one_row (value bytea);
alter table one_row alter value set storage external;
"""
SERDE = JsonPlusSerializer()
Build = Callable[[Saver, Times], Graph]


@asynccontextmanager
async def growing(server: str, opening: Opening, build: Build) -> AsyncIterator[Thread]:
    """Make a database and a thread in it that has no step yet."""
    async with database(server) as url:
        async with opening(url):
            empty = await stored_bytes(url)
        yield Thread(url=url, opening=opening, build=build, empty=empty)


@dataclass(slots=True, kw_only=True)
class Thread:
    """A thread that is measured."""

    url: str
    opening: Opening
    build: Build
    empty: int
    times: Times = field(default_factory=Times)

    async def grow(self, until: int, **values: object) -> float:
        """Go on to a step, each superstep committed before the next, and return the milliseconds that one took."""
        self.times.clear()
        async with self._graph() as graph:
            given = {"until": until, **values}
            config: RunnableConfig = {**THREAD, "recursion_limit": until + 10}
            await graph.ainvoke(given, config, durability="sync")
        steps = [after - before for before, after in pairwise(self.times[-LAST:])]
        return round(statistics.median(steps) * 1000, 2) if steps else 0.0

    async def stored(self) -> int:
        """Return how many bytes the thread takes."""
        return await stored_bytes(self.url) - self.empty

    async def resume(self) -> float:
        """Return the milliseconds until the newest state is there."""
        return await self._timed(lambda graph: graph.aget_state(THREAD))

    async def one_row(self) -> float:
        """Return the milliseconds until the newest values are there that stand in one row as they are: what must be."""
        async with self._graph() as graph:
            values = (await graph.aget_state(THREAD)).values
        kind, data = SERDE.dumps_typed(values)
        async with await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, prepare_threshold=0
        ) as connection:
            await connection.execute(ONE_ROW, prepare=False)
            await connection.execute("insert into one_row values (%s)", (data,))
            for _ in range(2):  # the first time the connection has not read yet
                begun = time.perf_counter()
                cursor = await connection.execute("select value from one_row", binary=True)
                row = await cursor.fetchone()
                SERDE.loads_typed((kind, (row or [b""])[0]))
                taken = (time.perf_counter() - begun) * 1000
        return taken

    async def history(self) -> float:
        """Return the milliseconds until each state of the thread is there."""
        return await self._timed(_states)

    async def saver_history(self) -> float:
        """Return the same for the saver alone, without what LangGraph does with each checkpoint."""
        return await self._timed(_checkpoints)

    async def fork(self, step: int) -> float:
        """Return the milliseconds until a branch from an early step is saved."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            row = await (await connection.execute(AT_STEP, (step,))).fetchone()
        early: Any = {"configurable": {"thread_id": "growing", "checkpoint_id": (row or [""])[0]}}
        return await self._timed(lambda graph: graph.aupdate_state(early, {"step": step + 1}))

    async def _timed(self, work: Callable[[Graph], Awaitable[object]]) -> float:
        """Measure on a saver that has read nothing of the thread yet, over connections that have all read something."""
        async with self._graph() as graph:
            for _ in range(WARM * CONNECTIONS):  # a pool lends them in turn
                await _saver(graph).aget_tuple(NOBODY)
            begun = time.perf_counter()
            await work(graph)
            return (time.perf_counter() - begun) * 1000

    @asynccontextmanager
    async def _graph(self) -> AsyncIterator[Graph]:
        async with self.opening(self.url) as saver:
            yield self.build(saver, self.times)


async def _states(graph: Graph) -> None:
    """Look at one after the other: all at once would not fit in memory with the stock saver."""
    async for _ in graph.aget_state_history(THREAD):
        pass


async def _checkpoints(graph: Graph) -> None:
    async for _ in _saver(graph).alist(THREAD):
        pass


def _saver(graph: Graph) -> Any:  # LangGraph allows a flag there, too
    return graph.checkpointer
