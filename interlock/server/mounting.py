"""What an application's langgraph.json says about its server: what is served, to which pages, and what beside it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.application import Application
from interlock.errors import UsageError
from interlock.langgraph_json import Http
from interlock.server.answers import seen_by
from interlock.server.heads import said
from interlock.server.wire import Wire

PARTS = {
    "assistants": r"/(assistants|agents)",
    "threads": r"/threads(?!/[^/]+/runs(/|$))",
    "runs": r"(/threads/[^/]+)?/runs",
    "store": r"/store",
    "meta": r"/(ok|info|metrics|docs|openapi\.json)",
    "mcp": r"/mcp",
    "a2a": r"/a2a",
    "ui": r"/ui",
}
"""What `disable_NAME` takes away."""

EXPOSED = (
    "Content-Location",
    "Location",
    "Retry-After",
    "X-Pagination-Next",
    "X-Pagination-Total",
    "X-Request-ID",
)
"""Headers of answers that clients in a browser may read, too."""

NEIGHBOURS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Pages that this machine serves: they may call a server that only this machine reaches."""

OTHER_APP = "The application's own `http.app`"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def own_app(application: Application) -> ASGIApp | None:
    """Return the ASGI application that langgraph.json names beside its graphs; raises `UsageError`."""
    if not (target := application.config.http.app):
        return None
    found = application.found(OTHER_APP, target)
    if not callable(found):
        raise UsageError(
            f"{OTHER_APP} ({target}) is a {type(found).__name__}.",
            hint="Name a FastAPI or Starlette application.",
        )
    return found  # type: ignore[no-any-return]  # whatever the application's module holds


def lifespan_of(own: ASGIApp | None) -> Lifespan:
    """Return what begins and ends an application's own app with ours."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        if not isinstance(own, Starlette):
            yield
            return
        async with own.router.lifespan_context(own):
            yield

    return living


def dress(app: FastAPI, http: Http, own: ASGIApp | None) -> None:
    """Let an application serve what langgraph.json says; called when all of its routes are there.

    Args:
        app: the application.
        http: what is said.
        own: serves every path that we do not; without it `/` leads to the dashboard.
    """
    if own is not None:
        app.mount("/", own)
    else:
        app.add_route("/", _entrance, include_in_schema=False)
    if withheld := pattern_of(http):
        app.add_middleware(Withheld, pattern=withheld)


def shared(app: ASGIApp, http: Http, origins: Sequence[str], *, on_loopback: bool) -> ASGIApp:
    """Return an application whose answers, refusals among them, pages of other sites may read.

    Args:
        app: the application.
        http: what langgraph.json says.
        origins: sites whose pages may, beside those that it names.
        on_loopback: only this machine reaches the server, and pages that it serves may.
    """
    cors = _cors(http, origins, on_loopback=on_loopback)
    return Shared(app, **cors) if cors else app


async def _entrance(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/ui/", 307)


def pattern_of(http: Http) -> re.Pattern[str] | None:
    """Return what the paths look like that are not served; None when all are."""
    gone = [
        f"{path}(/|$)" for name, path in PARTS.items() if getattr(http, f"disable_{name}", False)
    ]
    return re.compile("|".join(gone)) if gone else None


@dataclass(slots=True)
class Withheld:
    """ASGI middleware: some paths are not there."""

    app: ASGIApp
    pattern: re.Pattern[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on unless its path is not served."""
        if scope["type"] == "websocket" and self.pattern.match(_path(scope)):
            await send({"type": "websocket.close", "code": 1008, "reason": "Not Found"})
        elif scope["type"] == "http" and self.pattern.match(_path(scope)):
            await Wire({"detail": "Not Found"}, status_code=404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class Shared(CORSMiddleware):
    """Starlette's, as one who looks at an answer's head."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; who comes from no page is only told that the answer might be another for one who does."""
        if scope["type"] == "http" and not said(scope, b"origin"):
            await self.app(scope, receive, seen_by(_varied, scope, send))
        else:
            await super().__call__(scope, receive, send)

    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        """Serve what is no question of a browser's about a request to come."""
        look = partial(self.send, send=_nowhere, request_headers=request_headers)
        await self.app(scope, receive, seen_by(look, scope, send))


def _varied(message: Message) -> None:
    MutableHeaders(scope=message).add_vary_header("Origin")


async def _nowhere(message: Message) -> None:
    """Send nothing: the head that was looked at is sent by others."""


def _cors(
    http: Http, origins: Sequence[str], *, on_loopback: bool
) -> dict[str, Any] | None:  # the middleware's arguments
    if http.cors is not None:
        said = {name: getattr(http.cors, name) for name in type(http.cors).model_fields}
        return said | {
            "allow_origins": (*http.cors.allow_origins, *origins),
            "expose_headers": http.cors.expose_headers or EXPOSED,
        }
    if not on_loopback and not origins:
        return None
    return {
        "allow_origins": origins,
        "allow_origin_regex": NEIGHBOURS if on_loopback else None,
        "allow_methods": ("*",),
        "allow_headers": ("*",),
        "expose_headers": EXPOSED,
    }
