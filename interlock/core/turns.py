"""Where a model call takes its turn: what limits it there, for whom, and how it waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, Protocol, TypeVar
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langgraph.config import get_config, get_stream_writer
from langgraph.runtime import Runtime

from interlock.core.allowance import allowance_here
from interlock.core.call_handlers import meter_of
from interlock.core.context import Around, Context, around_here
from interlock.core.estimating import most_of
from interlock.core.kills import refuse
from interlock.core.langgraph_names import RUNTIME
from interlock.core.metering import Meter
from interlock.core.paced import Doing, PacedCall, log
from interlock.core.prices import PriceTable
from interlock.core.rates import Caller, RatePlan, Rates
from interlock.core.site import here
from interlock.core.walltime import clocks_of
from interlock.errors import ModelUnavailable, UsageError

T = TypeVar("T")
Manager = Any  # LangChain's callback manager of one call, synchronous or not

ANSWER = 1_000
"""Tokens that are set aside for an answer whose length nobody limits; what it takes is corrected after the call."""

LOOK_SECONDS = 0.1
"""How often synchronous code that waits looks whether its run was stopped."""

_NO_PRICES = PriceTable(version="", models={})
"""A call that says nothing of its answer's length is not thought to take all that its model is able to say."""


class Given(Protocol):
    """What a client is called with."""

    @property
    def name(self) -> str:
        """The model, `provider:name`."""
        ...

    @property
    def manager(self) -> Manager:
        """LangChain's callback manager of the call; None where nobody looks on."""
        ...

    @property
    def prompt(self) -> Sequence[BaseMessage]:
        """What is asked, as messages."""
        ...

    def parameters(self) -> dict[str, Any]:
        """Return LangChain's parameters of the call."""
        ...


@dataclass(frozen=True, slots=True)
class Where:
    """Where a call is made: what limits it, and for whom."""

    rates: Rates
    context: Context | None
    around: Around | None

    @property
    def tenant(self) -> str:
        """On whose behalf; empty for nobody's."""
        if self.around is not None:
            return self.around.tenant
        return self.context.tenant if self.context else ""

    def check(self) -> None:
        """Raise what stops the run."""
        if self.around is not None:
            self.around.check_halted()
            refuse(self.around.ports.kills, self.around.subject, "A model call was stopped")

    def model(self, name: str) -> BaseChatModel:
        """Return another model."""
        ports = self.around.ports if self.around else (self.context or Context()).ports
        return ports.models.model(name)

    def available(self, name: str) -> bool:
        """Say whether another model can be asked; one without its package or its key is left out."""
        try:
            self.model(name)
        except ModelUnavailable as error:
            log.warning("%s", error)
            return False
        return True


def where_here() -> Where | None:
    """Return where the running node's calls are limited; None where nobody limits them."""
    if (around := around_here()) is not None:
        replays = around.lineage.asks_no_model
        return None if replays else Where(around.ports.rates, None, around)
    context = _context()
    if context is None or context.ports.rates.plan == RatePlan():
        return None
    return Where(context.ports.rates, context, None)


def _context() -> Context | None:
    """Return the context of a graph in plain LangGraph."""
    try:
        runtime = get_config().get("configurable", {}).get(RUNTIME)
    except RuntimeError:
        return None
    found = runtime.context if isinstance(runtime, Runtime) else None
    return found if isinstance(found, Context) else None


def taking(
    function: Callable[..., Any], manager: Manager, stop: Any, kwargs: Mapping[str, Any]
) -> dict[str, Any]:  # LangChain's keyword arguments
    """Return the keyword arguments of a client's call; some classes take no callback manager."""
    own = {"run_manager": manager} if "run_manager" in signature(function).parameters else {}
    return {"stop": stop, **own, **kwargs}


def replaced(owner: type, name: str, stand_in: Callable[[Any], Any]) -> None:
    """Let a method of LangChain's be called on what stands in for its object; doing it again does nothing."""
    original = getattr(owner, name)
    if hasattr(original, _OURS):
        return

    @wraps(original)
    def on_stand_in(self: Any, *args: Any, **kwargs: Any) -> Any:  # LangChain's signature
        return original(stand_in(self), *args, **kwargs)

    setattr(on_stand_in, _OURS, True)
    setattr(owner, name, on_stand_in)


_OURS = "__interlock_paced__"


def call_of(
    given: Given, where: Where, doing: Doing, *, falls_back: bool = True, reserves: bool = True
) -> PacedCall:
    """Return a call on its way.

    Args:
        given: what its client is called with.
        where: it is made.
        doing: how it waits.
        falls_back: another model may answer in its place.
        reserves: what it may take is held under its callback manager's run, and laid down while it waits.
    """
    meter = meter_of(getattr(given.manager, "handlers", ())) if reserves else None
    run_id = getattr(given.manager, "run_id", None)
    budget = _Budget(meter, run_id, given) if meter is not None and run_id is not None else None
    return PacedCall(
        rates=where.rates,
        doing=doing,
        caller=_caller(given.name, where),
        tokens=lambda: _most(given),
        tell=_tell,
        budget=budget,
        clocks=clocks_of(allowance_here()),
        available=where.available if falls_back else _never,
    )


def _never(model: str) -> bool:
    return False


def _most(given: Given) -> int:
    """Return how many tokens a call is thought to take at most."""
    most, unknown = most_of(given.name, given.prompt, given.parameters(), _NO_PRICES)
    return most.input_tokens + (ANSWER if "tokens" in unknown else most.output_tokens)


def _caller(model: str, where: Where) -> Caller:
    graph = where.around.graph if where.around else ""
    try:
        site = here()
    except UsageError:  # a thread that was started without the node's context
        return Caller(model=model, graph=graph, tenant=where.tenant)
    return Caller(
        model=model,
        run_id=site.run_id,
        thread_id=site.thread_id,
        graph=graph,
        tenant=where.tenant,
        node=site.node,
    )


def _tell(event: Mapping[str, Any]) -> None:
    """Show in the graph's stream that a call waits; outside of a graph nobody looks."""
    with suppress(RuntimeError, KeyError, AttributeError):
        get_stream_writer()(dict(event))


@dataclass(frozen=True, slots=True)
class _Budget:
    """The budgets' side of a call."""

    meter: Meter
    run_id: UUID
    given: Given

    async def lay_down(self) -> None:
        """Hold nothing for a call that waits."""
        await self.meter.lay_down(self.run_id)

    async def take_up(self) -> None:
        """Hold what it may take again."""
        await self.meter.hold(self.run_id)

    async def stand_in(self, model: str) -> None:
        """Hold what another model may take in its place."""
        given = self.given
        await self.meter.stand_in(self.run_id, model, given.prompt, given.parameters())


class Awaiting:
    """A call on an event loop: a cancellation reaches it wherever it waits."""

    async def on(self, rates: Rates, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits."""
        return await rates.run(work)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def whole(self, work: Awaitable[T]) -> T:
        """Do some work to its end, also where the caller is cancelled meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise


@dataclass(frozen=True, slots=True)
class Blocking:
    """A call in a thread, which no cancellation reaches: it never awaits, and looks itself whether it may go on."""

    where: Where

    async def on(self, rates: Rates, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits."""
        return rates.wait(work)

    async def sleep(self, seconds: float) -> None:
        """Wait, for as long as nobody stops the run."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))  # noqa: ASYNC251  # in a thread of its own
            self.where.check()

    async def whole(self, work: Awaitable[T]) -> T:
        """Do some work."""
        return await work
