"""Takes the few requests that clients send for each run past FastAPI's layers, its routes and its parameters.

A request that is not well formed is left to FastAPI, and so is one with a query: there is one way to refuse, and one
to read what is rare. What an endpoint raises is raised again there: there is one way to answer errors. The routes are
FastAPI's own, so that its document tells of them, and what they take is read from them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from interlock.server.answers import has_begun
from interlock.server.bodies import again
from interlock.server.heads import said
from interlock.server.slashes import SLASHED

RAISED = "interlock.raised"
"""Under which a request keeps what its endpoint raised."""

Endpoint = Callable[..., Awaitable[Response]]

Layer = Callable[[ASGIApp], ASGIApp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A part of a request's path, or a header of it, that an endpoint takes.

    Attributes:
        name: as the endpoint has it.
        alias: as the path has it.
        header: as the request has it.
        field: FastAPI's own, which checks it.
    """

    name: str
    alias: str
    header: bytes
    field: Any  # a class of FastAPI's that it does not name for others

    def value(self, text: str, place: str) -> Any:  # of the parameter's type
        """Return what a text means; raises `_NotWellFormed`."""
        value, faults = self.field.validate(text, {}, loc=(place,))
        if faults:
            raise _NotWellFormed
        return value


class _NotWellFormed(Exception):
    """A request that FastAPI refuses in its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One route, and how its endpoint is called.

    Attributes:
        parts: of its path.
        body: the name and the type of what it takes as JSON; None for nothing.
        needed: the name of the scope of the caller, and what returns that or keeps the caller out.
    """

    route: APIRoute
    endpoint: Endpoint
    parts: tuple[Given, ...]
    headers: tuple[Given, ...]
    body: tuple[str, TypeAdapter[Any]] | None
    needed: tuple[str, Callable[[Request], Awaitable[Any]]]

    @classmethod
    def of(cls, route: APIRoute) -> Taken:
        """Return how a route's endpoint is called that takes a scope, parts of its path, headers and a body."""
        dependant = route.dependant
        bodies: list[tuple[str, TypeAdapter[Any]]] = []  # of any type
        for each in dependant.body_params:
            assert each.field_info.annotation is not None  # noqa: S101  # for the type checker
            bodies.append((each.name, TypeAdapter(each.field_info.annotation)))
        assert (len(dependant.dependencies), len(bodies)) in ((1, 0), (1, 1)), route.path  # noqa: S101  # ours
        needed = dependant.dependencies[0]
        assert needed.name  # noqa: S101  # for the type checker
        assert needed.call  # noqa: S101  # as above
        return cls(
            route=route,
            endpoint=route.endpoint,
            parts=_given(dependant.path_params),
            headers=_given(dependant.header_params),
            body=bodies[0] if bodies else None,
            needed=(needed.name, needed.call),
        )

    def values(self, scope: Scope, body: bytes) -> dict[str, Any]:  # of any type
        """Return what a request says for the endpoint; raises `_NotWellFormed`."""
        parts = scope["path_params"]
        given = {each.name: each.value(parts[each.alias], "path") for each in self.parts}
        for each in self.headers:
            if text := said(scope, each.header):  # else the endpoint has a default
                given[each.name] = each.value(text, "header")
        if self.body is not None:
            name, kind = self.body
            if not _is_json(said(scope, b"content-type")):
                raise _NotWellFormed
            try:
                given[name] = kind.validate_json(body)
            except ValidationError:
                raise _NotWellFormed from None
        return given


@dataclass(slots=True)
class Direct:
    """Stands before all layers of an application, and takes requests for some of its routes."""

    app: ASGIApp
    taken: dict[str, list[Taken]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if (taken := self.taking(scope)) is None:
            return await self.app(scope, receive, send)
        body = await _whole(receive) if taken.body is not None else b""
        request = Request(scope, again(body, receive))
        try:
            given = taken.values(scope, body)
            name, scoped = taken.needed
            given[name] = await scoped(request)
            response = await taken.endpoint(**given)
            return await response(scope, receive, send)
        except _NotWellFormed:
            pass
        except Exception as error:  # of any kind: it is raised again where errors are answered
            if has_begun(scope):
                raise
            scope[RAISED] = error
        return await self.app(scope, request.receive, send)

    def taking(self, scope: Scope) -> Taken | None:
        """Return what takes a request, and note in it what FastAPI would; None for what is left to FastAPI."""
        if scope["type"] != "http" or scope["query_string"] or SLASHED in scope:
            return None
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        for each in self.taken.get(scope["method"], ()):
            if found := each.route.path_regex.match(path):
                scope["path_params"] = found.groupdict()
                scope["route"], scope["endpoint"] = each.route, each.endpoint
                return each
        return None


class Raising(BaseRoute):
    """The first route of an application: raises what was raised before all its layers, so that they answer it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether something was raised."""
        return (Match.FULL if RAISED in scope else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise it."""
        error: Exception = scope[RAISED]
        raise error


class Fronted(FastAPI):
    """FastAPI with layers before its own."""

    layers: tuple[Layer, ...] = ()
    """From the inside out."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return what serves."""
        app = super().build_middleware_stack()
        for layer in self.layers:
            app = layer(app)
        return app


def take(
    app: Fronted,
    routers: Iterable[APIRouter],
    endpoints: Collection[Callable[..., Any]],
    withheld: re.Pattern[str] | None = None,
) -> None:
    """Let an application take requests for some endpoints of its routers directly, unless their paths are withheld."""
    taken: dict[str, list[Taken]] = {}
    for route in (each for router in routers for each in router.routes):
        if not isinstance(route, APIRoute) or route.endpoint not in endpoints:
            continue
        if withheld is None or not withheld.match(route.path):
            for method in route.methods or ():
                taken.setdefault(method, []).append(Taken.of(route))
    app.router.routes.insert(0, Raising())
    app.layers = (*app.layers, lambda inner: Direct(inner, taken))


def _given(fields: Iterable[Any]) -> tuple[Given, ...]:  # FastAPI's, as above
    return tuple(
        Given(name=each.name, alias=each.alias, header=each.alias.lower().encode(), field=each)
        for each in fields
    )


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


async def _whole(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)
