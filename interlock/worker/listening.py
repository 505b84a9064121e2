"""Hears when there may be something to do, on a connection of its own; what it misses, a slow poll finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from interlock.errors import DatabaseUnavailable
from interlock.postgres.ears import hearing, listen
from interlock.worker.connecting import connect

RETRY_SECONDS = 0.5


async def keep_listening(
    url: str,
    statement: LiteralString,  # SQL
    tell: Callable[[], None],
) -> None:
    """Listen with a statement, and tell of each notice, until it is cancelled; also whenever it begins to listen."""

    def hear(_: str) -> None:
        tell()

    while True:
        with suppress(DatabaseUnavailable, psycopg.Error, OSError):
            async with await connect(url) as connection:
                await listen(connection, statement, hear)
                tell()
                with hearing(connection, hear) as broken:
                    await broken
        await asyncio.sleep(RETRY_SECONDS)


@dataclass(slots=True, eq=False)
class Listener:
    """Tells when something was queued."""

    url: str
    tell: Callable[[], None]
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        listening = keep_listening(self.url, "listen interlock_queue", self.tell)
        self._task = asyncio.create_task(listening, name="interlock-listen")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
