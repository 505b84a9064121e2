"""What every answer tells browsers, and which of their requests are not taken."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.server.answers import has_begun, seen_by
from interlock.server.heads import said
from interlock.server.sessions import SAFE
from interlock.server.wire import Wire

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Scripts and styles are files of ours; what stands in a page, or comes from elsewhere, is not run."""

SECURE = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

REQUEST_ID = b"x-request-id"

THIS_REQUEST: ContextVar[str] = ContextVar("interlock_request", default="")
"""The id of the request that is being served: each answer has it, and what is logged of a fault."""

_SANE = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")

TRANSPORT = (b"strict-transport-security", b"max-age=31536000")

_ALWAYS = tuple(
    (name.encode(), text.encode()) for name, text in {**SECURE, "cache-control": "no-store"}.items()
)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class SecureAnswers:
    """Adds headers to whatever is answered, errors included; what a route has said itself stays."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        number = _number_of(scope)
        THIS_REQUEST.set(number)

        def secure(message: Message) -> None:
            told = list(message.get("headers", ()))
            names = {name for name, _ in told}
            told += [each for each in _ALWAYS if each[0] not in names]
            if REQUEST_ID not in names:
                told.append((REQUEST_ID, number.encode()))
            if scope["scheme"] == "https" and TRANSPORT[0] not in names:
                told.append(TRANSPORT)
            message["headers"] = told

        send = seen_by(secure, scope, send)
        try:
            await self.app(scope, receive, send)
        except Exception:  # the server notes it
            if not has_begun(scope):
                await Wire({"detail": fault()}, status_code=500)(scope, receive, send)
            raise


def fault() -> str:
    """Return what is told of a fault of the server."""
    return f"The server has a fault; its log says more, under request {THIS_REQUEST.get()}."


def named(record: logging.LogRecord) -> bool:
    """Say in what is logged which request it is about: a filter."""
    if (number := THIS_REQUEST.get()) and isinstance(record.msg, str):
        record.msg = f"{record.msg.rstrip()} [request {number}]"
    return True


def _number_of(scope: Scope) -> str:
    """Return the id that a client gave its request, if that can be one, or a new one."""
    given = said(scope, REQUEST_ID)
    if _SANE.fullmatch(given):
        return given
    return f"{random.getrandbits(64):016x}"  # it is no secret: the kernel need not be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Takes no request under a name that is not the server's, and none that another site's page sends.

    The first keeps out pages whose own name was made to point at this machine (DNS rebinding); the second those that
    send a form or open a WebSocket here, where a browser would add what it knows of this server.

    Attributes:
        hosts: the names under which it may be called; empty for any.
        probes: paths that may be looked at under any name: what watches processes knows their addresses alone.
        origins: sites whose pages may send requests, beside the server's own; `*` for any.
        alike: what else the names of such sites look like.
    """

    app: ASGIApp
    hosts: Collection[str]
    probes: Collection[str] = ()
    origins: Collection[str] = ()
    alike: re.Pattern[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        why = self._refusal(scope)
        if not why:
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
        return await Wire({"detail": why}, status_code=403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        host = said(scope, b"host").lower()
        safe = scope["type"] == "http" and scope["method"] in SAFE
        probes = safe and scope["path"] in self.probes
        if self.hosts and _name_of(host) not in self.hosts and not probes:
            return (
                f"This server is not called {host!r}. Name it in INTERLOCK_SERVER_HOSTS if it is."
            )
        origin = said(scope, b"origin").lower()
        if safe or not origin or origin.partition("://")[2] == host or self._allows(origin):
            return ""
        return f"Pages of {origin} may send nothing here. Name it in INTERLOCK_SERVER_ORIGINS if they may."

    def _allows(self, origin: str) -> bool:
        if "*" in self.origins or origin in self.origins:
            return True
        return self.alike is not None and bool(self.alike.fullmatch(origin))


def hosts_of(loopback: bool, named: Iterable[str]) -> frozenset[str]:
    """Return the names under which a server may be called; none for any."""
    names = frozenset(map(_name_of, named))
    return names | LOOPBACK_NAMES if loopback or names else frozenset()


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return f"{host.partition(']')[0]}]"
    return host.partition(":")[0].rstrip(".")
