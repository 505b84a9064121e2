"""JSON as it goes over the wire."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from interlock.core.wire import dumps


class Wire(Response):
    """A response whose body is any value, as `dumps` writes it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # anything
        """Return the body."""
        return dumps(content)


__all__ = ["Wire", "dumps"]
