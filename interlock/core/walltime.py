"""Wall time at work: one clock a run, however many of its branches work at once; charged while it runs.

What waits for a person, or has no process, takes none: there is no clock then. It stands still while model calls wait
for their turn (`interlock.core.paced`) and none is being made.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

from interlock.core.allowance import Allowance, Course, step_key
from interlock.core.budget import ONE_STEP, Account, Amounts, Budgets, Scope, Unit, shown, usable
from interlock.errors import BudgetSpent, InterlockError

CHARGE_SECONDS = 2.0
"""How often time is charged: what a killed process took since then is not."""

GRACE = 1.0
"""Seconds in which a run may land where nothing is kept back for that."""

SHORTEST = 0.01
SLACK = 0.05
"""Seconds by which what was charged may lag behind the clock that says that the time is up."""

Stop = Callable[[Exception], None]
TakeOver = Callable[["Charge"], None]
Now = Callable[[], float]


@asynccontextmanager
async def at_work(
    allowance: Allowance,
    stop: Stop | None = None,
    *,
    take_over: TakeOver | None = None,
    unlimited: bool = False,
) -> AsyncIterator[None]:
    """Let the time of a graph's invocation run for the length of a block; a replay takes none.

    Args:
        allowance: whose time it is.
        stop: what ends the invocation when all of its time is used up, what was kept for its landing too.
        take_over: sees to it that what was taken last is charged, where the block ends without an error.
        unlimited: it is known that nobody has stored a limit for this time; what is stored meanwhile is seen later.
    """
    if not allowance.scopes:
        yield
        return
    fresh = WorkClock(
        budgets=allowance.budgets,
        scopes=allowance.scopes,
        lands=bool(allowance.land),
        course=allowance.course,
        unlimited=unlimited and not any(map(_limits_time, allowance.scopes)),
    )
    clock = _CLOCKS.setdefault(allowance.run, fresh)
    clock.stop = clock.stop or stop
    clock.take_over = clock.take_over or take_over
    try:
        async with clock.running():
            yield
    finally:
        if clock.is_idle:
            _CLOCKS.pop(allowance.run, None)


@asynccontextmanager
async def node_at_work(allowance: Allowance | None, interrupt: Stop) -> AsyncIterator[None]:
    """Interrupt a node when the time of its graph, or of one around it, is used up.

    Under the runtime the clock runs for as long as the run does; in plain LangGraph, and for the limits of a graph
    inside another one, while one of its nodes is at work.
    """
    async with AsyncExitStack() as stack:
        if allowance is not None and _is_limited(allowance):
            await stack.enter_async_context(at_work(allowance))
        while allowance is not None:
            if (clock := _CLOCKS.get(allowance.run)) is not None:
                stack.enter_context(clock.node(interrupt, landing=allowance.lands))
            allowance = allowance.outer
        yield


def clocks_of(allowance: Allowance | None) -> tuple[WorkClock, ...]:
    """Return the clocks that run for a graph, and for those around it."""
    found = []
    while allowance is not None:
        found += [_CLOCKS[allowance.run]] if allowance.run in _CLOCKS else []
        allowance = allowance.outer
    return tuple(found)


def _is_limited(allowance: Allowance) -> bool:
    limits = [each for scope in allowance.scopes for each in (scope.default, scope.ceiling)]
    return any(each.seconds is not None for each in limits)


def _limits_time(scope: Scope) -> bool:
    default, ceiling = scope.default, scope.ceiling
    return {default.seconds, default.steps, ceiling.seconds, ceiling.steps} != {None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a run took and is not charged with yet.

    Attributes:
        scopes: whose budgets, its own run's first.
        seconds: at work, all that its clock has counted.
        clock: names the clock: what it counted is charged under this key, of which each second counts once.
        steps: numbers of supersteps.
        again: whether a part of it may have been charged before, in another attempt or another charge.
    """

    scopes: Sequence[Scope]
    seconds: float
    clock: str
    steps: Sequence[int] = ()
    again: bool = True

    @property
    def keys(self) -> list[str]:
        """The keys under which its supersteps are charged, each once."""
        return [step_key(self.scopes[0].name, number) for number in self.steps]


@dataclass(slots=True, kw_only=True)
class WorkClock:
    """The time that a run is at work, and who is told when it is used up.

    Attributes:
        budgets: where it is charged.
        scopes: whose time it is; what they keep is for the landing.
        lands: whether the graph has a node to land at.
        course: where supersteps are noted that nobody limits, to be charged with the time.
        stop: what ends the run when all of its time is used up, what was kept too.
        take_over: sees to it that what was taken last is charged.
        unlimited: whether it is known at the beginning that nobody limits the time.
    """

    budgets: Budgets
    scopes: Sequence[Scope]
    lands: bool = False
    course: Course = field(default_factory=Course)
    stop: Stop | None = None
    take_over: TakeOver | None = None
    unlimited: bool = False
    now: Now = time.monotonic
    _since: float = 0.0
    _soft: float = math.inf  # when the part that is not kept back ends
    _hard: float = math.inf  # when all of it ends
    _nodes: list[tuple[Stop, bool]] = field(default_factory=list)
    _users: int = 0
    _waits: int = 0  # model calls that wait for their turn
    _calls: int = 0  # model calls that are being made
    _stood: float | None = None  # since when it stands still
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _first: asyncio.TimerHandle | None = None  # most runs end before it ticks once
    _ticking: asyncio.Task[None] | None = None
    _charging: asyncio.Task[None] | None = None
    _known: BudgetSpent | None = None
    _steps: set[int] = field(default_factory=set)  # that are not charged yet
    _charged: bool = False  # whether something was charged before, or may have been
    _name: str = ""

    @property
    def is_idle(self) -> bool:
        """Whether nobody lets it run."""
        return not self._users

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the time run for the length of a block; blocks that lie within each other, or side by side, are one."""
        self._users += 1
        take_over: TakeOver | None = None
        try:
            if self._users == 1:
                await self._begin()
            yield
            take_over = self.take_over
        finally:
            self._users -= 1
            if self._users == 0:
                await self._halt(take_over)

    @contextmanager
    def node(self, interrupt: Stop, *, landing: bool = False) -> Iterator[None]:
        """Interrupt a node when the time is used up; raises `BudgetSpent` when it is by now.

        Args:
            interrupt: raises an error in the node.
            landing: whether the node may use what is kept for the landing.
        """
        if self._at() >= self._end(landing=landing):
            raise self._error()
        entry = (interrupt, landing)
        self._nodes.append(entry)
        try:
            yield
        finally:
            self._nodes.remove(entry)

    def count(self, *, waits: int = 0, calls: int = 0) -> None:
        """Count model calls that begin or cease to wait, or to be made; safe to call from any thread."""
        with self._changing:
            self._waits += waits
            self._calls += calls
            stands = self._waits > 0 and self._calls == 0
            if stands and self._stood is None:
                self._stood = self.now()
            elif not stands and self._stood is not None:
                stood, self._stood = self.now() - self._stood, None
                self._since += stood
                self._soft += stood
                self._hard += stood

    def _at(self) -> float:
        """Return what the clock shows."""
        stood = self._stood
        return self.now() if stood is None else stood

    async def _begin(self) -> None:
        self._since, self._name = self._at(), f"clock {uuid4()}"
        if self.unlimited:
            self._count_steps(limited=False)
        else:
            await self._look()
        self._first = asyncio.get_running_loop().call_later(self._pause(), self._start)

    def _start(self) -> None:
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _halt(self, take_over: TakeOver | None) -> None:
        if self._first is not None:
            self._first.cancel()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
        if self._charging is not None:
            await asyncio.wait([self._charging])  # else it would be charged a second time
        if take_over is not None:
            take_over(self._due())
            return
        with suppress(InterlockError):  # what cannot be charged now ends no run
            await self._charge()

    async def _tick(self) -> None:
        while True:
            with suppress(InterlockError):  # it is charged the next time
                await self._charge()
                await self._look()
                if self._steps:  # they began since, and are limited now
                    await self._charge()
                if self._at() >= self._end(landing=False):
                    await self._find_out()
            self._tell()
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        now = self._at()
        ends = [end - now for end in (self._end(landing=False), self._hard) if end > now]
        return max(SHORTEST, min([CHARGE_SECONDS, *ends]))

    def _tell(self) -> None:
        now = self._at()
        for interrupt, landing in tuple(self._nodes):
            if now >= self._end(landing=landing):
                interrupt(self._error())
        if now >= self._hard and self.stop is not None:
            self.stop(self._error())

    def _end(self, *, landing: bool) -> float:
        return self._hard if landing or not self.lands else self._soft

    async def _charge(self) -> None:
        """Charge what is due, to its end also where whoever asks is cancelled: nobody takes back what is under way."""
        self._charging = asyncio.ensure_future(self._charge_due())
        self._charging.add_done_callback(_seen)  # who is cancelled meanwhile does not look at it
        await asyncio.shield(self._charging)

    async def _charge_due(self) -> None:
        due = self._due()
        self._charged = True  # it may be, also where no answer comes
        await charge(self.budgets, due)
        self._steps.difference_update(due.steps)
        (self.course.uncounted or set()).difference_update(due.steps)

    def _due(self) -> Charge:
        steps = sorted(self._steps | (self.course.uncounted or set()))
        return Charge(
            scopes=self.scopes,
            seconds=self._at() - self._since,
            clock=self._name,
            steps=steps,
            again=self._charged,
        )

    async def _look(self) -> None:
        """Find out until when the time suffices; others may use up what a thread, a graph or a tenant has."""
        all_of_it = [replace(scope, keep=0.0) for scope in self.scopes]
        keeps = any(scope.keep > ONE_STEP for scope in self.scopes)
        left = await self._left(self.scopes)
        self._count_steps(limited="steps" in left)
        soft = left.get("seconds", math.inf)
        hard = (await self._left(all_of_it)).get("seconds", math.inf) if keeps else soft
        grace = GRACE if self.lands and not keeps else 0.0
        now = self._at()
        self._soft = now + soft
        self._hard = now + hard + grace if hard else min(self._hard, now + grace)

    def _count_steps(self, *, limited: bool) -> None:
        """Let each superstep be charged before it begins where somebody limits them, and otherwise with the time."""
        if limited and self.course.uncounted is not None:
            self._steps |= self.course.uncounted
            self.course.uncounted = None
        elif not limited and self.course.uncounted is None:
            self.course.uncounted = set()

    async def _left(self, scopes: Sequence[Scope]) -> Mapping[Unit, float]:
        return await self.budgets.run(lambda budgets: budgets.left(scopes))

    async def _find_out(self) -> None:
        """Find out whose time is used up."""
        for scope in self.scopes:
            account = await self._account(scope)
            limit = scope.limits(account.limits).seconds
            taken = (account.spent + account.held).seconds
            keep = scope.keep if self.lands else 0.0
            if limit is not None and taken + SLACK >= usable(limit, keep, "seconds"):
                self._known = _spent(scope, limit, taken)
                return

    async def _account(self, scope: Scope) -> Account:
        kind, name = scope.kind, scope.name
        return await self.budgets.run(lambda budgets: budgets.account(kind, name))

    def _error(self) -> BudgetSpent:
        return self._known or _spent(self.scopes[0], None, None)


async def charge(budgets: Budgets, due: Charge) -> None:
    """Charge a run with what it took."""
    amounts = Amounts(seconds=due.seconds)
    await budgets.run(lambda each: each.charge(due.scopes, amounts, key=due.clock, steps=due.keys))


_CLOCKS: dict[str, WorkClock] = {}
"""The clocks that run in this process, by the name of the run's own budget."""


def _spent(scope: Scope, limit: float | None, taken: float | None) -> BudgetSpent:
    of = f" {shown('seconds', taken)} of {shown('seconds', limit)}" if limit and taken else ""
    return BudgetSpent(
        f"The time at work of {scope} is used up{':' if of else ''}{of}.",
        hint=f"Raise it (`interlock budget set {scope} seconds=…`), then resume the thread.",
        scope=str(scope),
        unit="seconds",
    )


def _seen(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
