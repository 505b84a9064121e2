"""How much a caller may ask for: requests a second, open streams."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from functools import partial

from fastapi import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from interlock.server.heads import said
from interlock.server.wire import Wire

MOST_COUNTED = 10_000
"""Callers whose requests are counted; who was silent longest is forgotten first."""

ADMIT = "interlock.admit"
"""Under which a request for a stream keeps what counts it, given a name for its caller."""

TOO_MANY = "Too many streams are open (INTERLOCK_SERVER_STREAMS)."


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
    asked = said(scope, b"accept")
    return "text/event-stream" in asked or scope["path"].endswith(("/stream", "/events"))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1013, "reason": TOO_MANY})
    headers = {"Retry-After": "5"}
    return await Wire({"detail": TOO_MANY}, status_code=429, headers=headers)(scope, receive, send)
