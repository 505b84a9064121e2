"""JSON as it goes over the wire, and into the log of streams."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic_core import to_jsonable_python

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters, as in names of files that are not UTF-8."""


def dumps(value: Any) -> bytes:  # anything
    """Return any value as JSON: messages and models as mappings, errors as their kind and sentence, times in UTC.

    What has no JSON form becomes its text.
    """
    try:
        return orjson.dumps(value, default=_jsonable, option=_OPTIONS)
    except TypeError:  # a rare value somewhere inside; the way around it is slow
        return orjson.dumps(_tamed(value), option=_OPTIONS)


def _jsonable(value: Any) -> Any:  # anything -> JSON
    if isinstance(value, type):
        return str(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(value)}
    return to_jsonable_python(value, fallback=str)


def _tamed(value: Any) -> Any:  # anything -> JSON
    if isinstance(value, str):
        return _HALVES.sub("\N{REPLACEMENT CHARACTER}", value)
    if value is None or isinstance(value, int | float):
        fits = not isinstance(value, int) or -(2**63) <= value < 2**64
        return value if fits else str(value)
    if isinstance(value, Mapping):
        return {_tamed(str(key)): _tamed(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tamed(each) for each in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="replace")
    return _tamed(_jsonable(value))
