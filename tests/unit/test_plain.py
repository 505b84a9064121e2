"""Any value as JSON that Postgres can store: what it cannot is replaced, and nothing else changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel

from interlock.postgres.plain import plain

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


class Colour(StrEnum):
    """A text with a name."""

    RED = "r\0d"


class Model(BaseModel):
    """Holds a number that JSON does not have."""

    number: float = math.nan


@dataclass
class Point:
    """Holds a text that says what JSON would."""

    text: str = "NaN"


class Odd:
    """Has no JSON form, and a text that cannot be stored."""

    def __str__(self) -> str:
        return "o\0d\ud800"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"a": [1, 2.5, None, True, "é"], "b": (1, "two")},
            {"a": [1, 2.5, None, True, "é"], "b": [1, "two"]},
        ),
        ({1: "one", None: 0}, {"1": "one", "None": 0}),
        ([10**40, 1e22, -0.0], [10**40, 1e22, -0.0]),
        ("a\0b", "a\ufffdb"),
        ({"k\0": "half \ud800"}, {"k\ufffd": "half \ufffd"}),
        ([math.nan, math.inf, -math.inf], ["nan", "inf", "-inf"]),
        ("NaN, Infinity and \\u0000", "NaN, Infinity and \\u0000"),
        ([Colour.RED, Model(), Point()], ["r\ufffdd", {"number": "nan"}, {"text": "NaN"}]),
        ({"at": WHEN, "raw": b"bytes"}, {"at": "2026-01-02T00:00:00Z", "raw": "bytes"}),
        (Odd(), "o\ufffdd\ufffd"),
    ],
)
def test_what_cannot_be_stored_is_replaced(value: Any, expected: Any) -> None:
    """Wherever it stands, and however it came there."""
    assert repr(plain(value)) == repr(expected)


def test_what_was_given_stays_as_it_was() -> None:
    """What is made is another object, to its depth."""
    given = {"a": {"b": [1]}}
    made = plain(given)
    made["a"]["b"].append(2)

    assert given == {"a": {"b": [1]}}


def test_a_circle_is_refused() -> None:
    """It has no JSON form, and no end."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        plain(circle)
