"""The way in: where somebody who is not known gives a key."""

from __future__ import annotations

from fastapi import Request, Response

from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.templates import page

router = pages()


@router.get("/ui/login")
async def login(request: Request, next: str = "/ui/") -> Response:  # noqa: A002  # as it is sent on
    """Ask for a key."""
    return await page(request, None, "login.html", next=next, problem="")
