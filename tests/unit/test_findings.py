"""What is wrong with an installation, told from values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock.core.budget import Account, Limits, amounts_of
from interlock.core.findings import is_nearly_spent, judged
from interlock.core.health import (
    Brake,
    Health,
    Line,
    Pace,
    Questions,
    Server,
    Timers,
    Worker,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WORKER = Worker(
    worker_id="a" * 32,
    process="host:7",
    state="working",
    concurrency=16,
    graphs=None,
    tenants=None,
    started_at=NOW - timedelta(hours=1),
    beat_seconds=1.0,
    lease_seconds=9.0,
    runs=0,
    threads=(),
)
LINE = Line(
    tenant="", graph="report", priority=0, ready=3, behind=0, claimed=0, oldest_seconds=20.0
)
SERVER = Server(
    connections=5, most_connections=100, oldest_transaction_seconds=0.0, dead_queue_rows=0
)


def told(**parts: Any) -> list[tuple[str, str, str]]:  # fields of Health
    health = judged(Health(at=NOW, **parts))
    return [(each.severity, each.what, each.do) for each in health.findings]


def test_nothing_is_wrong_where_nothing_is() -> None:
    """An empty database, and workers with a short queue, need nobody."""
    assert told() == []
    assert told(workers=(WORKER,), queue=(LINE,), server=SERVER) == []


@pytest.mark.parametrize(
    ("parts", "what", "do"),
    [
        ({"queue": (LINE,)}, "3 runs queued, and no worker", "interlock worker"),
        (
            {"workers": (replace(WORKER, graphs=("other",)),), "queue": (LINE,)},
            "no worker takes graph report",
            "interlock worker --graphs report",
        ),
        (
            {
                "workers": (replace(WORKER, tenants=("acme",)),),
                "queue": (replace(LINE, tenant="globex"),),
            },
            "no worker takes graph report of tenant globex",
            "interlock worker --graphs report",
        ),
        (
            {"workers": (WORKER,), "queue": (replace(LINE, oldest_seconds=301.0),)},
            "a run has been ready for 5 min",
            "start more workers, or more at once",
        ),
        (
            {"workers": (replace(WORKER, lease_seconds=-2.0, beat_seconds=12.0),)},
            "worker host:7 has not been heard of for 12 s",
            "any other worker takes over what it had; see whether its process lives",
        ),
        (
            {"workers": (replace(WORKER, state="draining"),), "queue": (LINE,)},
            "every worker is stopping, and runs are queued",
            "interlock worker",
        ),
        (
            {"timers": (Timers(kind="wake", timers=9, overdue=2, late_seconds=40, next_at=NOW),)},
            "2 timers overdue, by up to 40 s: nobody keeps time",
            "interlock worker",
        ),
        ({"failed_timers": 1}, "1 timer failed", "interlock timers list --failed"),
        ({"letters": {"bug": 2, "poison": 1}}, "3 dead letters open", "interlock letters"),
        ({"doubts": 1}, "1 effect in doubt", "interlock effects --in-doubt"),
        (
            {"unsent": 4},
            "4 notifications failed",
            "interlock approvals notifications --failed",
        ),
        (
            {"brakes": (Brake(name="provider:x", is_open=True, open_seconds=90.0, told="503"),)},
            "provider:x has been out of order for 90 s: 503",
            "interlock limits",
        ),
        (
            {"server": replace(SERVER, connections=95)},
            "95 of 100 connections are taken",
            "raise max_connections, or run fewer processes",
        ),
    ],
)
def test_alarms(parts: dict[str, Any], what: str, do: str) -> None:
    """Each thing that a person has to do something about is told with what to do."""
    assert told(**parts) == [("alarm", what, do)]


@pytest.mark.parametrize(
    "parts",
    [
        {"queue": (replace(LINE, oldest_seconds=9.0),)},
        {"timers": (Timers(kind="wake", timers=9, overdue=2, late_seconds=20, next_at=NOW),)},
        {"queue": (replace(LINE, ready=0, behind=3),), "workers": (WORKER,)},
    ],
)
def test_what_passes_by_itself_is_no_alarm(parts: dict[str, Any]) -> None:
    """A worker that is starting, a timer that is about to fire, and runs behind others alarm nobody."""
    assert told(**parts) == []


def test_notes_come_after_alarms() -> None:
    """Questions are people's daily work: told of, and no alarm unless their time has passed."""
    waits = Questions(questions=2, oldest_seconds=50.0)

    assert told(questions=waits) == [("note", "2 questions open", "interlock approvals")]
    assert [each[0] for each in told(questions=waits, doubts=1)] == ["alarm", "note"]
    late = replace(waits, overdue=1, late_seconds=31.0)
    assert told(questions=late)[0] == (
        "alarm",
        "1 question beyond their time: nobody keeps it",
        "interlock worker, or interlock approvals watch",
    )


def test_a_breaker_that_opened_just_now_is_a_note() -> None:
    """It may close by itself; so may a queue at a rate limit get shorter."""
    young = Brake(name="provider:x", is_open=True, open_seconds=5.0)
    queued = Brake(name="model:y", waiting=3, oldest_seconds=400.0)

    assert [each[:2] for each in told(brakes=(young, queued))] == [
        ("note", "provider:x has been out of order for 5 s"),
        ("note", "3 model calls waiting for model:y, the first for 7 min"),
    ]


def test_a_budget_is_nearly_spent_from_four_fifths_on() -> None:
    """What is held counts as taken; a unit without a limit does not matter."""
    account = Account(kind="tenant", name="acme", limits=Limits(usd=10.0))

    def with_dollars(usd: float) -> Account:
        return replace(account, spent=amounts_of([9, 9, 9, usd, 0, 0, 0, 0]))

    assert not is_nearly_spent(with_dollars(7.9))
    assert is_nearly_spent(with_dollars(8.0))


def test_a_budget_of_which_nothing_is_left_is_spent() -> None:
    """Calls are refused then, and not soon."""
    account = Account(kind="graph", name="bill", limits=Limits(steps=8, usd=1.0))
    nearly, whole = (
        replace(account, spent=amounts_of([0, 0, 0, 0, steps, 0, 0, 0])) for steps in (7, 8)
    )

    assert [each[1] for each in told(budgets=(nearly, whole))] == [
        "the budget of graph bill is nearly spent",
        "the budget of graph bill is spent",
    ]


def test_sums() -> None:
    """A health knows how many runs are where, and how fast they end."""
    health = Health(
        at=NOW,
        queue=(LINE, replace(LINE, tenant="acme", ready=1, behind=4, claimed=2, oldest_seconds=3)),
        timers=(Timers(kind="wake", timers=9, overdue=0, late_seconds=-5, next_at=NOW),),
        pace=Pace(seconds=30.0, events={"succeeded": 60, "claimed": 99}),
    )

    assert (health.ready, health.behind, health.claimed, health.asleep) == (4, 4, 2, 9)
    assert health.oldest_seconds == 20.0
    assert health.pace.rate("succeeded") == 2.0
