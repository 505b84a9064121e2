"""How much a caller may ask for: bytes and depth of a body, requests a second, open streams."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from functools import partial

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.server.wire import Wire

MOST_COUNTED = 10_000
"""Callers whose requests are counted; who was silent longest is forgotten first."""

ADMIT = "interlock.admit"
"""Under which a request for a stream keeps what counts it, given a name for its caller."""

TOO_MANY = "Too many streams are open (INTERLOCK_SERVER_STREAMS)."

MOST_NAMES = 100_000
"""Names that the objects of a body may have together: a server does nothing else while it reads them."""

LONG_TEXT = 200_000
"""Bytes from which on a body's depth is looked at beside the loop."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """Takes bodies up to a size and, where they may be JSON, a depth; others are refused before anything reads them."""

    app: ASGIApp
    size: int
    depth: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if not ("content-length" in headers or "transfer-encoding" in headers):
            return await self.app(scope, receive, send)
        said = headers.get("content-length", "0")
        too_large = said.isdecimal() and int(said) > self.size
        body = None if too_large else await self._whole(receive)
        if body is None:
            detail = f"The body is larger than {self.size} bytes (INTERLOCK_SERVER_BODY)."
            return await Wire({"detail": detail}, status_code=413)(scope, receive, send)
        kind = headers.get("content-type", "").lower()
        if "json" in kind and b"\0" in body:  # UTF-16, in which brackets look like other letters
            return await Wire({"detail": "The body is not UTF-8."}, 422)(scope, receive, send)
        if why := await self._refusal(kind, body):
            return await Wire({"detail": why}, status_code=422)(scope, receive, send)
        return await self.app(scope, _again(body, receive), send)

    async def _whole(self, receive: Receive) -> bytes | None:
        """Return the body; None when it is too large, or the client is gone."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.size:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

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


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then whatever comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received


@dataclass(slots=True)
class Bucket:
    """How much of a caller's share is left."""

    left: float
    at: float


@dataclass(slots=True)
class Rates:
    """How many requests a second each caller may send for long; twice as many may come at once."""

    a_second: float
    _buckets: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)

    def take(self, who: str, now: float | None = None) -> None:
        """Take one request from a caller's share.

        Raises:
            HTTPException: 429, when nothing is left of it, with the seconds after which there is.
        """
        now = time.monotonic() if now is None else now
        bucket = self._buckets.setdefault(who, Bucket(2 * self.a_second, now))
        self._buckets.move_to_end(who)
        if len(self._buckets) > MOST_COUNTED:
            self._buckets.popitem(last=False)
        most = max(1.0, 2 * self.a_second)
        bucket.left = min(most, bucket.left + (now - bucket.at) * self.a_second)
        bucket.at = now
        if bucket.left < 1:
            raise HTTPException(
                429,
                f"More than {self.a_second:g} requests a second (INTERLOCK_SERVER_RATE).",
                {"Retry-After": str(max(1, round((1 - bucket.left) / self.a_second)))},
            )
        bucket.left -= 1


@dataclass(slots=True, kw_only=True)
class Streams:
    """Lets each caller, and all together, have so many streams open on this process.

    What a request shows of its caller may be anything until it is looked at: whoever knows the caller counts it, by
    what stands under `ADMIT`.
    """

    app: ASGIApp
    each: int
    all: int
    _open: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if not _is_stream(scope):
            return await self.app(scope, receive, send)
        if self._open.total() >= self.all:
            return await _refuse(scope, receive, send)
        counted: list[str] = []
        scope[ADMIT] = partial(self._admit, counted)
        try:
            await self.app(scope, receive, send)
        finally:
            for who in counted:
                self._open[who] -= 1
                if not self._open[who]:
                    del self._open[who]

    def _admit(self, counted: list[str], who: str) -> None:
        """Count a stream of a caller, once for a request; raises `HTTPException`: 429."""
        if counted:
            return
        if self._open[who] >= self.each:
            raise HTTPException(429, TOO_MANY, {"Retry-After": "5"})
        self._open[who] += 1
        counted.append(who)


def _is_stream(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return True
    if scope["type"] != "http":
        return False
    asked = Headers(scope=scope).get("accept", "")
    return "text/event-stream" in asked or scope["path"].endswith(("/stream", "/events"))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1013, "reason": TOO_MANY})
    headers = {"Retry-After": "5"}
    return await Wire({"detail": TOO_MANY}, status_code=429, headers=headers)(scope, receive, send)
