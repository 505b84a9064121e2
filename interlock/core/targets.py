"""Whom rate limits are of: providers, models and tenants, and the limits that a call comes under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.core.rates import Bound, Rate
from interlock.errors import UsageError

ANY_TENANT = "*"


def breakers_of(model: str) -> tuple[str, ...]:
    """Return the targets that must be in order for a call of a model, `provider:name`."""
    return (f"provider:{model.partition(':')[0]}", f"model:{model}")


def bounds_of(
    model: str, tenant: str, declared: Mapping[str, Rate], stored: Mapping[str, Rate]
) -> tuple[Bound, ...]:
    """Return the limits that a call comes under; each of them has a row of its own for each tenant that it names."""
    if not declared and not stored:
        return ()
    found = [
        _bound(name, patterns, declared, stored) for name, patterns in _names(model, tenant).items()
    ]
    return tuple(each for each in found if each is not None)


def _names(model: str, tenant: str) -> dict[str, tuple[str, ...]]:
    """Return the rows of a call's limits, each with the targets that may limit it, the narrower first."""
    places = breakers_of(model)
    names: dict[str, tuple[str, ...]] = {each: (each,) for each in places}
    if tenant:
        names[f"tenant:{tenant}"] = (f"tenant:{tenant}", f"tenant:{ANY_TENANT}")
        for each in places:
            own, any_ = f"{each}/tenant:{tenant}", f"{each}/tenant:{ANY_TENANT}"
            names[own] = (own, any_)
    return names


def _bound(
    name: str,
    patterns: tuple[str, ...],
    declared: Mapping[str, Rate],
    stored: Mapping[str, Rate],
) -> Bound | None:
    given = [each[p] for p in patterns for each in (stored, declared) if p in each]
    rate = Rate()
    for each in given:
        rate = rate.else_(each)
    limits = (rate.requests, rate.tokens, rate.concurrent)
    return Bound(name=name, rate=rate) if any(limits) else None


def rows_of(target: str, names: Iterable[str]) -> list[str]:
    """Return of some rows those that a target limits: its own, or with `*` that of each tenant."""
    before, star, _ = target.rpartition(f"tenant:{ANY_TENANT}")
    return [
        each for each in names if each == target or (star and each.startswith(f"{before}tenant:"))
    ]


def check_target(target: str) -> str:
    """Return a target as it is written; raises `UsageError` for what is none."""
    place, _, tenant = target.partition("/tenant:")
    kind, _, name = place.partition(":")
    whole = bool(name) and (kind != "model" or all(name.partition(":")[::2]))
    narrow = "/tenant:" in target
    known = kind in ("provider", "model") or (kind == "tenant" and not narrow)
    if not (known and whole and bool(tenant) == narrow):
        raise UsageError(
            f"{target!r} is nothing that can be limited.",
            hint="Write provider:openai, model:openai:gpt-5 or tenant:acme; for one tenant at one provider "
            "provider:openai/tenant:acme, and for each tenant tenant:*.",
        )
    return target
