"""Filters of searches within encrypted values; `test_sealed_items.py` holds them to what Postgres says."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.postgres.item_filters import conditions, fits

VALUE: dict[str, Any] = {
    "n": 10,
    "half": 0.5,
    "large": 10**32 + 1,
    "below": -0.0,
    "yes": True,
    "none": None,
    "word": "fox",
    "list": [1, {"b": 2, "aa": "x"}],
}


@pytest.mark.parametrize(
    "having",
    [
        {},
        {"n": 10},
        {"n": 10.0, "word": "fox"},
        {"n": {"$eq": 10}},
        {"n": {"$ne": 1}},
        {"n": {"$lt": 9}},
        {"n": {"$gt": 0, "$lte": "10"}},
        {"half": {"$gte": 0.5}},
        {"large": 10**32 + 1},
        {"large": {"$gte": f"1{'0' * 31}1", "$lte": f"1{'0' * 31}1"}},
        {"below": {"$eq": 0}},
        {"below": {"$gte": "0.0", "$lte": "0.0"}},
        {"yes": {"$gt": "tru"}},
        {"none": None},
        {"word": {"$gt": "cat", "$lt": "hen"}},
        {"list": [1.0, {"aa": "x", "b": 2}]},
        {"list": {"$gte": '[1, {"b": 2, "aa": "x"}]'}},
    ],
    ids=str,
)
def test_what_fits(having: dict[str, Any]) -> None:
    """Numbers are equal by their value, objects in any order; greater and less are so as texts."""
    assert fits(VALUE, conditions(having))


@pytest.mark.parametrize(
    "having",
    [
        {"n": "10"},
        {"n": 11},
        {"n": {"$ne": 10.0}},
        {"large": 10**32},
        {"n": {"$gt": 9}},
        {"yes": 1},
        {"yes": {"$lt": True}},
        {"none": {"$gt": ""}},
        {"gone": None},
        {"gone": {"$ne": 1}},
        {"word": "fox", "n": 1},
        {"list": [1]},
    ],
    ids=str,
)
def test_what_does_not_fit(having: dict[str, Any]) -> None:
    """True is not one, what is not there fits nothing, and each condition counts."""
    assert not fits(VALUE, conditions(having))


def test_an_operator_that_there_is_not() -> None:
    """It is refused before anything is looked into."""
    with pytest.raises(ValueError, match=r"Unsupported operator: \$like"):
        conditions({"word": {"$like": "f"}})
