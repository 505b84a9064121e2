"""`/docs`: the reference, for people."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from interlock.server import reference

router = APIRouter(tags=["System"])


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """Return this reference as a page."""
    return HTMLResponse(reference.page(request.app.openapi()))


@router.get("/docs/reference.css", include_in_schema=False)
async def style() -> Response:
    """Return the style of the reference."""
    return Response(reference.STYLE, media_type="text/css")
