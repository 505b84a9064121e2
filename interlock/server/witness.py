"""Watches requests go by, and has the audit log written of those that changed something or were refused."""

from __future__ import annotations

import re
from collections.abc import Awaitable
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
    r"|^/store/items$|^/(mcp|a2a|agents|bridge)(/|$)|^/threads$|/stream(/events)?$"
)
"""Paths whose requests begin work, or only look: runs tell who began them, and command lines what they change."""


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

        def look(message: Message) -> Awaitable[None] | None:
            return self._noting(scope, message["status"], noted)

        return await self.app(scope, receive, seen_by(look, scope, send))

    def _noting(self, scope: Scope, status: int, noted: list[str]) -> Awaitable[None] | None:
        """Return what notes a request; None where there is nothing to note."""
        caller: Caller | None = scope.get("state", {}).get("caller")
        if status in REFUSALS:
            return self._refused(scope, caller, status)
        if noted or caller is None or status >= 400:  # a route may have said it in better words
            return None
        if not _changes(scope["method"], path := _path(scope)):
            return None
        named = "/".join(str(each) for each in scope.get("path_params", {}).values())
        return self.audit.note(caller, f"{scope['method']} {path}", named)

    async def _refused(self, scope: Scope, caller: Caller | None, status: int) -> None:
        host = network_of(str((scope.get("client") or ("",))[0]))
        with suppress(DatabaseUnavailable):  # it is refused all the same
            await self.audit.refused(caller, host, status, f"{scope['method']} {_path(scope)}")


def _path(scope: Scope) -> str:
    """Return the path of a request's route; where it has none, its own."""
    if (route := scope.get("route")) is not None and hasattr(route, "path"):
        return str(route.path)
    return quote(scope["path"])[:LONGEST]


@lru_cache(maxsize=512)
def _changes(method: str, path: str) -> bool:
    if method in SAFE:
        return False
    return method == "DELETE" or not _WORK.search(path)
