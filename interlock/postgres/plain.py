"""Text and JSON as Postgres can store them, made from any value or error of an application."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from psycopg.types.json import Jsonb
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from interlock.errors import UsageError

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What neither text nor jsonb holds: NUL, and halves of characters, as in names of files that are not UTF-8."""

_TELLING = re.compile(rb"\\u0000|NaN|Infinity")
"""What stands in JSON wherever it holds a NUL or a number that jsonb does not hold."""


def clean(text: str) -> str:
    """Return the text with the replacement character where Postgres cannot store one."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def plain(value: Any) -> Any:  # anything -> JSON
    """Return a value as JSON that can be stored and shown; what has no JSON form becomes its text."""
    try:
        found = to_jsonable_python(value, fallback=str)
        written = to_json(found)
    except ValueError:  # half of a character
        return _cleaned(to_jsonable_python(_cleaned(value), fallback=str))
    return _cleaned(found) if _TELLING.search(written) else found


def jsonb(value: Any) -> Jsonb:  # anything
    """Return a value to be stored as jsonb, made plain."""
    return Jsonb(plain(value))


def stored(value: Any) -> Jsonb:  # JSON
    """Return what is JSON already to be stored as jsonb."""
    return Jsonb(_cleaned(value))


def exact(value: Any, what: str) -> Jsonb:  # JSON
    """Return a value to be stored as jsonb; raises `UsageError` when it has no JSON form."""
    try:
        return Jsonb(_cleaned(to_jsonable_python(_cleaned(value))))
    except PydanticSerializationError as error:
        raise UsageError(f"{what} cannot be stored as JSON: {error}.") from error


def finite(value: Any) -> Any:  # JSON
    """Return JSON with NaN and infinities as text, which pydantic reads as the numbers they are."""
    return _mapped(value, lambda text: text)


def _cleaned(value: Any) -> Any:  # anything
    return _mapped(value, clean)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:  # anything
    if isinstance(value, str):
        return change(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if type(value) is dict:
        return {_mapped(key, change): _mapped(each, change) for key, each in value.items()}
    if type(value) in (list, tuple):
        return [_mapped(each, change) for each in value]
    return value
