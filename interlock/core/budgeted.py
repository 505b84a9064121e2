"""A compiled graph that keeps its limits wherever it is invoked: in plain LangGraph, or inside another graph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.typing import ContextT, InputT, OutputT, StateT

from interlock.core.allowance import KEY, Allowance, Course, allowance_in, ambient
from interlock.core.budget import ONE_STEP, Account, Budgets, Limits, Scope
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.context import Context, default_context
from interlock.core.langgraph_names import READ
from interlock.core.metering import Meter

"""LangGraph's name for what stands in the configuration of a task; a test holds it."""


class BudgetedGraph(CompiledStateGraph[StateT, ContextT, InputT, OutputT]):
    """A graph whose limits hold for each invocation; under the runtime they are the run's."""

    def __init__(self, *, limits: Limits | None = None, land: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)  # LangGraph's own
        self.limits = limits or Limits()
        self.land = land

    # LangGraph's signature, which is overloaded
    def stream(self, input: Any, config: Any = None, *, context: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the graph and yield what happens, as LangGraph's `stream`; raises `BudgetSpent`."""
        opened = self._opened(config, context)
        if opened is None:
            yield from super().stream(input, config, context=context, **kwargs)
            return
        opened.look_now()
        try:
            yield from super().stream(input, opened.config, context=context, **kwargs)
        finally:
            opened.close_now()

    # as above
    def astream(
        self,
        input: Any,  # noqa: A002
        config: Any = None,
        *,
        context: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Run the graph and yield what happens, as LangGraph's `astream`; raises `BudgetSpent`."""
        # Each generator around another one takes its time for each part.
        run: Any = self._limited if self._limits_itself(config) else super().astream
        parts: AsyncIterator[Any] = run(input, config, context=context, **kwargs)
        return parts

    async def _limited(
        self, given: Any, config: Any, *, context: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:  # as above
        opened = self._opened(config, context)
        own = config if opened is None else opened.config
        if opened is not None:
            await opened.look()
        stream: Any = super().astream(given, own, context=context, **kwargs)
        try:
            async with aclosing(stream) as parts:
                async for part in parts:
                    yield part
        finally:
            if opened is not None:
                await opened.close()

    def _opened(self, config: RunnableConfig | None, context: Any) -> _Opened | None:
        """Return what an invocation needs beside its configuration; None where the caller has seen to it."""
        if not self._limits_itself(config):
            return None
        outer = allowance_in(config) or allowance_in(ambient())
        if outer is None:
            return _root(self, config, context)
        return _nested(self, config, outer) if outer.scopes else None

    def _limits_itself(self, config: RunnableConfig | None) -> bool:
        """Say whether it has limits that the runtime, which would have given it an allowance, does not see to."""
        if not (self.land or self.limits.given()):
            return False
        return allowance_in(config) is None or _is_of_task(config)


@dataclass(slots=True)
class _Opened:
    """One invocation: its allowance, its configuration, and what is closed after it."""

    allowance: Allowance
    config: RunnableConfig
    meter: Meter | None = None

    async def look(self) -> None:
        """Find out whether an earlier attempt was steered to its landing."""
        self._found(await self.allowance.budgets.run(self._account))

    def look_now(self) -> None:
        """Do the same from synchronous code."""
        self._found(self.allowance.budgets.wait(self._account))

    async def close(self) -> None:
        """Charge what was left open, and forget a run that nobody goes on with."""
        if self.meter is not None:
            await self.meter.close()
        self._forget()

    def close_now(self) -> None:
        """Do the same from synchronous code."""
        if self.meter is not None:
            self.meter.close_now()
        self._forget()

    async def _account(self, budgets: Budgets) -> Account:
        return await budgets.account("run", self.allowance.run)

    def _found(self, account: Account) -> None:
        self.allowance.course.landed = account.landed

    def _forget(self) -> None:
        budgets = self.allowance.budgets
        if self.meter is not None and isinstance(budgets, MemoryBudgets):
            budgets.forget(self.allowance.run)


def _root(graph: BudgetedGraph[Any, Any, Any, Any], config: Any, context: Any) -> _Opened:
    """Return an invocation in plain LangGraph: a run of its own, in this process's memory."""
    ports = (context if isinstance(context, Context) else default_context()).ports
    run = Scope(kind="run", name=str(uuid4()), default=graph.limits, keep=_kept(graph))
    allowance = Allowance(budgets=ports.budgets, scopes=(run,), land=graph.land, course=Course())
    meter = Meter(allowance=allowance, prices=ports.prices)
    metered = replace(allowance, handlers=tuple(meter.handlers()))
    return _Opened(metered, _with(config, metered), meter)


def _nested(graph: BudgetedGraph[Any, Any, Any, Any], config: Any, outer: Allowance) -> _Opened:
    """Return an invocation inside a graph that has an allowance: it is charged to both."""
    task = config if _is_of_task(config) else ambient()
    place = str(((task or {}).get("configurable") or {}).get("checkpoint_ns", ""))
    number = outer.course.number(place)
    name = f"{outer.run}/{place}|{number}" if number else f"{outer.run}/{place}"
    run = Scope(kind="run", name=name, default=graph.limits, keep=_kept(graph))
    inner = Allowance(
        budgets=outer.budgets,
        scopes=(run,),
        land=graph.land,
        namespace=place,
        outer=outer,
        course=Course(),
    )
    return _Opened(inner, _with(config, inner))


def _is_of_task(config: Any) -> bool:
    return READ in ((config or {}).get("configurable") or {})


def _kept(graph: BudgetedGraph[Any, Any, Any, Any]) -> float:
    return (graph.limits.landing or ONE_STEP) if graph.land else 0.0


def _with(config: Any, allowance: Allowance) -> RunnableConfig:
    """Return a configuration with an allowance, and the handlers that hold model calls to it."""
    own: Mapping[str, Any] = config or {}
    merged: RunnableConfig = {
        **own,  # type: ignore[typeddict-item]  # LangGraph's configuration
        "configurable": {**(own.get("configurable") or {}), KEY: allowance},
    }
    if allowance.handlers:
        merged["callbacks"] = _called(own.get("callbacks"), allowance.handlers)
    return merged


def _called(
    callbacks: Any, handlers: Sequence[BaseCallbackHandler]
) -> Any:  # LangChain's callbacks
    if isinstance(callbacks, BaseCallbackManager):
        manager = callbacks.copy()
        for handler in handlers:
            manager.add_handler(handler, inherit=True)
        return manager
    return [*(callbacks or []), *handlers]
