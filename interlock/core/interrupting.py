"""Raise something inside a block of asynchronous code, wherever it is: a deadline, or the kill switch."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from langgraph.errors import GraphBubbleUp


class Interruptible:
    """A block that can be interrupted with an error: `async with Interruptible() as block:`.

    It works as `asyncio.timeout` does: the task is cancelled, and at the end of the block the cancellation becomes the
    error. So whatever the block awaits cleans up first; what catches cancellations is not interrupted.
    """

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._error is None or task is None:
            return
        theirs = task.uncancel() > self._cancelling  # somebody else has cancelled it, too
        if theirs or kind is None or issubclass(kind, GraphBubbleUp):
            return
        # What broke while it was interrupted is a consequence: clients turn a cancellation into errors of their own.
        raise self._error from error

    def interrupt(self, error: Exception) -> None:
        """Interrupt the block; safe to call from any thread. The first error counts; after the block none does."""
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._interrupt, error)

    def _interrupt(self, error: Exception) -> None:
        if self._task is not None and self._error is None:
            self._error = error
            self._task.cancel()
