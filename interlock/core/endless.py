"""Works that go on until they are cancelled, and how they surely end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

AGAIN_SECONDS = 1.0
"""After how long what has not ended is cancelled again."""


async def side_by_side(*works: Coroutine[Any, Any, None]) -> None:
    """Do works side by side until this is cancelled, one of them fails, or all have ended; none goes on behind it.

    Raises:
        Exception: what a work failed with.
    """
    tasks = [asyncio.create_task(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for each in done:
            each.result()
    finally:
        await ended(tasks)


async def ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, which the driver's pool waits with, loses a cancellation
    that comes at the moment in which what it waits for is there.
    """
    pending = {each for each in tasks if not each.done()}
    while pending:
        for each in pending:
            each.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
