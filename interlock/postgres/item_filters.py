"""Filters of searches, for values that only we can read: what they mean in SQL, they mean here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from json import dumps
from operator import ge, gt, le, lt
from typing import Any

from interlock.errors import UsageError

Json = Any  # what `json.loads` returns
Condition = tuple[str, str, Json]
"""Key, operator and operand."""

_TEXTUAL: Mapping[str, Callable[[str, str], bool]] = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}


def spelled(having: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Return a filter with an operator for each of its values, which LangGraph's store compares exactly then.

    Raises:
        UsageError: a value is no JSON.
    """
    for key, said in having.items():
        try:
            dumps(said)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"What a search's filter compares {key!r} with is no JSON: {error}.",
                hint="Use a text, a number, true, false, null, or lists and objects of these.",
            ) from error
    return {key: said if isinstance(said, dict) else {"$eq": said} for key, said in having.items()}


def conditions(having: Mapping[str, Json]) -> list[Condition]:
    """Return what a filter asks for; raises `ValueError` for an operator that there is not."""
    asked = [
        (key, operator, operand)
        for key, said in having.items()
        for operator, operand in (said.items() if isinstance(said, dict) else [("$eq", said)])
    ]
    for _, operator, _ in asked:
        if operator not in ("$eq", "$ne", *_TEXTUAL):
            raise ValueError(f"Unsupported operator: {operator}")
    return asked


def fits(value: Mapping[str, Json], asked: Sequence[Condition]) -> bool:
    """Say whether a value is as it is asked for; one that lacks a key fits nothing that is said of that key."""
    return all(_fits(value, *each) for each in asked)


def _fits(value: Mapping[str, Json], key: str, operator: str, operand: Json) -> bool:
    if key not in value:
        return False
    if operator in ("$eq", "$ne"):
        return (_exact(value[key]) == _exact(operand)) is (operator == "$eq")
    text = _text(value[key])
    return text is not None and _TEXTUAL[operator](text, str(operand))


def _exact(value: Json) -> Json:
    """Return what is equal for what Postgres takes for equal JSON: 1 and 1.0, but not 1 and true."""
    match value:
        case bool():
            return ("bool", value)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return [_exact(each) for each in value]
        case dict():
            return {key: _exact(each) for key, each in value.items()}
        case _:
            return value


def _text(value: Json) -> str | None:
    """Return the text that Postgres's `->>` makes of a value."""
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: Json) -> str:
    """Return JSON as Postgres writes it, keys of objects by their length first."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() | float():
            return format(_number(value), "f")
        case list() | tuple():
            return f"[{', '.join(map(_json, value))}]"
        case dict():
            members = sorted(value.items(), key=lambda each: _place(each[0]))
            return "{" + ", ".join(f"{_json(key)}: {_json(each)}" for key, each in members) + "}"
        case _:
            return dumps(value, ensure_ascii=False)


def _number(value: float) -> Decimal:
    number = Decimal(repr(value))  # whole, where sums would be rounded
    return number or abs(number)  # there is no negative zero


def _place(key: str) -> tuple[int, bytes]:
    return len(encoded := key.encode()), encoded
