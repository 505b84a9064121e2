"""Failures in groups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from interlock.postgres.dashboard import ListedFailure
from interlock.server.dashboard.failing import Span, chart, grouped

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SPAN = Span(now=NOW, each=timedelta(hours=1), parts=3, form="%H:%M")


def failure(minutes_ago: int, kind: str, error_type: str, status: str = "open") -> ListedFailure:
    """Return a failure of the graph `orders`."""
    return ListedFailure(
        kind=kind,
        error_type=error_type,
        graph="orders",
        node="price",
        error=f"{error_type}: {minutes_ago}",
        at=NOW - timedelta(minutes=minutes_ago),
        letter_id="",
        status=status,
        thread_id="t",
    )


def test_the_largest_class_comes_first_and_each_place_is_one_case() -> None:
    """Three bugs of two kinds and a failure without a letter, whose class is known by its name."""
    found = [
        failure(5, "bug", "ValueError"),
        failure(70, "", "BudgetSpent", ""),
        failure(80, "bug", "ValueError", "discarded"),
        failure(170, "bug", "TypeError"),
    ]

    bugs, budget = grouped(found, SPAN)

    assert (bugs.kind, bugs.times, bugs.counts) == ("bug", 3, [1.0, 1.0, 1.0])
    assert [(each.latest.error, each.times, each.open) for each in bugs.cases] == [
        ("ValueError: 5", 2, 1),
        ("TypeError: 170", 1, 1),
    ]
    assert (budget.kind, budget.counts) == ("budget", [0.0, 1.0, 0.0])


def test_the_chart_begins_when_the_span_does() -> None:
    """Three hours, the first of which began three hours ago."""
    drawn = chart(grouped([failure(5, "poison", "")], SPAN), SPAN)

    assert drawn.labels == ["09:00", "10:00", "11:00"]
    assert [each.values for each in drawn.series] == [[0.0, 0.0, 1.0]]
