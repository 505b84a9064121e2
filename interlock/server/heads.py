"""What the head of a request says."""

from __future__ import annotations

from starlette.types import Scope


def said(scope: Scope, name: bytes) -> str:
    """Return the first thing that a request's head says under a name in lower case; empty where it says nothing."""
    for each, value in scope["headers"]:
        if each == name:
            text: str = value.decode("latin-1")
            return text
    return ""
