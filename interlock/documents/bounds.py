"""Budgets, rate limits and kill switches as documents. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from interlock.core.budget import Account, Limits, Unit
from interlock.core.kills import Kill, KillEvent
from interlock.core.rates import Standing, Waiting
from interlock.postgres.kills import Held


def budget_document(account: Account, limits: Limits) -> dict[str, Any]:  # JSON
    """Return a budget as one JSON object; `limits` are those that hold."""
    return {
        "kind": account.kind,
        "name": account.name,
        "limits": limits.given(),
        "stored_limits": account.limits.given(),
        "spent": account.spent.taken(),
        "held": account.held.taken(),
        "over": account.over.taken(),
        "estimated_calls": account.estimated,
        "partial": account.landed.reason if account.landed else None,
    }


def of_limits(account: Account, limits: Limits) -> str:
    """Say in one line what was taken of what is limited; empty where nothing is."""
    told = [
        f"{number(unit, (account.spent + account.held).of(unit))} of {number(unit, limit)}"
        f"{'' if unit in ('usd', 'seconds') else ' ' + unit.replace('_', ' ')}"
        for unit, limit in limits.given().items()
    ]
    return ", ".join(told)


def number(unit: Unit, amount: float) -> str:
    """Return an amount as people read it: $0.0123, 4.2 s, 20,000."""
    if unit == "usd":
        return f"${amount:,.4f}"
    return f"{amount:,.1f} s" if unit == "seconds" else f"{amount:,.0f}"


def limits_document(found: Sequence[Standing], waits: Sequence[Waiting]) -> dict[str, Any]:  # JSON
    """Return limits, and who waits, as one JSON object."""
    return {"limits": [_facts(each) for each in found], "waiting": [_wait(each) for each in waits]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A switch with what it did so far.

    Attributes:
        events: what happened with it.
        working: the runs under it that a process still works on.
        held: the other runs under it that are not ended.
        notice: what the person should know; empty for nothing.
    """

    kill: Kill
    events: list[KillEvent]
    working: list[Held] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    notice: str = ""


def kill_document(told: Told) -> dict[str, Any]:  # a JSON object
    """Return a switch with what it did."""
    return {
        **kill_facts(told.kill),
        "events": [_event(each) for each in told.events],
        "working": [asdict(each) for each in told.working],
        "held": [asdict(each) for each in told.held],
        "notice": told.notice,
    }


def kill_facts(kill: Kill) -> dict[str, Any]:  # a JSON object
    """Return a switch alone."""
    lifted = kill.lifted_at.isoformat() if kill.lifted_at else None
    return asdict(kill) | {"at": kill.at.isoformat(), "lifted_at": lifted}


def _facts(standing: Standing) -> dict[str, Any]:  # JSON
    facts = asdict(standing)
    rate = facts.pop("rate")
    times = ("not_before", "opened_at", "open_until")
    return {
        **facts,
        **{name: _iso(facts[name]) for name in times},
        "limit": {name: value for name, value in rate.items() if value is not None},
    }


def _wait(wait: Waiting) -> dict[str, Any]:  # JSON
    return {
        **asdict(wait.caller),
        "for": wait.name,
        "why": wait.why,
        "since": wait.since.isoformat(),
        "until": wait.until.isoformat(),
    }


def _event(event: KillEvent) -> dict[str, Any]:  # a JSON object
    return asdict(event) | {"at": event.at.isoformat()}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
