"""Agent2Agent: each assistant is an agent that others call, and has a card that says how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from interlock.server.a2a.calls import answer
from interlock.server.a2a.cards import card
from interlock.server.assisting import resolve
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Starting
from interlock.server.sse import MEDIA_TYPE, sse
from interlock.server.wire import Wire

router = APIRouter(tags=["Tools"], responses=problems(404))

OBJECT: Mapping[str, Any] = {"application/json": {"schema": {"type": "object"}}}

CALL: dict[str, Any] = {"requestBody": {"required": True, "content": OBJECT}}
"""What is sent, as JSON-RPC and the protocol say it."""

ANSWERS: dict[int | str, dict[str, Any]] = {  # as FastAPI takes it
    200: {
        "description": "A result or an error; of methods that stream, events with one each.",
        "content": {**OBJECT, MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.post("/a2a/{assistant_id}", responses=ANSWERS, openapi_extra=CALL)
async def call(scope: Starting, assistant_id: str, request: Request) -> Response:
    """Send a message to an assistant, or ask what became of one."""
    assistant = await resolve(scope, assistant_id)
    made = await answer(scope, assistant, await request.body())
    return Wire(made.document) if made.pages is None else sse(made.pages)


@router.get("/.well-known/agent-card.json", responses={200: {"content": dict(OBJECT)}})
async def agent_card(
    scope: Reading,
    request: Request,
    assistant_id: Annotated[str, Query(min_length=1, max_length=1000)],
) -> Wire:
    """Say how an assistant is called by other agents."""
    assistant = await resolve(scope, assistant_id)
    base = str(request.base_url).rstrip("/")
    return Wire(card(assistant, f"{base}/a2a/{assistant.assistant_id}"))
