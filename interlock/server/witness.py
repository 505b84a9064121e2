"""Watches requests go by, and has the audit log written of those that changed something or were refused."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.errors import DatabaseUnavailable
from interlock.server.addresses import network_of
from interlock.server.answers import seen_by
from interlock.server.auditing import THIS_REQUEST, Audit
from interlock.server.callers import Caller
from interlock.server.sessions import SAFE

LONGEST = 200
"""Characters of a path that are noted where there is no such route."""

REFUSALS = (401, 403, 413, 429)

_WORK = re.compile(
    r"^(/threads|/runs|/threads/\{thread_id\}/runs)?(/wait|/stream|/batch|/crons)?/?$"
    r"|/(search|count|history|commands|events|namespaces|state/checkpoint)$"
    r"|^/store/items$|^/(mcp|a2a|agents)(/|$)|^/threads$|/stream(/events)?$"
)
"""Paths whose requests begin work, or only look: runs say themselves who began them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Notes who did what, before they are told that it is done."""

    app: ASGIApp
    audit: Audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        noted: list[str] = []
        THIS_REQUEST.set(noted)

        async def look(message: Message) -> None:
            await self._note(scope, message["status"], noted)

        return await self.app(scope, receive, seen_by(look, scope, send))

    async def _note(self, scope: Scope, status: int, noted: list[str]) -> None:
        caller: Caller | None = scope.get("state", {}).get("caller")
        path = str(getattr(scope.get("route"), "path", quote(scope["path"])[:LONGEST]))
        act = f"{scope['method']} {path}"
        if status in REFUSALS:
            host = network_of(str((scope.get("client") or ("",))[0]))
            with suppress(DatabaseUnavailable):  # it is refused all the same
                await self.audit.refused(caller, host, status, act)
        elif noted or caller is None or status >= 400:  # a route may have said it in better words
            return
        elif _changes(scope["method"], path):
            named = "/".join(str(each) for each in scope.get("path_params", {}).values())
            await self.audit.note(caller, act, named)


@lru_cache(maxsize=512)
def _changes(method: str, path: str) -> bool:
    if method in SAFE:
        return False
    return method == "DELETE" or not _WORK.search(path)
