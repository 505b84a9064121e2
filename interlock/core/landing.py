"""The way to a graph's landing: where a budget is spent, the `land` node delivers what there is, and nothing else runs.

Each node is run, with its writers, by a `_Metered`. When something in it is refused, it sends for the `land` node
instead of its own successors. It is no `error_handler`: a node that has one, and fails of anything else, is not run
again by a resume; only its handler is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.constants import START
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._write import (
    ChannelWrite,
    ChannelWriteEntry,
)  # not public; versions are pinned and a test holds it

from interlock.core.allowance import KEY, Allowance, allowance_in
from interlock.core.inescapable import inescapable
from interlock.core.langgraph_names import BRANCH
from interlock.errors import BudgetSpent, UsageError

"""How LangGraph names the channel that sends for a node; a test holds it."""

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's


def meter_nodes(compiled: Graph, land: str = "") -> Graph:
    """Let each node of a compiled graph take its steps from a run's budgets, and steer to its landing.

    Without a run that has budgets the nodes run as before. Doing it again changes nothing.
    """
    if land and land not in compiled.nodes:
        raise UsageError(
            f"The graph {compiled.name!r} declares that it lands at {land!r}, which is no node of it.",
            hint=f"Its nodes are {', '.join(each for each in compiled.nodes if each != START)}.",
        )
    for name, node in compiled.nodes.items():
        inner = node.node
        if inner is None or name == START or node.is_error_handler or isinstance(inner, _Metered):
            continue
        node.node = _Metered(inner, name, land)  # what LangGraph has cached on first use
        if land:  # or the way to the landing would be cached, and taken by later runs
            node.cache_policy = None
    return compiled


@dataclass(frozen=True, slots=True)
class _Task:
    """One task of a graph that has an allowance."""

    allowance: Allowance
    config: RunnableConfig
    node: str
    land: str
    step: int

    @property
    def goes_down(self) -> bool:
        """Whether it belongs to the landing: the `land` node, and what comes after it."""
        landed = self.allowance.course.landed
        return landed is not None and self.step > landed.step

    @property
    def is_dropped(self) -> bool:
        """Whether it was sent for beside the landing, by a branch that was not refused."""
        landed = self.allowance.course.landed
        beside = landed is not None and self.step == landed.step + 1
        return bool(self.land) and beside and self.node != self.land

    def configured(self) -> RunnableConfig:
        """Return the configuration that the task runs with."""
        if not self.goes_down:
            return self.config
        view = self.allowance.landing()
        return {**self.config, "configurable": {**self.config["configurable"], KEY: view}}

    def metered(self) -> AbstractContextManager[None]:
        """Hold the model calls in a block to the allowance, unless the runtime does."""
        handlers = self.allowance.handlers
        return inescapable(handlers) if handlers else nullcontext()

    def may_land(self) -> bool:
        return bool(self.land) and not self.goes_down

    def ended(self) -> None:
        """Send for the landing when the graph was steered in this superstep, perhaps by an attempt that was lost."""
        landed = self.allowance.course.landed
        if self.land and landed is not None and landed.step == self.step:
            self.send_for_landing()

    def send_for_landing(self) -> None:
        ChannelWrite.do_write(self.config, [ChannelWriteEntry(f"{BRANCH}{self.land}", None)])


class _Metered(Runnable[Any, Any]):
    """A node and its writers, within a run's budgets."""

    def __init__(self, inner: Runnable[Any, Any], node: str, land: str) -> None:
        self._inner = inner
        self._node = node
        self._land = land

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the task as far as its budgets suffice."""
        task = self._task(config)
        if task is None:
            return self._inner.invoke(input, config, **kwargs)
        if task.is_dropped:
            return None
        try:
            task.allowance.step_now(task.step)
            with task.metered():
                output = self._inner.invoke(input, task.configured(), **kwargs)
        except BudgetSpent as error:
            if not task.may_land():
                raise
            task.allowance.steer_now(error, task.step)
            return task.send_for_landing()
        task.ended()
        return output

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the task as far as its budgets suffice."""
        task = self._task(config)
        if task is None:
            return await self._inner.ainvoke(input, config, **kwargs)
        if task.is_dropped:
            return None
        try:
            await task.allowance.step(task.step)
            with task.metered():
                output = await self._inner.ainvoke(input, task.configured(), **kwargs)
        except BudgetSpent as error:
            if not task.may_land():
                raise
            await task.allowance.steer(error, task.step)
            return task.send_for_landing()
        task.ended()
        return output

    def _task(self, config: RunnableConfig | None) -> _Task | None:
        """Return the task if its graph is the one that the nearest allowance is for."""
        allowance = allowance_in(config)
        if config is None or allowance is None or not allowance.scopes:
            return None
        if around_of_task(config) != allowance.namespace:
            return None
        step = int(config["metadata"]["langgraph_step"])
        allowance.course.began(str(config["configurable"].get("checkpoint_ns", "")))
        return _Task(allowance, config, self._node, self._land, step)


def around_of_task(config: RunnableConfig) -> str:
    """Return the namespace of the task that invoked the graph of a task; empty for a run's own graph."""
    namespace = str(config["configurable"].get("checkpoint_ns", ""))
    if "|" not in namespace:
        return ""
    names = [
        each for each in namespace.split("|") if not each.isdigit()
    ]  # numbers of repeated calls
    return "|".join(names[:-1])
