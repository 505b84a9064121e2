"""A process that asks for runs of three nodes, in one of several ways, as often as it is told.

    python -m benchmarks.queueing.client WAY URL CONFIG

It says when it is ready. A line of its input is JSON: how many clients side by side, how many runs each, and what the
names of the runs begin with. When all have ended it answers with the seconds of CPU that it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import interlock
from benchmarks.queueing.graphs import note, one_more, three_nodes
from benchmarks.savers.contestants import stock

STOCK, STOCK_SYNC = "stock", "stock, each step committed"
ATTENDED, SUBMITTED = "interlock, invoke", "interlock, workers"

Ask = Callable[[str], Awaitable[object]]
"""Asks for a run under a name, and waits for its end."""


@asynccontextmanager
async def opened(way: str, url: str, config: str) -> AsyncIterator[Ask]:
    """Open what runs are asked of."""
    if way in (STOCK, STOCK_SYNC):
        async with stock(url) as saver:
            graph: Any = three_nodes(one_more).compile(checkpointer=saver)
            given = {"durability": "sync"} if way == STOCK_SYNC else {}
            yield lambda name: graph.ainvoke({"name": name, "number": 0}, _thread(), **given)
    else:
        async with interlock.aopen(url, config=config) as il:

            async def submitted(name: str) -> object:
                run = await il.asubmit("three", {"name": name, "number": 0}, thread_id=name)
                return await il.await_run(run.run_id)

            async def attended(name: str) -> object:
                return await il.ainvoke("three", {"name": name, "number": 0}, thread_id=name)

            yield submitted if way == SUBMITTED else attended


def _thread() -> Any:  # LangGraph's configuration
    return {"configurable": {"thread_id": str(uuid4())}}


async def asked(ask: Ask, clients: int, runs: int, prefix: str) -> None:
    """Let so many clients ask for so many runs each, one after the other."""

    async def client(number: int) -> None:
        for turn in range(runs):
            name = f"{prefix}-{number}-{turn}"
            note({"name": name}, "asked")
            await ask(name)

    await asyncio.gather(*(client(number) for number in range(clients)))


async def _serve(way: str, url: str, config: str) -> None:
    async with opened(way, url, config) as ask:
        _say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            clients, runs, prefix = json.loads(line)
            begun = time.process_time()
            await asked(ask, clients, runs, prefix)
            _say(f"{time.process_time() - begun}")


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
