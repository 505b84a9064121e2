"""Server-sent events, framed as LangGraph's server frames them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress

from fastapi import Response
from starlette.types import Message, Receive, Send
from starlette.types import Scope as Connection

from interlock.core.stream_events import StreamEvent
from interlock.errors import StreamCut
from interlock.server.cutting import cut
from interlock.streaming import Page

HEARTBEAT_SECONDS = 5.0
"""After how long a client is told that nothing came: nobody between cuts the line, and a dead one is noticed."""

HEARTBEAT = b": heartbeat\r\n\r\n"

SEND_SECONDS = 120.0
"""How long a client may take nothing before it is cut off; it may come back, and goes on where it was."""

MEDIA_TYPE = "text/event-stream"

Gone = Callable[[], Awaitable[None]]


def sse(
    pages: AsyncGenerator[Page],
    *,
    headers: Mapping[str, str] | None = None,
    gone: Gone | None = None,
) -> EventStream:
    """Return a response that sends pages of events as they come.

    Args:
        pages: what comes; an empty one is sent as a heartbeat. The next is read when the client took the last.
        headers: beside those that every stream has.
        gone: is called when the client leaves before the end.
    """
    return EventStream(pages, headers, gone)


class EventStream(Response):
    """Sends events until they end or the client is gone; then it lets go of what they come from, in any case."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        pages: AsyncGenerator[Page],
        headers: Mapping[str, str] | None,
        gone: Gone | None,
        status_code: int = 200,  # FastAPI reads it from here for the OpenAPI document
    ) -> None:
        always = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        self.status_code, self.background = status_code, None
        self.init_headers({**always, **(headers or {})})  # its body has no length
        self._pages = pages
        self._gone = gone

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Send it."""
        sending = asyncio.create_task(self._send(scope, send), name="interlock-sse")
        leaving = asyncio.create_task(left(receive), name="interlock-sse-left")
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone = not sending.done()
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait((sending, leaving))
        if not gone:
            sending.result()
        elif self._gone is not None:
            await self._gone()

    async def _send(self, scope: Connection, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with aclosing(self._pages) as pages:
            await send(start)
            try:
                async for page in pages:
                    await _taken(send, _body(page))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (
                StreamCut
            ):  # it has no end, so that the client knows that there is more elsewhere
                cut(scope)


def frame(event: StreamEvent) -> bytes:
    """Return an event as it is sent."""
    name = event.event.replace("\r", "").replace("\n", "").encode()
    place = b"id: %s\r\n" % event.id.encode() if event.id else b""
    return b"event: %s\r\ndata: %s\r\n%s\r\n" % (name, event.data, place)


def _body(page: Page) -> Message:
    body = b"".join(frame(event) for event in page) or HEARTBEAT
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _taken(send: Send, message: Message) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send(message)


async def left(receive: Receive) -> None:
    """Return when the client has left."""
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
