"""Ends what is answered for long, such as a stream, once its caller may not ask for it any more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from interlock.errors import Forbidden, InterlockError, NotFound, Unauthorized
from interlock.server.authorizing import AGAIN, Again
from interlock.server.callers import Caller
from interlock.server.cutting import cut
from interlock.server.gatekeeping import Gatekeeper
from interlock.server.handlers import KNOWN
from interlock.server.sessions import COOKIE
from interlock.server.wire import Wire

log = logging.getLogger("interlock.server")

LOOK_SECONDS = 15.0
"""How often it is looked whether callers are still known; what takes less is not looked at."""

HANDLER_SECONDS = 60.0
"""How often an application's own handlers are asked again, each time for one request."""

HANDLERS_AT_ONCE = 16

PATIENCE_SECONDS = 30.0
"""How long a handler may take; one that does not answer, or fails, refuses nothing."""

GONE = "Who asked is not known any more: the key, session or token has ended."
REFUSED = "Who asked may not ask this any more, as the application's handler has it."


@dataclass(slots=True, eq=False)
class Held:
    """A request that is being answered."""

    scope: Scope
    task: asyncio.Task[object]
    began_at: float
    asked_at: float = 0.0
    ended: str = ""

    @property
    def caller(self) -> Caller | None:
        """Who asked, once that is known."""
        found: Caller | None = self.scope.get("state", {}).get("caller")
        return found

    @property
    def shown(self) -> tuple[str, ...]:
        """What its caller has shown: of many requests with the same it is looked at once."""
        connection = HTTPConnection(self.scope)
        headers = (connection.headers.get(name, "") for name in ("x-api-key", "authorization"))
        return (*headers, connection.cookies.get(COOKIE, ""))

    def end(self, why: str) -> None:
        """Let it not be answered any further."""
        self.ended = why
        self.task.cancel()


@dataclass(slots=True, kw_only=True)
class Lasting:
    """Looks again and again who asked for what is still being answered: keys are revoked, sessions and tokens end."""

    app: ASGIApp
    gatekeeper: Gatekeeper
    seconds: float = LOOK_SECONDS
    handler_seconds: float = HANDLER_SECONDS
    _held: set[Held] = field(default_factory=set)
    _looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        task = asyncio.current_task()
        if scope["type"] not in ("http", "websocket") or task is None:
            return await self.app(scope, receive, send)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="interlock-lasting")
        held = Held(scope, task, now := time.monotonic(), now)
        self._held.add(held)
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not held.ended or task.uncancel():
                raise
            await _say(held.ended, scope, receive, send)
        finally:
            self._held.discard(held)

    async def _look(self) -> None:
        """Look until nothing is being answered any more."""
        while self._held:
            await asyncio.sleep(self.seconds)
            await self._look_at_keys()
            await self._ask_handlers()

    async def _look_at_keys(self) -> None:
        by_shown: defaultdict[tuple[str, ...], list[Held]] = defaultdict(list)
        for each in self._long():
            if each.caller is not None and each.caller.kind != "handler":
                by_shown[each.shown].append(each)
        for alike in by_shown.values():
            if not await self._is_known(alike[0]):
                for each in self._held.intersection(alike):  # others have ended meanwhile
                    each.end(GONE)

    async def _ask_handlers(self) -> None:
        """Ask an application's handlers again: what they say may depend on all of a request."""
        since = time.monotonic() - self.handler_seconds
        theirs = [x for x in self._long() if x.caller is not None and x.caller.kind == "handler"]
        due = [each for each in theirs if each.asked_at < since]
        places = asyncio.Semaphore(HANDLERS_AT_ONCE)

        async def one(held: Held) -> None:
            async with places:
                held.asked_at = time.monotonic()
                if not await self._is_let(held) and held in self._held:
                    held.end(REFUSED)

        await asyncio.gather(*(one(each) for each in due))

    async def _is_let(self, held: Held) -> bool:
        """Say whether the handlers would let a request pass now."""
        afresh = HTTPConnection({key: each for key, each in held.scope.items() if key != KNOWN})
        again: Again | None = held.scope.get(AGAIN)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                known = await self._is_same(held, afresh)
                if known and again is not None:
                    await again(afresh)
                return known
        except (Unauthorized, Forbidden, NotFound):
            return False
        except Exception:  # the application's own, of any kind: it says nothing
            log.warning("handler.failed path=%s", held.scope.get("path"), exc_info=True)
            return True

    def _long(self) -> list[Held]:
        """Return what has been answered for a while to somebody who was known."""
        since = time.monotonic() - self.seconds
        return [
            each
            for each in self._held
            if each.began_at < since and each.caller is not None and not each.ended
        ]

    async def _is_known(self, held: Held) -> bool:
        try:
            return await self._is_same(held, HTTPConnection(held.scope))
        except (Unauthorized, Forbidden):
            return False
        except InterlockError:  # nobody can be asked now
            return True

    async def _is_same(self, held: Held, connection: HTTPConnection) -> bool:
        caller, was = await self.gatekeeper.holder(connection), held.caller
        return was is not None and _names(caller) == _names(was)


def _names(caller: Caller) -> tuple[str, str, str | None]:
    return caller.kind, caller.identity, caller.tenant


async def _say(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Say why it ends; an answer that has begun is cut, so that nobody takes it for a whole one."""
    with suppress(RuntimeError):  # the server's, when the answer has begun
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401, "reason": why})
        else:
            await Wire({"detail": why}, status_code=401)(scope, receive, send)
    cut(scope)
