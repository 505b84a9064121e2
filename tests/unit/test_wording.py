"""How values read to a person, wherever they are shown."""

from __future__ import annotations

import pytest

from interlock import wording


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("3f2a9c1e-0d5b-4c7a-9e21-6b1f8a2c4d3e", "3f2a9c1e"),
        ("e703b31f5561bd8f", "e703b31f"),
        ("customer-4711", "customer-4711"),
    ],
)
def test_short(identifier: str, text: str) -> None:
    """Only ids that were made here may be abbreviated; a name that somebody gave is found by the whole of it."""
    assert wording.short(identifier) == text


@pytest.mark.parametrize(
    ("cost", "text"),
    [(None, "?"), (0.0, "$0"), (0.0123, "$0.0123"), (2.5, "$2.50"), (1234.5, "$1,234.50")],
)
def test_money(cost: float | None, text: str) -> None:
    """An unknown price is a question mark, never nought."""
    assert wording.money(cost) == text


def test_names() -> None:
    """Nodes that ran side by side are counted."""
    assert wording.names(["work", "work", "note"]) == "work \N{MULTIPLICATION SIGN}2, note"
    assert wording.names(["__start__"]) == "start"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 steps"), (1, "1 step"), (12000, "12,000 steps")]
)
def test_counted(number: int, text: str) -> None:
    """A noun is in the plural unless there is one of it."""
    assert wording.counted(number, "step") == text


@pytest.mark.parametrize(("length", "text"), [(11, "two words…"), (14, "two words here"), (0, "…")])
def test_clipped(length: int, text: str) -> None:
    """What is cut says so, and is never longer than it may be, but for the sign that it was cut."""
    assert wording.clipped("two words\n  here", length) == text
