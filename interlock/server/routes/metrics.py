"""`/metrics`: what this process served, and how the installation stands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from interlock.errors import Forbidden
from interlock.server.metrics import CONTENT_TYPE
from interlock.server.scope import Reading
from interlock.server.wire import Wire

router = APIRouter(tags=["System"])

ANSWER: dict[str, Any] = {  # OpenAPI's
    "content": {
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": "object"}},
    }
}


@router.get("/metrics", response_class=Response, responses={200: ANSWER})
async def metrics(scope: Reading, format: str = "prometheus") -> Response:  # noqa: A002  # the protocol's word
    """Return metrics as Prometheus reads them; `?format=json` for a few as JSON."""
    if scope.caller.tenant is not None:
        raise Forbidden("Metrics are of all tenants.", hint="Use a key that belongs to none.")
    health, tally = await scope.il.ahealth(), scope.house.tally
    if format == "json":
        return Wire(tally.document(health))
    return Response(tally.text(health), media_type=CONTENT_TYPE)
