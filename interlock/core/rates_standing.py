"""How a target stands: what limits it, how full it is, and whether its breaker is closed. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from interlock.core.pacing import Row, at_pace, failures_in
from interlock.core.rates import Bound, Rate, RatePlan, Standing
from interlock.core.targets import ANY_TENANT


def standing_of(
    name: str,
    row: Row,
    plan: RatePlan,
    stored: Mapping[str, Rate],
    *,
    waiting: int = 0,
    at: float,
) -> Standing:
    """Return how a target stands at a time of the rows' clock."""
    bound = Bound(name=name, rate=_given(name, plan.limits, stored))
    rate, requests, tokens = bound.rate, bound.per_request, bound.per_token
    owed = at_pace(at, row.requests_at, row.requests_pace, requests) - at
    owed_tokens = at_pace(at, row.tokens_at, row.tokens_pace, tokens) - at
    return Standing(
        name=name,
        rate=rate,
        stored=name in stored,
        requests=_used(owed, bound.burst, requests),
        tokens=_used(owed_tokens, bound.burst, tokens),
        calls=None if rate.concurrent is None else len(row.calls),
        waiting=waiting,
        not_before=time_of(row.not_before) if row.not_before > at else None,
        breaker=_breaker(row, at),
        opened_at=time_of(row.opened_at) if row.opened_at else None,
        open_until=time_of(row.open_until) if row.opened_at else None,
        failures=failures_in(row.outcomes, plan.breaker, at),
        told=row.told,
    )


def time_of(seconds: float) -> datetime:
    """Return a time of the rows' clock."""
    return datetime.fromtimestamp(seconds, UTC)


def _given(name: str, declared: Mapping[str, Rate], stored: Mapping[str, Rate]) -> Rate:
    """Return the limit of a row; one of a tenant may be limited as any tenant is."""
    place, separator, tenant = name.rpartition("tenant:")
    patterns = [name, f"{place}tenant:{ANY_TENANT}"] if separator and tenant else [name]
    rate = Rate()
    for pattern in patterns:
        for each in (stored, declared):
            rate = rate.else_(each.get(pattern, Rate()))
    return rate


def _used(ahead: float, burst: float, cost: float) -> float | None:
    """Return the share of a burst that is used up; None where nothing is limited."""
    return max(0.0, ahead) / max(burst, cost) if cost else None


def _breaker(row: Row, at: float) -> Literal["closed", "open", "half-open"]:
    if not row.opened_at:
        return "closed"
    return "half-open" if row.probe_by or row.open_until <= at else "open"
