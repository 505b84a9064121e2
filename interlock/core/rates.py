"""How often models may be called by all processes together: limits, what a call asks for, and the port."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from interlock.errors import UsageError

T = TypeVar("T")

Why = Literal["requests", "tokens", "concurrent", "told", "breaker"]
"""What a call waits for: its share of a minute, a slot, a provider that said when to come back, or one that is out of
order."""

BURST = 1.0
"""Seconds whose share of a minute may come at once, unless a limit says otherwise."""

PATIENCE = 600.0
"""Seconds that a call waits for a provider that fails or says "later", unless the file says otherwise."""

LEAST = 0.001
"""The least that a limit lets through in a minute: one or two a day."""

LONGEST_BURST = 86_400.0
MOST_CALLS = 2**31 - 1

LONGEST_TOLD = 86_400.0
"""Seconds for which a provider is left alone that asks for more: nobody could take back what it said by mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What may be asked of a target; None is not limited here.

    Attributes:
        requests: a minute.
        tokens: a minute, of prompts and answers.
        concurrent: calls at one time.
        burst: seconds whose share may come at once; None for `BURST`.
    """

    requests: float | None = None
    tokens: float | None = None
    concurrent: int | None = None
    burst: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that limit nothing, or everything."""
        a_minute = (each for each in (self.requests, self.tokens) if each is not None)
        if any(not LEAST <= each < math.inf for each in a_minute) or not _counts(self.concurrent):
            raise UsageError(
                f"{self} lets nothing through, or limits nothing.",
                hint=f"Write numbers greater than 0, a minute {LEAST} or more; leave out what is not limited.",
            )
        if self.burst is not None and not 0 <= self.burst <= LONGEST_BURST:
            raise UsageError(f"{self}: burst is in seconds, from 0 to a day.")

    def else_(self, other: Rate) -> Rate:
        """Return this limit with another's numbers where it has none."""
        return Rate(
            requests=other.requests if self.requests is None else self.requests,
            tokens=other.tokens if self.tokens is None else self.tokens,
            concurrent=other.concurrent if self.concurrent is None else self.concurrent,
            burst=other.burst if self.burst is None else self.burst,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """When calls to a provider, or to one of its models, are held back.

    Attributes:
        failures: transient ones, after which it opens.
        of: among so many of the last calls.
        within: seconds that a failure counts.
        open: seconds until one call may try; twice as many after each try that fails, up to five minutes.
    """

    failures: int = 5
    of: int = 10
    within: float = 60.0
    open: float = 15.0

    def __post_init__(self) -> None:
        """Refuse a rule that cannot be kept."""
        seconds = (self.within, self.open)
        if not (
            1 <= self.failures <= self.of <= 1000 and all(0 < each < math.inf for each in seconds)
        ):
            raise UsageError(
                f"{self} cannot be kept.",
                hint="Write failures and of from 1 up, failures no greater than of, and seconds greater than 0.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlan:
    """What is declared.

    Attributes:
        limits: target -> what may be asked of it.
        fallbacks: model -> those that answer in its place while it is out of order, the first first.
        patience: seconds that a call waits for a provider that fails or says "later".
    """

    limits: Mapping[str, Rate] = field(default_factory=dict)
    breaker: BreakerRule = field(default_factory=BreakerRule)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit that a call comes under: its row, and what may be asked of it."""

    name: str
    rate: Rate

    @property
    def burst(self) -> float:
        """Seconds whose share may come at once."""
        return BURST if self.rate.burst is None else self.rate.burst

    @property
    def per_request(self) -> float:
        """Seconds of the limit that a request takes; 0 where they are not limited."""
        return 60.0 / self.rate.requests if self.rate.requests else 0.0

    @property
    def per_token(self) -> float:
        """Seconds of the limit that a token takes; 0 where they are not limited."""
        return 60.0 / self.rate.tokens if self.rate.tokens else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a call, for whoever looks why it waits."""

    model: str = ""
    run_id: str = ""
    thread_id: str = ""
    graph: str = ""
    tenant: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a model call needs before it is made.

    Attributes:
        key: names the call, over all times that it asks.
        bounds: the limits that it comes under.
        breakers: the targets that must be in order.
        tokens: that it takes at most.
        booked: it has a place in line, and comes because it is its turn.
        waited: it was told to wait before.
    """

    key: str
    bounds: tuple[Bound, ...] = ()
    breakers: tuple[str, ...] = ()
    tokens: int = 0
    booked: bool = False
    waited: bool = False
    caller: Caller = field(default_factory=Caller)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What a call is told: go, or come again after some seconds; `open` means that its breaker holds it back.

    Attributes:
        name: the target that makes it wait.
        probes: it is the one call that finds out whether a provider works again.
    """

    verdict: Literal["go", "wait", "open"] = "go"
    seconds: float = 0.0
    name: str = ""
    why: Why | Literal[""] = ""
    probes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How calls to a target ended; failures are only those that speak against it."""

    name: str
    ok: int = 0
    failed: int = 0
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A target that must be left alone for some seconds, because it said so."""

    name: str
    seconds: float
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What is to be noted of a call when it has ended, or is given up.

    Attributes:
        ask: as it was let through, or as it waited.
        made: it was let through.
        tokens: that it took; None where nobody knows.
    """

    ask: Ask
    made: bool = True
    tokens: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    pushed: tuple[Pushed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What every process knows of the limits, a second old at most.

    Attributes:
        stored: limits that were set by hand; each of their numbers is put in place of a declared one.
        loud: targets that are not simply in order: pushed, or with a breaker that is not closed.
    """

    stored: Mapping[str, Rate] = field(default_factory=dict)
    loud: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A call that waits."""

    key: str
    name: str
    why: Why
    caller: Caller
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a target stands.

    Attributes:
        rate: what holds, the stored numbers over the declared ones.
        stored: whether any number is stored.
        requests: the share of its burst that is used up just now: 0 idle, 1 or more full; None where not limited.
        tokens: the same of tokens.
        calls: that are under way, where their number is limited.
        waiting: calls that wait for it.
        not_before: when it may be asked again, because it said so.
        breaker: `closed`, `open`, or `half-open` while one call tries.
        opened_at: since when it is not closed.
        open_until: when one call may try.
        failures: among the last calls.
        told: what it said last.
    """

    name: str
    rate: Rate = field(default_factory=Rate)
    stored: bool = False
    requests: float | None = None
    tokens: float | None = None
    calls: int | None = None
    waiting: int = 0
    not_before: datetime | None = None
    breaker: Literal["closed", "open", "half-open"] = "closed"
    opened_at: datetime | None = None
    open_until: datetime | None = None
    failures: int = 0
    told: str = ""


@runtime_checkable
class Rates(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.rates`."""

    @property
    def plan(self) -> RatePlan:
        """Return what is declared."""
        ...

    async def look(self) -> View:
        """Return what is known of the limits, a second old at most."""
        ...

    async def take(self, ask: Ask) -> Slot:
        """Take all that a call needs, or a place in line; it comes again after the seconds that it is told."""
        ...

    async def settle(self, end: End) -> None:
        """Note how a call ended: what it did not take goes back, and others learn of a failure."""
        ...

    def worked(self, names: Sequence[str]) -> None:
        """Note a call that succeeded; it is told to others when there is an occasion."""
        ...

    async def store(self, target: str, rate: Rate, *, by: str = "") -> None:
        """Store a limit in place of the one before, and count anew; raises `UsageError` for a target that is none."""
        ...

    async def remove(self, target: str) -> bool:
        """Remove a stored limit, and count anew; say whether there was one."""
        ...

    async def standing(self) -> list[Standing]:
        """Return how each target stands that is limited or was asked, by name."""
        ...

    async def waiting(self) -> list[Waiting]:
        """Return the calls that wait, the oldest first."""
        ...

    async def stood_in(self, caller: Caller, model: str, why: str) -> None:
        """Note on a run that a model is asked in place of the one that it had asked."""
        ...

    async def run(self, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits, on whatever event loop this is called."""
        ...

    def wait(self, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits from synchronous code, also where that holds up an event loop."""
        ...


def _counts(calls: int | None) -> bool:
    return calls is None or (1 <= calls <= MOST_CALLS and calls == int(calls))
