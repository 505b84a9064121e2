"""The token that a form carries, so that no other site can send it."""

from __future__ import annotations

from fastapi import Request


def csrf_token(request: Request) -> str:
    """Return the token of a request's session; empty where there is none."""
    return str(getattr(request.state, "csrf", ""))
