"""A second place to work on the database from, for synchronous code that may hold up the runtime's event loop."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

from interlock.postgres.pool import Pool, open_pool

T = TypeVar("T")

CONNECTIONS = 2


class Aside:
    """A thread with an event loop and connections of its own, started when it is first needed.

    A node may call a model synchronously, and wait for threads that do: then the runtime's own loop stands still, and
    whoever waits for it waits for ever.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = threading.Lock()
        self._stack = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None

    def wait(self, work: Callable[[Pool], Coroutine[Any, Any, T]]) -> T:
        """Do some work there and wait for it; raises what the work raises, and `DatabaseUnavailable`."""
        with self._opening:
            loop = self._loop = self._loop or _started()
            if self._pool is None:
                opened = self._stack.enter_async_context(open_pool(self._url, size=CONNECTIONS))
                self._pool = asyncio.run_coroutine_threadsafe(opened, loop).result()
        return asyncio.run_coroutine_threadsafe(work(self._pool), loop).result()

    async def close(self) -> None:
        """Give the connections back and end the thread."""
        if self._loop is None:
            return
        closing = asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop)
        await asyncio.wrap_future(closing)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop = self._pool = None


class Reachable(ABC):
    """What any event loop, and synchronous code, may have something done on.

    On its own loop that is done here, and elsewhere on one like it, with connections aside.
    """

    _aside: Aside
    _loop: asyncio.AbstractEventLoop

    async def run(self, work: Callable[[Self], Coroutine[Any, Any, T]]) -> T:
        """Do some work, on whatever event loop this is called."""
        if asyncio.get_running_loop() is self._loop:
            return await work(self)
        return await asyncio.to_thread(self.wait, work)

    def wait(self, work: Callable[[Self], Coroutine[Any, Any, T]]) -> T:
        """Do some work from synchronous code, also where that holds up an event loop."""

        async def aside(pool: Pool) -> T:
            return await work(self._over(pool))

        return self._aside.wait(aside)

    @abstractmethod
    def _over(self, pool: Pool) -> Self:
        """Return one like this on the running loop, over its connections."""


def _started() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=_turn, args=(loop,), name="interlock-aside", daemon=True).start()
    return loop


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
