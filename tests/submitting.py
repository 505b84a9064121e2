"""Helpers for tests of submitted runs: a runtime, a worker in the test's process, and events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from interlock import Interlock
from interlock.worker import work
from tests.questions import sql

CONFIG = Path(__file__).parent / "sample" / "submitted" / "langgraph.json"
PATIENCE = 120


@asynccontextmanager
async def working(il: Interlock) -> AsyncIterator[None]:
    """A worker, for as long as the block."""
    stopped = asyncio.Event()
    task = asyncio.create_task(work(il, stopped=stopped))
    try:
        yield
    finally:
        stopped.set()
        await task


async def until(is_so: Callable[[], Awaitable[object]]) -> None:
    """Return when something is so; a test that waits for longer has failed."""
    async with asyncio.timeout(PATIENCE):
        while not await is_so():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.005)


async def events(url: str, run_id: str) -> list[str]:
    """The kinds of what happened to a run, oldest first."""
    rows = await sql(
        url, "select kind from interlock.run_events where run_id = %s order by id", run_id
    )
    return [row["kind"] for row in rows]


async def left(url: str) -> dict[str, int]:
    """How much there is of what no run that has ended leaves behind."""
    [row] = await sql(
        url,
        "select (select count(*) from interlock.queue) as queue, "
        "(select count(*) from interlock.stop_orders) as orders, "
        "(select count(*) from interlock.timers where state = 'set') as timers, "
        "(select count(*) from interlock.questions where status = 'open') as questions",
    )
    return {name: count for name, count in row.items() if count}
