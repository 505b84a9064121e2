"""JSON as it goes over the wire."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Response
from pydantic_core import to_jsonable_python

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def dumps(value: Any) -> bytes:  # anything
    """Return any value as JSON: messages and models as mappings, times in UTC, what has no JSON form as its text."""
    return orjson.dumps(value, default=_jsonable, option=_OPTIONS)


class Wire(Response):
    """A response whose body is any value, as `dumps` writes it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # anything
        """Return the body."""
        return dumps(content)


def _jsonable(value: Any) -> Any:  # anything -> JSON
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return to_jsonable_python(value, fallback=str)
