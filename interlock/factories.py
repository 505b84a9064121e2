"""Graphs that an application makes in a function, with or without a configuration, at once or asynchronously."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from functools import cache
from typing import Any, get_type_hints


def made(factory: Callable[..., Any]) -> Any:  # a graph, it is hoped
    """Call a factory as LangGraph's server does, and return what it makes.

    It is given an empty configuration and, where it asks for it, a `ServerRuntime` without a user. What it opens as a
    context manager stays open as long as the process. Asynchronous ones run on a loop of their own, in a thread.
    """
    given = factory(**{name: _given(hint) for name, hint in _asked(factory).items()})
    if inspect.isasyncgen(given):
        given = _opened(given)
    elif inspect.isgenerator(given):
        given = _opened_now(given)
    if inspect.isawaitable(given):
        given = _wait(_awaited(given))
    if isinstance(given, AbstractAsyncContextManager):
        return _wait(_held(given).__aenter__())
    if isinstance(given, AbstractContextManager):
        return _held(given).__enter__()
    return given


_open: list[Any] = []  # context managers: without a reference they would be closed


def _held(manager: Any) -> Any:  # a context manager
    _open.append(manager)
    return manager


def _asked(factory: Callable[..., Any]) -> dict[str, Any]:  # parameter -> its type, or its text
    """Return what a factory asks for: what it must be given, and the two things that it may be given."""
    try:
        hints = get_type_hints(factory)
    except Exception:  # a name of a type may not exist when the program runs
        hints = {}
    return {
        each.name: hints.get(each.name, each.annotation)
        for each in inspect.signature(factory).parameters.values()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and (each.default is each.empty or _is_runtime(hints.get(each.name)))
    }


def _given(hint: Any) -> Any:  # a type, or its text
    if not _is_runtime(hint):
        return {"configurable": {}}
    from langgraph.store.memory import InMemoryStore
    from langgraph_sdk.runtime import _ExecutionRuntime

    return _ExecutionRuntime(
        access_context="threads.create_run", user=None, store=InMemoryStore(), context=None
    )


def _is_runtime(hint: Any) -> bool:  # a type, or its text
    return "ServerRuntime" in str(hint)


def _opened(steps: AsyncIterator[Any]) -> AbstractAsyncContextManager[Any]:  # a graph
    return asynccontextmanager(lambda: steps)()


def _opened_now(steps: Iterator[Any]) -> AbstractContextManager[Any]:  # a graph
    return contextmanager(lambda: steps)()


async def _awaited(given: Any) -> Any:  # an awaitable, and what it gives
    return await given


def _wait(coroutine: Coroutine[Any, Any, Any]) -> Any:  # a graph, it is hoped
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the loop of factories: what they open goes on with it, and whoever waits may be on any other."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="interlock-factories", daemon=True).start()
    return loop
