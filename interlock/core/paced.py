"""A model call that waits for its turn: for its limits, or for a provider that says later or is out of order.

What a call does is decided here once, for asynchronous and for synchronous code: the latter hands in what never
awaits (`Blocking`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from interlock.core.faults import Fault, fault_of
from interlock.core.rates import (
    Ask,
    Bound,
    Caller,
    End,
    Outcome,
    Pushed,
    RatePlan,
    Rates,
    Slot,
    View,
)
from interlock.core.targets import bounds_of, breakers_of
from interlock.errors import ModelFailed

T = TypeVar("T")
log = logging.getLogger("interlock.rates")

TRIES = 5
"""How often a call is made that fails without that its provider says when to come back."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0

LOOK_SECONDS = 2.0
"""How often a call that waits looks whether its limits were changed."""

HOLD_SECONDS = 1.0
"""Who waits for longer holds no budget meanwhile: others might be refused for it."""

Event = Mapping[str, Any]  # plain data
Tell = Callable[[Event], None]
Attempt = Callable[[str], Awaitable[T]]


class Doing(Protocol):
    """How a call waits and works: on an event loop, or in a thread."""

    async def on(self, rates: Rates, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; raises what stops the run meanwhile."""
        ...

    async def whole(self, work: Awaitable[T]) -> T:
        """Do some work to its end, also where the caller is cancelled meanwhile; the cancellation is passed on then."""
        ...


class Reserving(Protocol):
    """The budgets' side of a call."""

    async def lay_down(self) -> None:
        """Hold nothing for a call that waits."""
        ...

    async def take_up(self) -> None:
        """Hold what it may take again; raises `BudgetSpent`."""
        ...

    async def stand_in(self, model: str) -> None:
        """Hold what another model may take in its place; raises `BudgetSpent`."""
        ...


class Timing(Protocol):
    """The clocks of what the call belongs to."""

    def count(self, *, waits: int = 0, calls: int = 0) -> None:
        """Count calls that begin or cease to wait, or to be made."""
        ...


@dataclass(slots=True, kw_only=True)
class Ticket:
    """A call that was let through.

    Attributes:
        ask: what it took; None where nothing limits it.
    """

    call: PacedCall
    model: str
    ask: Ask | None = None
    probes: bool = False

    async def ended(self, tokens: int | None) -> None:
        """Note an answer, and give back what it did not take."""
        names = breakers_of(self.model)
        if self.probes:
            await self._settle(tokens, tuple(Outcome(name=name, ok=1) for name in names))
            return
        self.call.rates.worked(names)
        if self.ask is not None and _returns(self.ask):
            await self._settle(tokens)

    async def failed(self, fault: Fault) -> None:
        """Note a failure."""
        outcomes = fault.outcomes(self.model, probes=self.probes)
        if self.ask is not None or outcomes or fault.pushes:
            await self._settle(0, outcomes, fault.pushed(self.model))

    async def broken_off(self) -> None:
        """Note that nobody waits for the answer any more; it says nothing about the provider."""
        if self.ask is not None:
            names = breakers_of(self.model) if self.probes else ()
            await self._settle(None, tuple(Outcome(name=name) for name in names))

    async def _settle(
        self,
        tokens: int | None,
        outcomes: tuple[Outcome, ...] = (),
        pushed: tuple[Pushed, ...] = (),
    ) -> None:
        ask = self.ask or Ask(key="")
        end = End(
            ask=ask, made=self.ask is not None, tokens=tokens, outcomes=outcomes, pushed=pushed
        )
        await self.call.settle(end)


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """An answer, or its beginning, with what is to be told when it has ended."""

    answer: T
    ticket: Ticket


@dataclass(slots=True, kw_only=True)
class PacedCall:
    """One model call on its way.

    Attributes:
        caller: who makes it; its model is the one that is asked.
        tokens: returns what it takes at most; asked only where tokens are limited.
        tell: where others see that it waits.
        budget: what it may take.
        clocks: the time at work that it is a part of.
        available: says whether a model can be asked at all: it may have no key here.
    """

    rates: Rates
    doing: Doing
    caller: Caller
    tokens: Callable[[], int]
    tell: Tell
    budget: Reserving | None = None
    clocks: Sequence[Timing] = ()
    available: Callable[[str], bool] = bool  # a model without a name is none
    now: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    _lost: float = 0.0  # seconds that it waited for providers so far
    _down: bool = False
    _error: Exception | None = None
    _said: tuple[str, str] = ("", "")  # what it waits for, as others were told

    @property
    def plan(self) -> RatePlan:
        """What is declared."""
        return self.rates.plan

    async def made(self, attempt: Attempt[T]) -> Made[T]:
        """Make the call when it may be made, again when it failed for a while, or of another model.

        Args:
            attempt: makes it of the model with this name.

        Raises:
            Exception: what the last attempt raised.
        """
        others = self.plan.fallbacks.get(self.caller.model, ())
        able = (each for each in others if self.available(each))
        models = tuple(dict.fromkeys((self.caller.model, *able)))  # a name twice is one try
        for model in models:
            if model != self.caller.model:
                await self._stand_in(model)
            if made := await self._by(model, attempt, last=model == models[-1]):
                return made
        raise self._held_back()

    async def settle(self, end: End) -> None:
        """Note how a call ended, whatever happens to the caller meanwhile."""
        await self.doing.whole(self.doing.on(self.rates, lambda rates: rates.settle(end)))

    # --- one model ---

    async def _by(self, model: str, attempt: Attempt[T], *, last: bool) -> Made[T] | None:
        """Return the answer of one model; None where the next one is to be asked."""
        tries = 0
        while (ticket := await self._let_through(model, last=last)) is not None:
            try:
                with self._counted(calls=1):
                    return Made(await attempt(model), ticket)
            except Exception as error:
                tries += 1
                fault = self._fault(error, tries)
                await ticket.failed(fault)
                self._error = error
                if not self._again(fault, tries):
                    if last or not fault.later:
                        raise
                    return None
                await self._pause(fault, tries, model)
            except BaseException:
                await ticket.broken_off()
                raise
        return None

    def _fault(self, error: Exception, tries: int) -> Fault:
        fault = fault_of(error)
        if fault.limited and fault.after is None:
            return replace(fault, pushes=self._backoff(tries))
        return fault

    def _again(self, fault: Fault, tries: int) -> bool:
        """Say whether the same model is asked again."""
        if not fault.later:
            return False
        if fault.after is not None or fault.limited:
            return self._lost + (fault.after or 0.0) <= self.plan.patience
        return tries < TRIES

    def _backoff(self, tries: int) -> float:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 16))
        return longest * (0.5 + self.chance() / 2)

    async def _pause(self, fault: Fault, tries: int, model: str) -> None:
        if not fault.pushes:  # what was pushed is waited for with all others
            seconds = self._backoff(tries)
            self._say("interlock.tries_again", model, seconds=seconds, why=fault.told)
            self._lost += seconds
            with self._counted(waits=1):
                await self.doing.sleep(seconds)

    # --- waiting ---

    async def _let_through(self, model: str, *, last: bool) -> Ticket | None:
        """Wait until a call may be made; None where another model is to be asked instead."""
        ask = await self._asking(model)
        if ask is None:
            return Ticket(call=self, model=model)
        since = self.now()
        while (slot := await self._take(ask)).verdict != "go":
            ask = replace(ask, booked=ask.booked or slot.verdict == "wait", waited=True)
            if self._gives_up(slot, last=last):
                await self.settle(End(ask=ask, made=False))
                if last:
                    raise self._held_back(slot)
                return None
            ask = await self._waited(ask, slot, since)
        ticket = Ticket(call=self, model=model, ask=ask, probes=slot.probes)
        await self._resume(ticket)
        return ticket

    def _gives_up(self, slot: Slot, *, last: bool) -> bool:
        if slot.verdict == "open" and not last:
            return True
        return slot.why in ("told", "breaker") and self._lost + slot.seconds > self.plan.patience

    async def _asking(self, model: str) -> Ask | None:
        """Return what a call needs; None where nothing limits it."""
        view = await self._look()
        bounds, breakers = self._bounds(model, view), breakers_of(model)
        if not bounds and view.loud.isdisjoint(breakers):
            return None
        counted = any(each.per_token for each in bounds)
        return Ask(
            key=uuid4().hex,
            bounds=bounds,
            breakers=breakers,
            tokens=self.tokens() if counted else 0,
            caller=replace(self.caller, model=model),
        )

    async def _look(self) -> View:
        return await self.doing.on(self.rates, lambda rates: rates.look())

    def _bounds(self, model: str, view: View) -> tuple[Bound, ...]:
        return bounds_of(model, self.caller.tenant, self.plan.limits, view.stored)

    async def _take(self, ask: Ask) -> Slot:
        try:
            return await self.doing.whole(self.doing.on(self.rates, lambda rates: rates.take(ask)))
        except asyncio.CancelledError:  # it may have been let through, and is not told any more
            await self.settle(End(ask=replace(ask, waited=True), tokens=0))
            raise

    async def _waited(self, ask: Ask, slot: Slot, since: float) -> Ask:
        """Sleep until it is the call's turn; return what it asks then."""
        self._tell_wait(slot, ask.caller.model)
        began = self.now()
        try:
            if began + slot.seconds - since > HOLD_SECONDS:
                await self._lay_down()
            with self._counted(waits=1):
                return await self._slept(ask, began + slot.seconds)
        except BaseException:
            await self.settle(End(ask=ask, made=False))
            raise
        finally:
            if slot.why in ("told", "breaker"):
                self._lost += self.now() - began

    async def _lay_down(self) -> None:
        if self.budget is not None and not self._down:
            self._down = True
            await self.budget.lay_down()

    @contextmanager
    def _counted(self, *, waits: int = 0, calls: int = 0) -> Iterator[None]:
        for each in self.clocks:
            each.count(waits=waits, calls=calls)
        try:
            yield
        finally:
            for each in self.clocks:
                each.count(waits=-waits, calls=-calls)

    async def _slept(self, ask: Ask, until: float) -> Ask:
        model = ask.caller.model
        while (left := until - self.now()) > 0:
            await self.doing.sleep(min(left, LOOK_SECONDS))
            if (bounds := self._bounds(model, await self._look())) != ask.bounds:
                await self.settle(End(ask=ask, made=False))
                return replace(ask, bounds=bounds, booked=False)
        return ask

    async def _resume(self, ticket: Ticket) -> None:
        if not self._down or self.budget is None:
            return
        try:
            await self.budget.take_up()
            self._down = False
        except BaseException:
            await ticket.broken_off()
            raise

    # --- others ---

    async def _stand_in(self, model: str) -> None:
        why = f"{type(self._error).__name__}" if self._error else "its breaker is open"
        self._say("interlock.stands_in", model, instead_of=self.caller.model, why=why)
        if self.budget is not None:
            await self.budget.stand_in(model)
            self._down = False
        caller = self.caller
        await self.doing.on(self.rates, lambda rates: rates.stood_in(caller, model, why))

    def _held_back(self, slot: Slot | None = None) -> Exception:
        """Return what is raised when no model may be asked any more: the last failure, or that there was none."""
        if self._error is not None:
            return self._error
        when = f" It may be asked again in {slot.seconds:,.0f} s." if slot else ""
        return ModelFailed(
            f"{self.caller.model} was not asked: {slot.name if slot else 'it'} is out of order.{when}",
            hint="`interlock limits` shows why; go on later with `interlock resume`.",
            model=self.caller.model,
            transient=True,
        )

    def _tell_wait(self, slot: Slot, model: str) -> None:
        if self._said != (slot.name, slot.why):  # who looks for a slot says so once
            self._said = (slot.name, slot.why)
            self._say("interlock.waits", model, seconds=slot.seconds, why=slot.why, name=slot.name)

    def _say(self, event: str, model: str, **facts: Any) -> None:  # plain data
        log.info("%s", event, extra={"model": model, **facts})
        self.tell({"event": event, "model": model, **facts})


def _returns(ask: Ask) -> bool:
    """Say whether anything of a call comes back when it has ended."""
    return any(each.per_token or each.rate.concurrent for each in ask.bounds)
