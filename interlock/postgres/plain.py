"""Text and JSON as Postgres can store them, made from any value or error of an application."""

from __future__ import annotations

import re
from typing import Any

from psycopg.types.json import Jsonb
from pydantic_core import PydanticSerializationError, to_jsonable_python

from interlock.errors import UsageError

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What neither text nor jsonb holds: NUL, and halves of characters, as in names of files that are not UTF-8."""


def clean(text: str) -> str:
    """Return the text with the replacement character where Postgres cannot store one."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def plain(value: Any) -> Any:  # anything -> JSON
    """Return a value as JSON that can be stored and shown; what has no JSON form becomes its text."""
    cleaned = _cleaned(value)
    return _cleaned(to_jsonable_python(cleaned, inf_nan_mode="strings", fallback=str))


def jsonb(value: Any) -> Jsonb:  # anything
    """Return a value to be stored as jsonb, made plain."""
    return Jsonb(plain(value))


def exact(value: Any, what: str) -> Jsonb:  # JSON
    """Return a value to be stored as jsonb; raises `UsageError` when it has no JSON form."""
    try:
        return Jsonb(_cleaned(to_jsonable_python(_cleaned(value), inf_nan_mode="strings")))
    except PydanticSerializationError as error:
        raise UsageError(f"{what} cannot be stored as JSON: {error}.") from error


def _cleaned(value: Any) -> Any:  # anything
    if isinstance(value, str):
        return clean(value)
    if type(value) is dict:
        return {_cleaned(key): _cleaned(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return [_cleaned(each) for each in value]
    return value
