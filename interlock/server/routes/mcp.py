"""The Model Context Protocol over HTTP: each request stands alone, so any server process answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from interlock.server.graph_tools import server_of
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Running, Scope
from interlock.server.wire import Wire

router = APIRouter(tags=["Tools"])

MESSAGE: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
"""What is sent, as JSON-RPC and the protocol say it."""

ANSWERS: dict[int | str, dict[str, Any]] = {  # as FastAPI takes it
    200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    202: {"description": "It was taken, and has no answer."},
    400: {"content": {"application/json": {"schema": {"type": "object"}}}},
    404: {"content": {"application/json": {"schema": {"type": "object"}}}},
    406: {"content": {"application/json": {"schema": {"type": "object"}}}},
    415: {"content": {"application/json": {"schema": {"type": "object"}}}},
}

ELSEWHERE = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Who may call, and from which pages, is looked at before."""


class Exchange(Response):
    """Hands a request to the protocol's own transport."""

    media_type = "application/json"

    def __init__(
        self,
        scope: Scope,
        status_code: int = 200,  # FastAPI reads it from here for the OpenAPI document
    ) -> None:
        super().__init__(status_code=status_code)
        self._scope = scope

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve it."""
        manager = StreamableHTTPSessionManager(
            server_of(self._scope),
            json_response=True,
            stateless=True,
            security_settings=ELSEWHERE,
            max_request_body_size=self._scope.il.settings.server_body,
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)


@router.post("/mcp", include_in_schema=False)
@router.post("/mcp/", responses=ANSWERS, response_class=Exchange, openapi_extra=dict(MESSAGE))
async def exchange(scope: Running) -> Exchange:
    """Offer assistants as tools to clients of the Model Context Protocol."""
    return Exchange(scope)


@router.get("/mcp", include_in_schema=False)
@router.get("/mcp/", status_code=405, responses=problems(405))
@router.delete("/mcp", include_in_schema=False)
@router.delete("/mcp/", status_code=405, responses=problems(405))
async def none(scope: Reading) -> Wire:
    """Say that there are no sessions and nothing is sent unasked: each request is answered alone."""
    detail = "This server has no sessions of this protocol: POST each request."
    return Wire({"detail": detail}, status_code=405, headers={"Allow": "POST"})
