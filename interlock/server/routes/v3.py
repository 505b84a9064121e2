"""Thread streams, version 3: commands, and events over server-sent events or a WebSocket."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from interlock.server.openapi import problems
from interlock.server.requests import see_thread
from interlock.server.routes.streams import STREAM
from interlock.server.scope import Reading, Starting
from interlock.server.sse import EventStream, sse
from interlock.server.thread_requests import ThreadId
from interlock.server.v3 import sockets
from interlock.server.v3.commanding import Command, Refusal, Response, answer
from interlock.server.v3.malformed import ProtocolRoute
from interlock.server.v3.wanting import Wanted
from interlock.server.v3.watching import framed, pages

router = APIRouter(tags=["Threads"], route_class=ProtocolRoute)


@router.post(
    "/threads/{thread_id}/commands",
    response_model=Response | Refusal,
    responses={400: {"model": Refusal}, **problems(404)},
)
async def command(scope: Starting, thread_id: ThreadId, said: Command) -> Response | Refusal:
    """Start a run, or answer what it asks, in the protocol of thread streams."""
    await see_thread(scope, thread_id, create=True)
    return await answer(scope, thread_id, said)


@router.post(
    "/threads/{thread_id}/stream/events",
    responses={**STREAM, **problems(400, 404)},
    response_class=EventStream,
)
async def events(scope: Reading, thread_id: ThreadId, wanted: Wanted) -> EventStream:
    """Send what a thread's runs tell in the protocol of thread streams, behind what the client has."""
    return sse(framed(await pages(scope, thread_id, wanted)))


@router.websocket("/threads/{thread_id}/stream/events")
async def socket(websocket: WebSocket, thread_id: str) -> None:
    """Take commands, and send the events of subscriptions, over one connection."""
    await sockets.serve(websocket, thread_id)
