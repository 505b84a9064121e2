"""Looking on at a thread as the protocol tells of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from interlock.core.runs import Run
from interlock.core.stream_events import StreamEvent
from interlock.errors import NotFound
from interlock.facade import Interlock
from interlock.postgres.streams import StreamStore
from interlock.server.scope import Scope
from interlock.server.sse import HEARTBEAT_SECONDS
from interlock.server.v3.folding import Event, Fold, place_of
from interlock.server.v3.wanting import Wanted
from interlock.server.wire import dumps
from interlock.streaming import Page


async def pages(scope: Scope, thread_id: str, wanted: Wanted) -> AsyncGenerator[list[Event]]:
    """Return all that a client wants of a thread and does not have, a page at a time; it has no end.

    Raises:
        NotFound: there is no such thread.
    """
    reader = scope.reader
    thread = await reader.store.thread(thread_id)
    base = int(thread["created_at"].timestamp() * 1_000_000)
    place = None if wanted.since is None else place_of(wanted.since, base)
    begin = await StreamStore(reader.pool, None).beginning(thread_id, place)
    told = reader.atail_thread_pages(thread_id, str(begin), beat=HEARTBEAT_SECONDS)
    return _made(reader, told, Fold(base), wanted)


async def framed(made: AsyncGenerator[list[Event]]) -> AsyncGenerator[Page]:
    """Return pages as server-sent events."""
    async with aclosing(made):
        async for page in made:
            yield [_frame(event) for event in page]


async def _made(
    reader: Interlock, told: AsyncGenerator[Page], fold: Fold, wanted: Wanted
) -> AsyncGenerator[list[Event]]:
    since = -1 if wanted.since is None else wanted.since
    async with aclosing(told):
        async for page in told:
            events = [each for one in page for each in await _of(reader, fold, one)]
            new = [each for each in events if each.seq > since and wanted.wants(each)]
            if new or not page:
                yield new


async def _of(reader: Interlock, fold: Fold, told: StreamEvent) -> Sequence[Event]:
    run = await _run(reader, told.run_id) if told.event == "metadata" else None
    return fold.events(told, run)


async def _run(reader: Interlock, run_id: str) -> Run | None:
    try:
        return (await reader.store.stored(run_id)).run
    except NotFound:  # it was deleted meanwhile
        return None


def _frame(event: Event) -> StreamEvent:
    data = dumps(event.message)
    return StreamEvent(id=str(event.seq), event=event.method, data=data, run_id="")
