"""A synchronous face for asynchronous code: one event loop in a background thread, shared by the process.

Nodes are `async def`. Plain `graph.invoke` needs synchronous ones, and an HTTP client that was opened on one loop
cannot be used on the next; so every synchronous call runs on the same loop, which lives as long as the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from langgraph.graph import StateGraph

from interlock.core.enduring import run_for_ever
from interlock.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")
Builder = TypeVar("Builder", bound=StateGraph[Any, Any, Any, Any])

CLEANUP_SECONDS = 10.0
"""How long an interrupted synchronous call waits for its coroutine to write what it holds."""


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for it, with the caller's context variables.

    An interrupted wait (Ctrl-C) cancels the coroutine and waits for it to clean up.
    """
    loop = background_loop()
    if _running_loop() is loop:
        coroutine.close()
        raise UsageError(
            "A synchronous call was made from inside asynchronous code of Interlock.",
            hint="Use the asynchronous twin and await it.",
        )
    call = _Call()
    try:  # from before the coroutine begins: a signal may come at any moment
        return asyncio.run_coroutine_threadsafe(call.run(coroutine), loop).result()
    except (KeyboardInterrupt, SystemExit):
        call.stop(loop)
        raise


def iterate_sync(parts: AsyncIterator[T]) -> Generator[T]:
    """Yield what asynchronous code yields, and close it at the end or when nobody takes more."""
    iterator = aiter(parts)
    try:
        while True:
            try:
                yield run_sync(_next(iterator))
            except StopAsyncIteration:
                return
    finally:
        run_sync(_close(iterator))


def sync_too(builder: Builder) -> Builder:
    """Give each asynchronous node of a graph a synchronous face, so that `graph.invoke` works as `ainvoke` does."""
    for spec in builder.nodes.values():
        runnable: Any = spec.runnable  # LangGraph's RunnableCallable, which is not public by name
        if getattr(runnable, "afunc", None) is not None and runnable.func is None:
            runnable.func = blocking(runnable.afunc)
    return builder


def blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return a function that calls an asynchronous one and waits for its result."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_sync(function(*args, **kwargs))

    return call


@cache
def background_loop() -> asyncio.AbstractEventLoop:
    """Return the process's background loop, started on first use in a daemon thread."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=run_for_ever, args=(loop,), name="interlock-loop", daemon=True).start()
    return loop


# A thread does not live on in a forked process: there, the next synchronous call starts a loop of its own.
os.register_at_fork(after_in_child=background_loop.cache_clear)


async def _next(iterator: AsyncIterator[T]) -> T:
    return await anext(iterator)


async def _close(iterator: AsyncIterator[T]) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Call:
    """A coroutine on the background loop, which the waiting thread can stop at any moment, also before it begins."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._ended = threading.Event()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine, unless it was stopped by now."""
        self._task = asyncio.current_task()
        try:
            if (
                self._stopped
            ):  # looked at after the task is known: `stop` does it the other way round
                coroutine.close()
                raise asyncio.CancelledError
            return await coroutine
        finally:
            self._ended.set()

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the coroutine, and wait until it has cleaned up."""
        self._stopped = True
        if self._task is not None:
            loop.call_soon_threadsafe(self._task.cancel)
            self._ended.wait(timeout=CLEANUP_SECONDS)
