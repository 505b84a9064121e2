"""`/events`: what happened to runs, and what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from interlock.documents.happening import event_document
from interlock.postgres.run_events import EventStore
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Scope
from interlock.server.wire import Wire, dumps

router = APIRouter(prefix="/events", tags=["Events"])

Name = Annotated[str, Query(min_length=1, max_length=255)]
STREAM: dict[int | str, dict[str, Any]] = {  # as FastAPI takes them
    200: {"content": {"text/event-stream": {}}, "description": "Events, as they happen."}
}


@router.get("")
async def search(
    scope: Reading,
    graph: Annotated[str | None, Query(max_length=255)] = None,
    kind: Annotated[str | None, Query(max_length=40)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Wire:
    """List what happened to runs, the latest first; `before` is the number of the last one that is known."""
    found = await EventStore(scope.reader.pool).latest(
        graph=graph, kind=kind, before=before, limit=limit
    )
    return Wire(found)


@router.get("/stream", response_class=StreamingResponse, responses={**STREAM, **problems(404)})
async def stream(
    scope: Reading,
    name: Name,
    follow: bool = False,
    last_event_id: Annotated[str, Header(max_length=2000)] = "",
) -> StreamingResponse:
    """Tell what happened to a run, or the one that a thread is at, and what happens, until it ends or waits.

    Ids are cursors: who reconnects with `Last-Event-ID` misses and repeats nothing.
    """
    await scope.reader.endings.named(name)
    frames = _frames(scope, name, last_event_id, follow=follow)
    return StreamingResponse(frames, media_type="text/event-stream")


async def _frames(scope: Scope, name: str, since: str, *, follow: bool) -> AsyncIterator[bytes]:
    events = scope.reader.awatch(name, since=since, follow=follow)
    async with aclosing(events) as watched:  # type: ignore[type-var]  # it is a generator
        async for event in watched:
            data = dumps(event_document(event))
            yield b"id: %b\r\nevent: %b\r\ndata: %b\r\n\r\n" % (
                event.cursor.encode(),
                event.kind.encode(),
                data,
            )
    yield b"event: end\r\ndata: null\r\n\r\n"
