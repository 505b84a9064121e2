"""What a server does beside requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

from interlock.app import aopen
from interlock.server.chores import Chores
from tests.server.conftest import SAMPLE


async def test_it_ends_while_it_is_told_of_something(server_database: str) -> None:
    """News that come at the very moment in which the server stops do not keep it from ending."""
    async with aopen(server_database, config=Path(SAMPLE)) as il:
        chores, looked = Chores(il), asyncio.Event()

        async def turn() -> float:
            looked.set()
            return 3600.0

        chores.turn = turn  # type: ignore[method-assign]  # nothing is due
        working = asyncio.create_task(chores._work())
        await looked.wait()
        await asyncio.sleep(0)  # it waits now
        chores._news.set()
        working.cancel()

        done, _ = await asyncio.wait({working}, timeout=10)

    assert done == {working}
    assert working.cancelled()
