"""`/events`: what happened to runs, and what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Query

from interlock.core.happening import Cursor, Event
from interlock.core.stream_events import StreamEvent
from interlock.documents.happening import event_document
from interlock.errors import InterlockError, StreamCut
from interlock.postgres.run_events import EventStore
from interlock.remote.codec import encode_error
from interlock.server.openapi import problems
from interlock.server.scope import Reading
from interlock.server.sse import HEARTBEAT_SECONDS, EventStream, sse
from interlock.server.wire import Wire, dumps
from interlock.streaming import Page

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


@router.get("/stream", response_class=EventStream, responses={**STREAM, **problems(404)})
async def stream(
    scope: Reading,
    name: Name,
    follow: bool = False,
    values: bool = False,
    last_event_id: Annotated[str, Header(max_length=2000)] = "",
) -> EventStream:
    """Tell what happened to a run, or the one that a thread is at, and what happens, until it ends or waits.

    Ids are cursors: who reconnects with `Last-Event-ID` misses and repeats nothing. A stream that ends without an event
    `end` was cut, and goes on so at another process. With `follow` it stays while the run waits; with `values` steps
    carry the values of the keys that they changed, before and after.
    """
    await scope.reader.endings.named(name)
    Cursor.read(last_event_id)
    events = scope.reader.awatch(name, since=last_event_id, follow=follow, values=values)
    return sse(_pages(cast("AsyncGenerator[Event]", events), scope.house.il.stream_news.cut))


async def _pages(events: AsyncGenerator[Event], cut: asyncio.Event) -> AsyncGenerator[Page]:
    """Yield what happens, a heartbeat when nothing does, and at last that it has ended, or what went wrong."""
    stopping = asyncio.create_task(cut.wait(), name="interlock-events-cut")
    coming: asyncio.Task[Event | None] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(events))
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait({coming, stopping}, timeout=HEARTBEAT_SECONDS, return_when=first)
            if stopping.done():
                raise StreamCut("This process stops.")
            if not coming.done():
                yield ()
                continue
            event, coming = coming.result(), None
            yield (_told("end", None) if event is None else _event(event),)
            if event is None:
                return
    except StreamCut:
        raise
    except InterlockError as error:
        yield (_told("error", encode_error(error)),)
    finally:
        await _let_go({stopping} | ({coming} if coming else set()))
        await events.aclose()


async def _next(events: AsyncGenerator[Event]) -> Event | None:
    return await anext(events, None)


async def _let_go(tasks: set[asyncio.Task[Any]]) -> None:  # of whatever comes
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)


def _event(event: Event) -> StreamEvent:
    return replace(_told(event.kind, event_document(event)), id=event.cursor)


def _told(name: str, data: Any) -> StreamEvent:  # JSON
    return StreamEvent(id="", event=name, data=dumps(data), run_id="")
