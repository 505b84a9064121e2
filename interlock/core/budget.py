"""Budgets: what a run, a thread, a graph or a tenant may take, reserved before and settled after."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

from interlock.errors import BudgetSpent, UsageError

T = TypeVar("T")

Unit = Literal[
    "input_tokens",
    "output_tokens",
    "tokens",
    "usd",
    "steps",
    "seconds",
    "model_calls",
    "actions",
]
"""What can be limited; stored amounts stand in this order, which is therefore a contract."""

UNITS: tuple[Unit, ...] = get_args(Unit)

ScopeKind = Literal["run", "thread", "graph", "tenant"]
"""What has a budget, the innermost first."""

DIGITS = 9
"""Decimal places of dollars and seconds: sums of what was rounded to them are exact enough to compare."""


ONE_STEP = 1e-12
"""The share to keep back where a graph lands and declares none: nothing but the step in which it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be taken at most; None for no limit.

    Attributes:
        input_tokens: of prompts.
        output_tokens: of answers.
        tokens: of both.
        usd: US dollars, of model calls by the price table and of actions by their estimates.
        steps: supersteps of the run's own graph.
        seconds: wall time at work; what waits for a person takes none.
        model_calls: calls of models that were answered by a provider.
        actions: actions that were performed.
        landing: the share (0 to 1) that is kept back for the `land` node.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    usd: float | None = None
    steps: int | None = None
    seconds: float | None = None
    model_calls: int | None = None
    actions: int | None = None
    landing: float = 0.0

    def __post_init__(self) -> None:
        for unit, limit in self.given().items():
            _check(unit, limit)
        if not 0 <= self.landing < 1:
            raise UsageError(
                f"landing={self.landing:g} is no share.", hint="Write 0 or more and less than 1."
            )

    def of(self, unit: Unit) -> float | None:
        """Return the limit on one unit."""
        limit: float | None = getattr(self, unit)
        return limit

    def given(self) -> dict[Unit, float]:
        """Return the units that are limited."""
        return {unit: limit for unit in UNITS if (limit := self.of(unit)) is not None}

    def within(self, other: Limits) -> Limits:
        """Return the tighter of both, unit by unit."""
        both = {unit: _least(self.of(unit), other.of(unit)) for unit in UNITS}
        return limits_of(both, landing=max(self.landing, other.landing))

    def else_(self, other: Limits) -> Limits:
        """Return these limits, and those of the other where these have none."""
        merged = {**other.given(), **self.given()}
        return limits_of(merged, landing=self.landing or other.landing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What is taken; units as in `Limits`."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    model_calls: int = 0
    actions: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers."""
        return self.input_tokens + self.output_tokens

    def of(self, unit: Unit) -> float:
        """Return the amount of one unit."""
        amount: float = getattr(self, unit)
        return amount

    def values(self) -> list[float]:
        """Return the amounts in the order of `UNITS`."""
        return [float(round(self.of(unit), DIGITS)) for unit in UNITS]

    def taken(self) -> dict[Unit, float]:
        """Return the units of which something is taken."""
        return {unit: amount for unit in UNITS if (amount := self.of(unit))}

    def beyond(self, other: Amounts) -> Amounts:
        """Return by how much these amounts are more than others."""
        more = self - other
        return Amounts(**{each.name: max(0, getattr(more, each.name)) for each in fields(more)})

    def __add__(self, other: Amounts) -> Amounts:
        pairs = ((each.name, self, other) for each in fields(self))
        return Amounts(
            **{name: round(getattr(a, name) + getattr(b, name), DIGITS) for name, a, b in pairs}
        )

    def __neg__(self) -> Amounts:
        return Amounts(**{each.name: -getattr(self, each.name) for each in fields(self)})

    def __sub__(self, other: Amounts) -> Amounts:
        return self + -other


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Something that has a budget, and the limits that the caller knows for it beside the stored ones.

    Attributes:
        name: the run's, thread's or graph's id, or the tenant.
        default: holds for the units that have no stored limit.
        ceiling: holds in any case.
        keep: the share of each limit that is kept back now, for landing.
    """

    kind: ScopeKind
    name: str
    default: Limits = field(default_factory=Limits)
    ceiling: Limits = field(default_factory=Limits)
    keep: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def limits(self, stored: Limits) -> Limits:
        """Return the limits that hold, given the stored ones."""
        return stored.else_(self.default).within(self.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """That a run was steered to its landing.

    Attributes:
        step: the superstep in which something was refused; the landing begins with the next one.
        reason: why, in a sentence.
        unit: what ran out.
        scope: whose budget.
    """

    step: int
    reason: str
    unit: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How a budget stands.

    Attributes:
        limits: the stored ones.
        spent: what was settled or charged.
        held: what is reserved by calls that are under way.
        over: what calls took beyond what had been reserved for them.
        estimated: how many calls were counted by us, because their provider reported nothing.
        landed: why its run was steered to its landing, if it was.
    """

    kind: ScopeKind
    name: str
    limits: Limits = field(default_factory=Limits)
    spent: Amounts = field(default_factory=Amounts)
    held: Amounts = field(default_factory=Amounts)
    over: Amounts = field(default_factory=Amounts)
    estimated: int = 0
    landed: Landed | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is written down with what was taken.

    Attributes:
        model: the model, as `provider:name`; empty for what is no model call.
        prices: version of the price table.
        estimated: whether the amounts were counted here, because the provider reported none.
    """

    model: str = ""
    prices: str = ""
    estimated: bool = False


@runtime_checkable
class Budgets(Protocol):
    """The port: in memory in `interlock.core.budget_memory`, in Postgres in `interlock.postgres.budgets`.

    What is taken is taken from all scopes or from none. A `key` names it: the same key is taken once, whoever
    says it again.
    """

    async def reserve(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str, at_once: bool = False
    ) -> bool:
        """Hold amounts until they are settled or released; return whether this call took them.

        Args:
            scopes: whose budgets.
            amounts: what may be taken at most.
            key: names it.
            at_once: they are spent now; there is nothing to settle.

        Raises:
            BudgetSpent: a budget does not suffice; nothing was held.
        """
        ...

    async def settle(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str, facts: Facts | None = None
    ) -> None:
        """Charge what was taken in full, and let the rest of what was held go; once.

        What was given back meanwhile, because its process was taken for dead, is charged all the same.
        """
        ...

    async def release(self, key: str) -> None:
        """Give back what was held, or spent at once; once."""
        ...

    async def charge(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str = "", steps: Sequence[str] = ()
    ) -> None:
        """Charge what was taken already, in full, whatever the limits say; and a superstep for each new key.

        Args:
            scopes: whose budgets.
            amounts: what was taken; with a key all of it since that key was first used.
            key: names a sum that grows: only what it grew by is charged, however often it is said.
            steps: the keys of supersteps.
        """
        ...

    async def left(self, scopes: Sequence[Scope]) -> Mapping[Unit, float]:
        """Return what is left of each unit that is limited, without what is kept back; the least over the scopes."""
        ...

    async def account(self, kind: ScopeKind, name: str) -> Account:
        """Return how a budget stands; one that nobody took from is empty."""
        ...

    async def accounts(
        self, kind: ScopeKind | None = None, *, limited: bool = False, limit: int = 50
    ) -> list[Account]:
        """Return the budgets that something was taken from lately; `limited`: only those with a stored limit."""
        ...

    async def limit(self, kind: ScopeKind, name: str, limits: Limits) -> None:
        """Store a budget's limits in place of the ones before; they hold from the next reservation on."""
        ...

    async def land(self, name: str, landed: Landed) -> Landed:
        """Note that a run is steered to its landing; return the first such note."""
        ...

    async def run(self, work: Callable[[Budgets], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the budgets, on whatever event loop this is called."""
        ...

    def wait(self, work: Callable[[Budgets], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the budgets from synchronous code, also where that holds up an event loop."""
        ...


def _check(unit: Unit, limit: float) -> None:
    """Raise `UsageError` for what limits nothing: a comparison with it would let everything pass, or nothing."""
    if not 0 <= limit < math.inf:
        raise UsageError(f"{unit}={limit:g} is no limit.", hint="Write 0 or more.")
    if unit not in ("usd", "seconds") and limit != int(limit):
        raise UsageError(f"{unit}={limit:g} is no whole number.")


def limits_of(values: Mapping[Unit, float | None], *, landing: float = 0.0) -> Limits:
    """Return limits by unit; counts are whole numbers."""
    kept: dict[str, Any] = {  # the fields of Limits
        unit: each if unit in ("usd", "seconds") else int(each)
        for unit, each in values.items()
        if each is not None
    }
    return Limits(**kept, landing=landing)


def amounts_of(values: Sequence[float]) -> Amounts:
    """Return amounts from values in the order of `UNITS`."""
    by_unit = dict(zip(UNITS, values, strict=True))
    return Amounts(
        input_tokens=int(by_unit["input_tokens"]),
        output_tokens=int(by_unit["output_tokens"]),
        usd=float(by_unit["usd"]),
        steps=int(by_unit["steps"]),
        seconds=float(by_unit["seconds"]),
        model_calls=int(by_unit["model_calls"]),
        actions=int(by_unit["actions"]),
    )


def usable(limit: float, keep: float, unit: Unit) -> float:
    """Return the part of a limit that is not kept back; of counts whole ones, and at least one step is kept."""
    if not keep:
        return limit
    kept = round(limit * keep, DIGITS)
    if unit in ("usd", "seconds"):
        return round(limit - kept, DIGITS)
    return float(limit - max(math.ceil(kept), 1 if unit == "steps" else 0))


def refused(scope: Scope, stored: Limits, taken: Amounts, wanted: Amounts) -> BudgetSpent | None:
    """Return why a budget does not suffice, if it does not.

    Args:
        scope: whose budget.
        stored: its stored limits.
        taken: what is spent and held.
        wanted: what is asked for.
    """
    for unit, limit in scope.limits(stored).given().items():
        asked, left = wanted.of(unit), usable(limit, scope.keep, unit) - taken.of(unit)
        if asked and round(left - asked, DIGITS) < 0:
            return spent(scope, unit, asked=asked, left=left, limit=limit)
    return None


def spent(scope: Scope, unit: Unit, *, asked: float, left: float, limit: float) -> BudgetSpent:
    """Return the error that says which budget does not suffice for what."""
    rest = max(0.0, left)
    return BudgetSpent(
        f"The budget of {scope} does not suffice: {shown(unit, asked)} may be needed, "
        f"and {_bare(unit, rest)} of {shown(unit, limit)} {'is' if limit == 1 else 'are'} left"
        f"{' beside what is kept for landing' if scope.keep > ONE_STEP else ''}.",
        hint=_hint(scope, unit),
        scope=str(scope),
        unit=unit,
    )


def shown(unit: Unit, amount: float) -> str:
    """Return an amount as a person reads it."""
    if unit == "usd":
        return f"${amount:,.4f}"
    if unit == "seconds":
        return f"{amount:,.1f} seconds"
    word = unit.replace("_", " ")
    return f"{amount:,.0f} {word.removesuffix('s') if amount == 1 else word}"


def _bare(unit: Unit, amount: float) -> str:
    """Return an amount without its unit, which follows."""
    return shown(unit, amount).partition(" ")[0]


def _hint(scope: Scope, unit: Unit) -> str:
    return f"Raise it (`interlock budget set {scope} {unit}=…`), then resume the thread."


def _least(a: float | None, b: float | None) -> float | None:
    given = [each for each in (a, b) if each is not None]
    return min(given, default=None)
