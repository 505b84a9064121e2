"""Rate limits for one process: what plain `graph.invoke` uses, and tests."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from interlock.core.pacing import Row, decide, give_back, judge, leave_line
from interlock.core.rates import (
    Ask,
    Caller,
    End,
    Outcome,
    Rate,
    RatePlan,
    Rates,
    Slot,
    Standing,
    View,
    Waiting,
)
from interlock.core.rates_standing import standing_of, time_of
from interlock.core.recordings import finished
from interlock.core.targets import check_target, rows_of

T = TypeVar("T")


class MemoryRates:
    """Rate limits in this process's memory; any number of threads and event loops may share them."""

    def __init__(
        self, plan: RatePlan | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._plan = plan or RatePlan()
        self._clock = clock
        self._stored: dict[str, Rate] = {}
        self._rows: defaultdict[str, Row] = defaultdict(Row)
        self._waits: dict[str, Waiting] = {}
        self._lock = threading.Lock()

    @property
    def plan(self) -> RatePlan:
        """Return what is declared."""
        return self._plan

    async def look(self) -> View:
        """Return what is known of the limits."""
        at = self._clock()
        with self._lock:
            loud = [n for n, row in self._rows.items() if row.opened_at or row.not_before > at]
            return View(stored=dict(self._stored), loud=frozenset(loud))

    async def take(self, ask: Ask) -> Slot:
        """Take all that a call needs, or a place in line."""
        at = self._clock()
        with self._lock:
            slot = decide(ask, self._rows, at)
            if slot.verdict == "go":
                self._waits.pop(ask.key, None)
            else:
                self._wait(ask, slot, at)
            return slot

    async def settle(self, end: End) -> None:
        """Note how a call ended."""
        at, ask = self._clock(), end.ask
        with self._lock:
            self._waits.pop(ask.key, None)
            if end.made:
                give_back(ask, self._rows, end.tokens)
            elif ask.booked:
                leave_line(ask, self._rows)
            for pushed in end.pushed:
                row = self._rows[pushed.name]
                row.not_before = max(row.not_before, at + pushed.seconds)
                row.told = pushed.told
            for outcome in end.outcomes:
                judge(self._rows[outcome.name], outcome, ask.key, self._plan.breaker, at)

    def worked(self, names: Sequence[str]) -> None:
        """Note a call that succeeded."""
        at = self._clock()
        with self._lock:
            for name in names:
                judge(self._rows[name], Outcome(name=name, ok=1), "", self._plan.breaker, at)

    async def store(self, target: str, rate: Rate, *, by: str = "") -> None:
        """Store a limit in place of the one before."""
        with self._lock:
            self._stored[check_target(target)] = rate
            self._begin_anew(target)

    async def remove(self, target: str) -> bool:
        """Remove a stored limit; say whether there was one."""
        with self._lock:
            self._begin_anew(target)
            return self._stored.pop(target, None) is not None

    async def standing(self) -> list[Standing]:
        """Return how each target stands that is limited or was asked, by name."""
        at = self._clock()
        with self._lock:
            names = sorted({*self._rows, *self._stored, *self._plan.limits})
            waiting = [each.name for each in self._waits.values()]
            return [
                standing_of(
                    name,
                    self._rows.get(name) or Row(),
                    self._plan,
                    self._stored,
                    waiting=waiting.count(name),
                    at=at,
                )
                for name in names
            ]

    async def waiting(self) -> list[Waiting]:
        """Return the calls that wait, the oldest first."""
        with self._lock:
            return sorted(self._waits.values(), key=lambda each: each.since)

    async def stood_in(self, caller: Caller, model: str, why: str) -> None:
        """Note nothing: the graph's stream tells of it, and a run in plain LangGraph has no events."""

    async def run(self, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits."""
        return await work(self)

    def wait(self, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits from synchronous code."""
        return finished(work(self))

    def _begin_anew(self, target: str) -> None:
        for name in rows_of(target, self._rows):
            row = self._rows[name]
            row.requests_at = row.tokens_at = row.requests_line = row.tokens_line = 0.0
            row.not_before = 0.0

    def _wait(self, ask: Ask, slot: Slot, at: float) -> None:
        before = self._waits.get(ask.key)
        assert slot.why  # noqa: S101  # who waits, waits for something
        self._waits[ask.key] = Waiting(
            key=ask.key,
            name=slot.name,
            why=slot.why,
            caller=ask.caller,
            since=before.since if before else time_of(at),
            until=time_of(at + slot.seconds),
        )
