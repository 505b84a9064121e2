"""Hears when work may be due, on a connection of its own; what it misses, a slow poll finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from interlock.errors import DatabaseUnavailable
from interlock.postgres.ears import hearing, listen
from interlock.worker.connecting import connect

RETRY_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class Listener:
    """Tells when something was queued."""

    url: str
    tell: Callable[[], None]
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen(), name="interlock-listen")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            with suppress(DatabaseUnavailable, psycopg.Error):
                async with await connect(self.url) as connection:
                    await listen(connection, "listen interlock_queue", self._hear)
                    self.tell()
                    with hearing(connection, self._hear) as broken:
                        await broken
            await asyncio.sleep(RETRY_SECONDS)

    def _hear(self, _: str) -> None:
        self.tell()
