from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock.cli import texts
from interlock.core.runs import Usage

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.034, "0.03 s"), (4.21, "4.2 s"), (65, "1:05"), (7384, "2:03:04")]
)
def test_duration(seconds: float, text: str) -> None:
    """A duration is as exact as a person needs it."""
    assert texts.duration(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=4), "4 s ago"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=5), "5 h ago"),
        (timedelta(days=2, hours=5), "2 d ago"),
        (timedelta(seconds=-1), "0 s ago"),
    ],
)
def test_ago(passed: timedelta, text: str) -> None:
    """A time is told in its largest unit; a clock that is ahead is not told of."""
    assert texts.ago(NOW - passed, NOW) == text


def test_spent() -> None:
    """What model calls took is told in one line."""
    used = Usage(calls=2, input_tokens=1000, output_tokens=234, cost=None)

    assert texts.spent(used) == "2 model calls · 1,234 tokens · ?"
    assert texts.spent(Usage()) == "no model calls"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (None, [1, 2], "key +2"),
        ([1], [1, 2, 3], "key +2"),
        ([1], [2, 3], "key (2)"),
        ([1], [], "key emptied"),
        ({"a": 1}, {"a": 2, "b": 1}, "key +1 ~1"),
        (None, {"a": 1}, "key (1)"),
        (1, 2, "key 1 → 2"),
        (None, 0.5, "key 0.5"),
        (False, True, "key False → True"),
        ("a", "b", "key “b”"),
        ("a", "", "key emptied"),
        ("a", None, "key removed"),
        (None, object(), "key set"),
    ],
)
def test_change(old: Any, new: Any, text: str) -> None:  # values of any state
    """What happened to a key is told in a few words."""
    assert texts.change("key", old, new) == text


def test_changes() -> None:
    """Keys that were empty and stay so are not told of; nought is something."""
    told = texts.changes(["a", "b", "c"], {}, {"a": [], "b": 0, "c": "x"})

    assert told == "b 0, c “x”"


def test_lines() -> None:
    """A value is an outline: scalars beside their keys, long lists cut, deep parts on one line."""
    value = {
        "title": "T",
        "empty": [],
        "list": [1, 2, 3, 4, 5, 6, 7],
        "tasks": [{"id": "a", "needs": ["x"], "where": {"line": 3}}],
    }

    assert texts.lines_of(value) == [
        "title: T",
        "empty: []",
        "list:",
        "  - 1",
        "  - 2",
        "  - 3",
        "  - 4",
        "  - 5",
        "  … 2 more",
        "tasks:",
        "  - id: a",
        "    needs: x",
        "    where: 3",
    ]


def test_lines_shallow() -> None:
    """Where little is wanted, what holds more is counted."""
    assert texts.lines_of({"tasks": [{"id": 1}, {"id": 2}]}, depth=1) == ["tasks: 2 items"]


def test_lines_full() -> None:
    """Where all is wanted, nothing is shortened."""
    assert texts.lines_of({"text": "x" * 400, "list": list(range(9))}, full=True) == [
        "text: " + "x" * 400,
        "list:",
        *(f"  - {number}" for number in range(9)),
    ]


def test_lines_long_text() -> None:
    """A long text is cut, and says how long it is."""
    assert texts.lines_of("x" * 400) == ["x" * 300 + " … (400 characters)"]


def test_read_value() -> None:
    """What a person types is JSON where it is JSON, else text."""
    assert texts.read_value('["a", 1]') == ["a", 1]
    assert texts.read_value("a question?") == "a question?"
