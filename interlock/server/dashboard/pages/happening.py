"""What happens to a thread, as server-sent events: that something did, and what its model says while it says it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse

from interlock.core.happening import Event
from interlock.server.dashboard.pages.threads import ThreadName
from interlock.server.dashboard.routing import pages
from interlock.server.scope import Reading, Scope

BEAT_SECONDS = 15.0
"""How often something is sent while nothing happens, so that nobody on the way takes the connection for dead."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = pages()


@router.get("/ui/threads/{thread_id}/events")
async def events(scope: Reading, name: ThreadName, since: str = "") -> Response:
    """Tell what happens to the run that a thread is at, until it rests."""
    thread_id = await scope.reader.store.full_thread_id(name)
    return StreamingResponse(
        _told(scope, thread_id, since), media_type="text/event-stream", headers=HEADERS
    )


@router.get("/ui/threads/{thread_id}/output")
async def output(scope: Reading, name: ThreadName) -> Response:
    """Tell what the models of the run that a thread is at say, word by word, as far as the run tells it."""
    thread_id = await scope.reader.store.full_thread_id(name)
    run_id = (await scope.reader.store.latest(thread_id)).run.run_id
    return StreamingResponse(_said(scope, run_id), media_type="text/event-stream", headers=HEADERS)


async def _told(scope: Scope, thread_id: str, since: str) -> AsyncIterator[bytes]:
    watched = scope.reader.awatch(thread_id, since=since)
    async for event in _beating(watched):
        yield (
            b": still here\n\n"
            if event is None
            else _frame("happened", _document(event), event.cursor)
        )
    yield _frame("ended", {})


async def _said(scope: Scope, run_id: str) -> AsyncIterator[bytes]:
    async for event in _beating(scope.reader.atail(run_id)):
        if event is None:
            yield b": still here\n\n"
        elif event.event.partition("|")[0] in ("messages", "custom"):
            yield _frame("said", json.loads(event.data), event.id)
    yield _frame("ended", {})


async def _beating(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield events, and None whenever nothing happened for a while."""
    async with aclosing(events) as source:  # type: ignore[type-var]  # it is an asynchronous generator
        pending = asyncio.ensure_future(anext(source, _END))
        try:
            while True:
                done, _ = await asyncio.wait([pending], timeout=BEAT_SECONDS)
                if not done:
                    yield None
                    continue
                if (event := pending.result()) is _END:
                    return
                yield event
                pending = asyncio.ensure_future(anext(source, _END))
        finally:
            pending.cancel()
            await asyncio.wait([pending])


_END = object()


def _document(event: Event) -> dict[str, Any]:  # JSON
    return {"kind": event.kind, "node": event.node, "run_id": event.run_id}


def _frame(name: str, data: Any, cursor: str = "") -> bytes:  # JSON
    mark = f"id: {cursor}\n" if cursor else ""
    return f"event: {name}\n{mark}data: {json.dumps(data)}\n\n".encode()
