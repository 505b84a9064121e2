"""The figures beside the pages, for pages that are open."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse

from interlock.server.dashboard.counters import counters
from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.templates import HEADERS
from interlock.server.scope import Reading

router = pages()


@router.get("/ui/figures")
async def figures(scope: Reading) -> Response:
    """Tell what waits for somebody."""
    return JSONResponse(dict(await counters(scope)), headers=dict(HEADERS))
