"""What stands around each node of a graph that declares its bounds: it can be interrupted while it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from langchain_core.tracers.context import register_configure_hook
from langgraph.graph import StateGraph
from langgraph.runtime import get_runtime

from interlock.core.allowance import allowance_here
from interlock.core.context import around_here, around_of
from interlock.core.interrupting import Interruptible
from interlock.core.kills import Kill, KillGuard, Subject, refuse
from interlock.core.site import here
from interlock.core.walltime import node_at_work

Function = Callable[..., Any]  # a node, with what it wants of LangGraph

_model_guard: ContextVar[KillGuard | None] = ContextVar("_model_guard", default=None)
register_configure_hook(_model_guard, inheritable=True)
"""LangChain adds the handler that stands here to every call of a model or a tool, in threads of a node too."""


def guard_nodes(builder: StateGraph[Any, Any, Any, Any], *, graph: str) -> None:
    """Let each node be interrupted when its time is used up, and in plain LangGraph by the kill switch.

    The runtime itself stops what it runs when the switch is thrown, whatever graph it is.
    """
    for spec in builder.nodes.values():
        runnable: Any = spec.runnable  # LangGraph's RunnableCallable, which is not public by name
        if inspect.iscoroutinefunction(getattr(runnable, "afunc", None)):
            runnable.afunc = _guarded(runnable.afunc, graph)
        elif inspect.isfunction(getattr(runnable, "func", None)):
            runnable.func = _checked(runnable.func, graph)


def _guarded(function: Function, graph: str) -> Function:
    @wraps(function)
    async def node(*args: Any, **kwargs: Any) -> Any:  # as the node
        async with Interruptible() as block:
            with _switched(block, graph):
                async with node_at_work(allowance_here(), block.interrupt):
                    return await function(*args, **kwargs)

    return node


def _checked(function: Function, graph: str) -> Function:
    """Return a synchronous node that does not begin while a switch stands; nothing interrupts it."""

    @wraps(function)
    def node(*args: Any, **kwargs: Any) -> Any:  # as the node
        with _switched(Interruptible(), graph):
            return function(*args, **kwargs)

    return node


@contextmanager
def _switched(block: Interruptible, graph: str) -> Iterator[None]:
    """Let the kill switch stop a block, where no runtime does it."""
    if around_here() is not None:
        yield
        return
    around, site = around_of(get_runtime()), here()
    subject = Subject(
        runs=(site.run_id,), thread_id=site.thread_id, graph=graph, tenant=around.tenant
    )
    kills, what = around.ports.kills, f"Node {site.node!r}"

    def stop(kill: Kill) -> None:
        block.interrupt(kill.error(f"{what} was stopped"))

    refuse(kills, subject, f"{what} was refused")
    token = _model_guard.set(KillGuard(kills, subject))
    try:
        with kills.watching(subject, stop):
            yield
    finally:
        _model_guard.reset(token)
