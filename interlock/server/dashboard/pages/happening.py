"""What happens to a thread, as server-sent events: that something did, and what models say while they say it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.responses import StreamingResponse

from interlock.errors import InterlockError, StreamCut
from interlock.server.dashboard.pages.threads import OPEN, ThreadName
from interlock.server.dashboard.routing import pages
from interlock.server.scope import Reading, Scope

BEAT_SECONDS = 15.0
"""How often something is sent while nothing happens, so that nobody on the way takes the connection for dead."""

AHEAD = 100
"""Frames that wait for a slow reader; whoever makes them waits then."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
ENDED = b"event: ended\ndata: {}\n\n"
CUT = b"retry: 1000\n\n"
LAST = (ENDED, CUT)

Frames = asyncio.Queue[bytes]

router = pages()


@router.get("/ui/threads/{thread_id}/events")
async def events(
    scope: Reading, name: ThreadName, last_event_id: Annotated[str, Header()] = ""
) -> Response:
    """Tell what happens to the run that a thread is at, until it has ended."""
    thread_id = await scope.reader.store.full_thread_id(name)
    run_id = (await scope.reader.store.latest(thread_id)).run.run_id
    told = _frames(scope, thread_id, run_id, last_event_id)
    return StreamingResponse(told, media_type="text/event-stream", headers=HEADERS)


async def _frames(scope: Scope, thread_id: str, run_id: str, since: str) -> AsyncIterator[bytes]:
    """Yield what happens and what is said, as it comes; both end when their reader goes."""
    frames = Frames(AHEAD)
    happens = asyncio.create_task(_happens(scope, thread_id, since, frames))
    says = asyncio.create_task(_says(scope, run_id, frames))
    try:
        while (frame := await _next(frames)) not in LAST:
            yield frame or b": still here\n\n"
        yield frame
    finally:
        for task in (happens, says):
            task.cancel()
        await asyncio.gather(happens, says, return_exceptions=True)


async def _next(frames: Frames) -> bytes:
    try:
        return await asyncio.wait_for(frames.get(), BEAT_SECONDS)
    except TimeoutError:
        return b""


async def _happens(scope: Scope, thread_id: str, since: str, frames: Frames) -> None:
    async with aclosing(scope.house.pulse.beats(scope.house.il, thread_id)) as beats:
        async for beat in beats:
            if beat.mark != since:
                await frames.put(_frame("happened", {"status": beat.status}, beat.mark))
            if beat.status not in OPEN:
                break
    await frames.put(ENDED)


async def _says(scope: Scope, run_id: str, frames: Frames) -> None:
    try:
        async for event in scope.reader.atail(run_id):
            if event.event.partition("|")[0] in ("messages", "custom"):
                await frames.put(_frame("said", json.loads(event.data)))
    except StreamCut:  # the server stops: the page asks whoever serves then
        await frames.put(CUT)
    except InterlockError:  # what happens is told all the same
        return


def _frame(name: str, data: Any, cursor: str = "") -> bytes:  # JSON
    mark = f"id: {cursor}\n" if cursor else ""
    return f"event: {name}\n{mark}data: {json.dumps(data)}\n\n".encode()
