"""As much of ASGI as the servers need that are measured for comparison."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Message = Mapping[str, Any]  # of ASGI
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADERS = [(b"content-type", b"application/json")]


async def nothing_to_do() -> None:
    """Do nothing."""


async def live(
    receive: Receive,
    send: Send,
    begin: Callable[[], Awaitable[None]] = nothing_to_do,
    end: Callable[[], Awaitable[None]] = nothing_to_do,
) -> None:
    """Say that a server has begun, and that it has ended."""
    while True:
        kind = (await receive())["type"]
        await (begin() if kind == "lifespan.startup" else end())
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def body_of(receive: Receive) -> bytes:
    """Return the body of a request."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def answer(send: Send, body: bytes) -> None:
    """Answer with JSON."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})
