"""What a running graph may take: its budgets, and how far it is on its way to its landing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.config import get_config

from interlock.core.budget import Amounts, Budgets, Landed, Scope
from interlock.core.budget_memory import MemoryBudgets
from interlock.errors import BudgetSpent

KEY = "__interlock_allowance"
"""Under which a run's allowance stands in LangGraph's configuration, where each node and subgraph finds it."""


class Admission(Protocol):
    """What lets a model call be made whose answer is not recorded."""

    async def admit(self, run_id: UUID) -> None:
        """Reserve what it may take; raises `BudgetSpent`."""
        ...

    def admit_now(self, run_id: UUID) -> None:
        """Do the same from synchronous code."""
        ...


@dataclass(slots=True)
class Course:
    """How a graph goes: shared by all views of its allowance.

    Attributes:
        landed: why it was steered to its landing; None while it was not.
        uncounted: the supersteps, limited by nobody, that are charged with the time at work; None where each is charged
            before it begins.
    """

    landed: Landed | None = None
    uncounted: set[int] | None = None
    _invoked: dict[str, Iterator[int]] = field(default_factory=dict)

    def began(self, place: str) -> None:
        """Note that a task begins, perhaps again: it will invoke the same graphs."""
        self._invoked.pop(place, None)

    def number(self, place: str) -> int:
        """Return how many graphs a task has invoked before: each has a budget of its own."""
        return next(self._invoked.setdefault(place, count()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one invocation of a graph may take.

    Attributes:
        scopes: whose budgets it is charged to, its own run's first; none for a replay, which takes nothing.
        land: the node that delivers what there is; empty for none.
        namespace: LangGraph's checkpoint namespace of the task that invoked the graph; empty for a run's own graph.
        lands: whether this is the view of its landing, which may use what was kept back.
        outer: of the graph around it, which is charged too.
        handlers: what holds the model calls of its nodes to it; none where the caller has seen to that.
    """

    budgets: Budgets = field(default_factory=MemoryBudgets)
    scopes: tuple[Scope, ...] = ()
    land: str = ""
    namespace: str = ""
    lands: bool = False
    outer: Allowance | None = None
    course: Course = field(default_factory=Course)
    handlers: tuple[BaseCallbackHandler, ...] = ()

    @property
    def run(self) -> str:
        """The name of the run's own budget."""
        return self.scopes[0].name if self.scopes else ""

    @property
    def own(self) -> tuple[Scope, ...]:
        """The budgets of this graph alone, as they may be used now."""
        if not self.lands:
            return self.scopes
        return tuple(replace(each, keep=0.0) for each in self.scopes)

    @property
    def all(self) -> tuple[Scope, ...]:
        """The budgets that a call is charged to."""
        return (*self.own, *(self.outer.all if self.outer else ()))

    def landing(self) -> Allowance:
        """Return the view of the landing."""
        return replace(self, lands=True)

    async def step(self, number: int) -> None:
        """Take one superstep of the graph, once however many tasks it has; raises `BudgetSpent`."""
        if (uncounted := self.course.uncounted) is not None:
            uncounted.add(number)
            return
        await self.budgets.run(lambda budgets: self._stepped(number, budgets))

    def step_now(self, number: int) -> None:
        """Do the same from synchronous code."""
        if (uncounted := self.course.uncounted) is not None:
            uncounted.add(number)
            return
        self.budgets.wait(lambda budgets: self._stepped(number, budgets))

    async def steer(self, error: BudgetSpent, number: int) -> None:
        """Note that the graph is steered to its landing because something was refused in a superstep."""
        if self.course.landed is None:
            self.course.landed = await self.budgets.run(
                lambda each: self._noted(error, number, each)
            )

    def steer_now(self, error: BudgetSpent, number: int) -> None:
        """Do the same from synchronous code."""
        if self.course.landed is None:
            self.course.landed = self.budgets.wait(lambda each: self._noted(error, number, each))

    async def _stepped(self, number: int, budgets: Budgets) -> None:
        own, key = self._steps_of(number), step_key(self.run, number)
        await budgets.reserve(own, Amounts(steps=1), key=key, at_once=True)

    def _steps_of(self, number: int) -> tuple[Scope, ...]:
        landed = self.course.landed
        goes_down = landed is not None and number > landed.step
        return self.landing().own if goes_down else self.own

    async def _noted(self, error: BudgetSpent, number: int, budgets: Budgets) -> Landed:
        why = Landed(step=number, reason=str(error.args[0]), unit=error.unit, scope=error.scope)
        return await budgets.land(self.run, why)


def step_key(run: str, number: int) -> str:
    """Return the key under which a superstep is charged to a run's budgets, in each attempt."""
    return f"step {number} of {run}"


def allowance_here() -> Allowance | None:
    """Return the allowance of the graph whose node runs here; None outside of one that has any."""
    try:
        config = get_config()
    except RuntimeError:
        return None
    return allowance_in(config)


def allowance_in(config: Mapping[str, Any] | None) -> Allowance | None:  # LangGraph's config
    """Return the allowance that stands in a configuration."""
    found = ((config or {}).get("configurable") or {}).get(KEY)
    return found if isinstance(found, Allowance) else None


def lands_in(config: Mapping[str, Any] | None) -> bool:  # LangGraph's config
    """Say whether a configuration is of a task of the landing."""
    allowance = allowance_in(config)
    return allowance is not None and allowance.lands


def landing_here() -> Landed | None:
    """Return why the running graph was steered to its landing: for the node that lands, so that it can say so."""
    allowance = allowance_here()
    return allowance.course.landed if allowance and allowance.lands else None


def ambient() -> Mapping[str, Any] | None:  # LangGraph's config
    """Return the configuration of the node that runs here, if one does."""
    return var_child_runnable_config.get()
