"""A stream that can be stopped from outside at any moment, also while its consumer is busy with something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Stoppable(Generic[T]):
    """Runs a stream in a task of its own, a part each time that the consumer asks for one; close it with `aclose`.

    `stop` cancels that task wherever it is. The stream's own cleanup runs to its end; then the consumer gets the
    reason, unless the stream had ended before.

    Args:
        stream: whose parts these are.
        shows: sees each part, in that task, and says whether the consumer gets it; default: all.
    """

    def __init__(
        self, stream: AsyncGenerator[T], shows: Callable[[T], bool] = lambda _: True
    ) -> None:
        self._stream = stream
        self._shows = shows
        self._wanted = asyncio.Event()
        self._parts: list[T] = []  # that the consumer asked for, and did not get yet
        self._news: asyncio.Future[None] | None = None  # that there is one, or that it has ended
        self._reason: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._pump())
        self._task.add_done_callback(lambda _: self._tell())

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if not self._parts and not self._task.done():
            self._news = self._loop.create_future()
            self._wanted.set()
            await self._news
        if self._parts:
            return self._parts.pop(0)
        self._raise_end()
        raise StopAsyncIteration

    def stop(self, reason: Exception) -> None:
        """Stop it for a reason; safe to call from any thread, and the first reason counts."""
        with suppress(RuntimeError):  # its loop is closed: nothing is left to stop
            self._loop.call_soon_threadsafe(self._stop, reason)

    async def aclose(self) -> None:
        """Cancel what it does, and return when it has cleaned up; a cancellation is passed on only then."""
        if not self._task.done():
            self._task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError as error:
                cancelled = error
        if not self._task.cancelled():
            self._task.exception()  # seen: who closes does not want to know
        if cancelled is not None:
            raise cancelled

    def _stop(self, reason: Exception) -> None:
        if self._reason is None and not self._task.done():
            self._reason = reason
            self._task.cancel()

    async def _pump(self) -> None:
        async with aclosing(self._stream) as stream:
            await self._asked()
            async for part in stream:
                if self._shows(part):
                    self._parts.append(part)
                    self._tell()
                    await self._asked()

    async def _asked(self) -> None:
        await self._wanted.wait()
        self._wanted.clear()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _raise_end(self) -> None:
        error = None if self._task.cancelled() else self._task.exception()
        if self._reason is not None and (self._task.cancelled() or error is not None):
            # What broke while it was stopped is a consequence: clients turn a cancellation into errors of their own.
            raise self._reason from error
        self._task.result()
