"""Many callers, one round trip: what is asked for while the database works goes with the next statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")

MOST = 200
"""How many go with one statement: its rows are locked for as long as it takes."""


class Together(Generic[A, B]):
    """Does the work of several callers at once, one statement at a time, in the order in which they came.

    Made and used on one event loop.
    """

    def __init__(self, work: Callable[[list[A]], Awaitable[Sequence[B]]]) -> None:
        self._work = work
        self._asked: list[tuple[A, asyncio.Future[B]]] = []
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: A) -> B:
        """Return what the work makes of an item; a caller that is cancelled does not keep it from being done."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[B] = loop.create_future()
        self._asked.append((item, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._turn())
        return await future

    async def _turn(self) -> None:
        while self._asked:
            some, self._asked = self._asked[:MOST], self._asked[MOST:]
            try:
                made = await self._work([item for item, _ in some])
            except BaseException as error:
                _fail(some, error)
                if not isinstance(error, Exception):
                    raise
            else:
                for (_, future), each in zip(some, made, strict=True):
                    if not future.done():
                        future.set_result(each)


def _fail(some: list[tuple[A, asyncio.Future[B]]], error: BaseException) -> None:
    for _, future in some:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a caller that is gone has nobody to look at it
