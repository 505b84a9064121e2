"""Bodies of requests: how large, how deep and how slow they may be, and from whom one is read at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.errors import InterlockError, Unauthorized
from interlock.server.failures import status_of
from interlock.server.heads import said
from interlock.server.wire import Wire

STRANGERS_BYTES = 65_536
"""Bytes of a body that are read before it is known who sends it."""

STRANGERS = 256
"""Bodies that may be on their way together before it is known who sends them; of any more that is looked at first."""

SECONDS = 20.0
"""How long a body may be on its way, and a second more for each `BYTES_A_SECOND` of it that came."""

BYTES_A_SECOND = 10_000

MOST_NAMES = 100_000
"""Names that the objects of a body may have together: a server does nothing else while it reads them."""

LONG_TEXT = 200_000
"""Bytes from which on a body's depth is looked at beside the loop."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")

Vouch = Callable[[Scope], Awaitable[None]]
"""Returns when it is known by its head who sends a request; else it raises `InterlockError` or `HTTPException`."""


async def anybody(scope: Scope) -> None:
    """Take whoever it is."""


def _unprocessable(path: str) -> int:
    return 422


class _Refused(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.answer = Wire({"detail": detail}, status_code=status)


@dataclass(slots=True, kw_only=True)
class Bodies:
    """Takes bodies up to a size and, where they may be JSON, a depth; others are refused before anything reads them.

    Attributes:
        vouch: is asked before much of a body is read, or many at a time.
        unread: tells by the path with which status a body is refused for its shape.
    """

    app: ASGIApp
    size: int
    depth: int
    vouch: Vouch = anybody
    unread: Callable[[str], int] = _unprocessable
    seconds: float = SECONDS
    _coming: list[None] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        size = said(scope, b"content-length")
        if not (size or said(scope, b"transfer-encoding")):
            return await self.app(scope, receive, send)
        try:
            body = await self._taken(scope, size, receive)
        except _Refused as refused:
            return await refused.answer(scope, receive, send)
        return await self.app(scope, again(body, receive), send)

    async def _taken(self, scope: Scope, length: str, receive: Receive) -> bytes:
        size = int(length) if length.isdecimal() else 0
        self._check_size(size)
        self._coming.append(None)
        try:
            body = await self._whole(scope, receive, size)
        finally:
            self._coming.pop()
        kind = said(scope, b"content-type").lower()
        if "json" in kind and b"\0" in body:  # UTF-16, in which brackets look like other letters
            raise _Refused(self.unread(scope["path"]), "The body is not UTF-8.")
        if why := await self._refusal(kind, body):
            raise _Refused(self.unread(scope["path"]), why)
        return body

    def _check_size(self, size: int) -> None:
        if size > self.size:
            raise _Refused(
                413, f"The body is larger than {self.size} bytes (INTERLOCK_SERVER_BODY)."
            )

    async def _whole(self, scope: Scope, receive: Receive, length: int) -> bytes:
        """Return the body once all of it is there."""
        parts, size, more = [b""], 0, True
        known, begun = False, asyncio.get_running_loop().time()
        while more:
            if not known and (max(length, size) > STRANGERS_BYTES or len(self._coming) > STRANGERS):
                await self._check_sender(scope)
                known = True
            message = await self._next(receive, begun + self.seconds + size / BYTES_A_SECOND)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._check_size(size)
            more = message.get("more_body", False)
        return b"".join(parts)

    async def _check_sender(self, scope: Scope) -> None:
        try:
            await self.vouch(scope)
        except InterlockError as error:
            refused = _Refused(status_of(error), str(error))
            if isinstance(error, Unauthorized):
                refused.answer.headers["WWW-Authenticate"] = "Bearer"
            raise refused from error
        except HTTPException as error:
            refused = _Refused(error.status_code, str(error.detail))
            refused.answer.headers.update(error.headers or {})
            raise refused from error

    async def _next(self, receive: Receive, until: float) -> Message:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError as error:
            raise _Refused(408, "The body did not come in time.") from error
        if message["type"] != "http.request":
            raise _Refused(400, "The client left before its body was there.")
        return message

    async def _refusal(self, kind: str, body: bytes) -> str:
        """Return why a body is refused for its shape; nothing for one that is taken."""
        if "json" not in kind and kind and "text/plain" not in kind:
            return ""
        if body.count(b"[") + body.count(b"{") <= self.depth and body.count(b":") <= MOST_NAMES:
            return ""
        beside = len(body) >= LONG_TEXT
        depth, names = await asyncio.to_thread(shape_of, body) if beside else shape_of(body)
        if depth > self.depth:
            return f"The body is nested more than {self.depth} deep (INTERLOCK_SERVER_DEPTH)."
        return f"The objects of the body have more than {MOST_NAMES} names." * (names > MOST_NAMES)


def shape_of(body: bytes) -> tuple[int, int]:
    """Return how deep lists and objects of a JSON text are nested, and how many names its objects have."""
    deepest = depth = 0
    bare = _STRING.sub(b"", body)
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest, bare.count(b":")


def again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then whatever comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received
