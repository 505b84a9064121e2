"""When a call may be made: the generic cell rate algorithm, and a breaker. Pure decisions; the database has a twin.

A limit is a schedule: each request takes its share of a minute of it. What was let through is paid for at a certain
time (`paid`), and the next may go when that is not further ahead than the burst. Those that wait stand in a line of
their own, so that who comes later does not go first; whether it goes is decided anew when it is its turn.
Source: ITU-T I.371, virtual scheduling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from interlock.core.rates import Ask, Bound, BreakerRule, Outcome, Slot, Why

SHORTEST = 0.001
"""Seconds for which nobody waits."""

LOOK_SECONDS = 0.2
"""How often a call looks whether a slot has become free."""

PROBE_SECONDS = 0.25
"""The same while another call tries a provider."""

LONGEST_OPEN = 300.0
LEARNT = 0.1
"""How much the latest call counts in what calls take of what is reserved for them."""


@dataclass(slots=True)
class Row:
    """How a target stands; times are in seconds of one clock, and 0 is never. The columns of `rates` say more."""

    requests_at: float = 0.0
    tokens_at: float = 0.0
    requests_line: float = 0.0
    tokens_line: float = 0.0
    token_share: float = 1.0
    not_before: float = 0.0
    outcomes: list[tuple[bool, float]] = field(default_factory=list)
    opened_at: float = 0.0
    open_until: float = 0.0
    openings: int = 0
    probe_by: str = ""
    told: str = ""
    calls: set[str] = field(default_factory=set)
    requests_pace: float = 0.0
    tokens_pace: float = 0.0


Rows = Mapping[str, Row]


def due(at: float, paid: float, cost: float, burst: float) -> float:
    """Return for how many seconds something has to wait that costs so many seconds of a rate."""
    return max(paid, at) + cost - at - max(burst, cost)


def decide(ask: Ask, rows: Rows, at: float) -> Slot:
    """Say whether a call may go, or how long it waits; the rows are changed accordingly."""
    for bound in ask.bounds:
        _keep_pace(bound, rows[bound.name], at)
    held = _held(ask, rows, at)
    slot = max([held, *_dues(ask, rows, at)], key=lambda each: each.seconds)
    if slot.seconds > SHORTEST:
        if slot.verdict != "open" and not ask.booked:
            _line_up(ask, rows, at)
        return slot
    _let_through(ask, rows, at)
    probed = [rows[name] for name in ask.breakers if rows[name].opened_at]
    for row in probed:
        row.probe_by = ask.key
    return Slot(probes=bool(probed))


def _keep_pace(bound: Bound, row: Row, at: float) -> None:
    """Let what is owed in requests and tokens be paid off at the pace of the limit as it is now."""
    if requests := bound.per_request:
        row.requests_at = at_pace(at, row.requests_at, row.requests_pace, requests)
        row.requests_line = at_pace(at, row.requests_line, row.requests_pace, requests)
        row.requests_pace = requests
    if token := bound.per_token:
        row.tokens_at = at_pace(at, row.tokens_at, row.tokens_pace, token)
        row.tokens_line = at_pace(at, row.tokens_line, row.tokens_pace, token)
        row.tokens_pace = token


def at_pace(at: float, paid: float, pace: float, other: float) -> float:
    """Return until when something is paid off at another pace, in seconds for a unit; as it was where one is 0."""
    return at + (paid - at) * _ratio(pace, other) if paid > at else paid


def _ratio(pace: float, other: float) -> float:
    """Return by how much a time span of one pace is longer at another; 1 where either is not known."""
    return other / pace if pace and other else 1.0


def _held(ask: Ask, rows: Rows, at: float) -> Slot:
    """Return what its breakers, and what providers have said, make of a call."""
    found = [Slot()]
    for name in ask.breakers:
        row = rows[name]
        if row.opened_at:
            probing = PROBE_SECONDS if row.probe_by else 0.0
            found.append(_wait("breaker", name, max(row.open_until - at, probing)))
        found.append(_wait("told", name, row.not_before - at))
    return max(found, key=lambda each: each.seconds)


def _dues(ask: Ask, rows: Rows, at: float) -> list[Slot]:
    return [slot for bound in ask.bounds for slot in _due(ask, bound, rows[bound.name], at)]


def _due(ask: Ask, bound: Bound, row: Row, at: float) -> list[Slot]:
    requests, tokens = bound.per_request, bound.per_token * ask.tokens
    soonest = [due(at, row.requests_at, requests, bound.burst)] if requests else []
    allowed = [due(at, row.tokens_at, tokens, bound.burst)] if tokens else []
    if requests and not ask.booked:
        soonest.append(due(at, row.requests_line, requests, bound.burst))
    if tokens and not ask.booked:
        share = tokens * row.token_share
        allowed.append(due(at, row.tokens_line, share, max(bound.burst, tokens)))
    full = bound.rate.concurrent is not None and len(row.calls) >= bound.rate.concurrent
    return [
        _wait("requests", bound.name, max(soonest, default=0.0)),
        _wait("tokens", bound.name, max(allowed, default=0.0)),
        _wait("concurrent", bound.name, LOOK_SECONDS if full else 0.0),
    ]


def _wait(why: Why, name: str, seconds: float) -> Slot:
    if seconds <= SHORTEST:
        return Slot()
    return Slot(verdict="open" if why == "breaker" else "wait", seconds=seconds, name=name, why=why)


def _line_up(ask: Ask, rows: Rows, at: float) -> None:
    for bound in ask.bounds:
        row = rows[bound.name]
        row.requests_line = max(row.requests_line, at) + bound.per_request
        share = bound.per_token * ask.tokens * row.token_share
        row.tokens_line = max(row.tokens_line, at) + share


def _let_through(ask: Ask, rows: Rows, at: float) -> None:
    if not ask.booked:
        _line_up(ask, rows, at)
    for bound in ask.bounds:
        row = rows[bound.name]
        row.requests_at = max(row.requests_at, at) + bound.per_request
        row.tokens_at = max(row.tokens_at, at) + bound.per_token * ask.tokens
        if bound.rate.concurrent is not None:
            row.calls.add(ask.key)


def give_back(ask: Ask, rows: Rows, tokens: int | None) -> None:
    """Give back the slots of a call that was made, and what it did not take; what it took beyond that is charged."""
    for bound in ask.bounds:
        row = rows[bound.name]
        row.calls.discard(ask.key)
        if tokens is not None and ask.tokens and bound.per_token:
            more = (tokens - ask.tokens) * bound.per_token
            row.tokens_at += more * _ratio(bound.per_token, row.tokens_pace)
            share = tokens / ask.tokens or row.token_share  # what failed teaches nothing
            learnt = row.token_share * (1 - LEARNT) + LEARNT * share
            row.token_share = min(max(learnt, 0.05), 1.0)


def leave_line(ask: Ask, rows: Rows) -> None:
    """Give back the place in line of a call that is not made."""
    for bound in ask.bounds:
        row = rows[bound.name]
        row.requests_line -= bound.per_request * _ratio(bound.per_request, row.requests_pace)
        share = bound.per_token * ask.tokens * row.token_share
        row.tokens_line -= share * _ratio(bound.per_token, row.tokens_pace)


def judge(row: Row, outcome: Outcome, key: str, rule: BreakerRule, at: float) -> None:
    """Count how calls ended, and open or close the breaker."""
    if row.probe_by and row.probe_by == key:
        _probed(row, outcome, rule, at)
    elif not row.opened_at:
        row.outcomes += [(True, at)] * outcome.ok + [(False, at)] * outcome.failed
        del row.outcomes[: -rule.of]
        if outcome.failed:
            row.told = outcome.told
            if failures_in(row.outcomes, rule, at) >= rule.failures:
                row.opened_at, row.open_until, row.openings = at, at + rule.open, 1


def _probed(row: Row, outcome: Outcome, rule: BreakerRule, at: float) -> None:
    row.probe_by = ""
    if outcome.failed:
        longer = rule.open * 2.0 ** min(row.openings, 10)
        row.open_until = at + min(longer, LONGEST_OPEN)
        row.openings += 1
        row.told = outcome.told
    elif outcome.ok:
        row.opened_at, row.open_until, row.openings = 0.0, 0.0, 0
        row.outcomes.clear()


def failures_in(outcomes: Sequence[tuple[bool, float]], rule: BreakerRule, at: float) -> int:
    """Return how many of the last calls failed lately."""
    return sum(not good and seen > at - rule.within for good, seen in outcomes)
