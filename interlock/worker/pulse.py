"""The heartbeat of a worker, on a thread, an event loop and a connection of its own: a blocking node does not stop it.

It also looks for workers that are gone, and lets their runs go on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from interlock.core.queueing import BEAT_SECONDS, LOOK_SECONDS
from interlock.errors import DatabaseUnavailable
from interlock.postgres import workers
from interlock.postgres.pool import Connection
from interlock.worker.connecting import connect
from interlock.worker.log import Log
from interlock.worker.takeover import take_over

NAME = "interlock pulse"
RETRY_SECONDS = 0.2
ANSWER_SECONDS = 5.0
"""How long the database may take for an answer before its connection counts as cut."""

PATIENCE = 5.0


@dataclass(slots=True, eq=False)
class Pulse:
    """Beats for one worker until it is closed, or the worker turns out to be removed.

    Attributes:
        lost: called once, on the pulse's thread, with the reason, when the worker was removed or its lease is over.
        state: what the row says it does.
    """

    url: str
    worker: str
    lease: float
    log: Log
    lost: Callable[[str], None]
    state: str = "working"
    _closing: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event | None = None
    _thread: threading.Thread | None = None
    _beat_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Begin to beat."""
        self._thread = threading.Thread(target=self._work, name=NAME, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop beating, and give the connection back."""
        self._closing.set()
        if self._loop is not None and self._wake is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._wake.set)
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _work(self) -> None:
        asyncio.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not self._closing.is_set():
            try:
                async with await connect(self.url) as connection:
                    await self._live(connection)
            except (DatabaseUnavailable, psycopg.Error, TimeoutError) as error:
                self._check_lease(error)
                await self._rest(RETRY_SECONDS)

    async def _live(self, connection: Connection) -> None:
        beaten = 0.0
        while not self._closing.is_set():
            if time.monotonic() - beaten >= min(BEAT_SECONDS, self.lease / 4):
                beaten = time.monotonic()
                if not await self._beat(connection):
                    self._lose("it was taken for dead and removed")
                    return
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await workers.gone(connection)
            for each in found:
                await self._take_over(connection, each)
            await self._rest(LOOK_SECONDS)

    async def _beat(self, connection: Connection) -> bool:
        before = time.monotonic()
        async with asyncio.timeout(min(ANSWER_SECONDS, self.lease)):
            lives = await workers.beat(connection, self.worker, self.lease, self.state)
        self._beat_at = before
        return lives

    async def _take_over(self, connection: Connection, gone: workers.Gone) -> None:
        if gone.worker_id == self.worker:
            self._lose(gone.why)
            return
        await take_over(connection, self.url, gone, self.log)

    def _check_lease(self, error: Exception) -> None:
        """Give the lease up that could not be renewed in time: others may have taken the runs over by now."""
        if time.monotonic() - self._beat_at > self.lease:
            self._lose(f"its lease is over, and the database does not answer: {error}")

    def _lose(self, why: str) -> None:
        if not self._closing.is_set():
            self._closing.set()
            self.lost(why)

    async def _rest(self, seconds: float) -> None:
        """Wait, unless it is closed meanwhile."""
        if self._wake is not None and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)
