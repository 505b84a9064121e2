"""Ends what is answered for long, such as a stream, once its caller may not ask for it any more."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from interlock.errors import Forbidden, InterlockError, Unauthorized
from interlock.server.callers import Caller
from interlock.server.gatekeeping import Gatekeeper
from interlock.server.sessions import COOKIE
from interlock.server.wire import Wire

LOOK_SECONDS = 15.0
"""How often it is looked whether callers are still known; what takes less is not looked at."""

GONE = "Who asked is not known any more: the key, session or token has ended."


@dataclass(slots=True, eq=False)
class Held:
    """A request that is being answered."""

    scope: Scope
    task: asyncio.Task[object]
    began_at: float
    ended: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """What its caller has shown: of many requests with the same it is looked at once."""
        connection = HTTPConnection(self.scope)
        headers = (connection.headers.get(name, "") for name in ("x-api-key", "authorization"))
        return (*headers, connection.cookies.get(COOKIE, ""))

    def end(self) -> None:
        """Let it not be answered any further."""
        self.ended = True
        self.task.cancel()


@dataclass(slots=True, kw_only=True)
class Lasting:
    """Looks again and again who asked for what is still being answered: keys are revoked, sessions and tokens end."""

    app: ASGIApp
    gatekeeper: Gatekeeper
    seconds: float = LOOK_SECONDS
    _held: set[Held] = field(default_factory=set)
    _looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        task = asyncio.current_task()
        if scope["type"] not in ("http", "websocket") or task is None:
            return await self.app(scope, receive, send)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="interlock-lasting")
        held = Held(scope, task, time.monotonic())
        self._held.add(held)
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not held.ended or task.uncancel():
                raise
            await _say(scope, receive, send)
        finally:
            self._held.discard(held)

    async def _look(self) -> None:
        """Look until nothing is being answered any more."""
        while self._held:
            await asyncio.sleep(self.seconds)
            by_shown: defaultdict[tuple[str, ...], list[Held]] = defaultdict(list)
            for each in self._long():
                by_shown[each.shown].append(each)
            for alike in by_shown.values():
                if not await self._is_known(alike[0]):
                    for each in self._held.intersection(alike):  # others have ended meanwhile
                        each.end()

    def _long(self) -> list[Held]:
        """Return what has been answered for a while to somebody who was known."""
        since = time.monotonic() - self.seconds
        return [
            each
            for each in self._held
            if each.began_at < since and "caller" in each.scope.get("state", {}) and not each.ended
        ]

    async def _is_known(self, held: Held) -> bool:
        try:
            caller = await self.gatekeeper.holder(HTTPConnection(held.scope))
        except (Unauthorized, Forbidden):
            return False
        except InterlockError:  # nobody can be asked now
            return True
        was: Caller = held.scope["state"]["caller"]
        return (caller.kind, caller.identity) == (was.kind, was.identity)


async def _say(scope: Scope, receive: Receive, send: Send) -> None:
    """Say why it ends; an answer that has begun is cut, so that nobody takes it for a whole one."""
    with suppress(RuntimeError):  # the server's, when the answer has begun
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401, "reason": GONE})
        else:
            await Wire({"detail": GONE}, status_code=401)(scope, receive, send)
