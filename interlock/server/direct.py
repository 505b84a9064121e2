"""Takes the few requests that clients send for each run without FastAPI's way through all routes and parameters.

A request that is not well formed is left to FastAPI, and so is one with a query: there is one way to refuse, and one
to read what is rare. The routes are FastAPI's own, so that its document tells of them, and what they take is read from
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.server.slashes import SLASHED

LEFT = "interlock.left"
"""Under which a request keeps that it is left to FastAPI."""

TAKEN = "interlock.taken"
"""Under which a request keeps what takes it."""

Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One route, and how its endpoint is called.

    Attributes:
        body: the name and the type of what it takes as JSON; None for nothing.
    """

    route: APIRoute
    endpoint: Endpoint
    body: tuple[str, TypeAdapter[Any]] | None

    @classmethod
    def of(cls, route: APIRoute) -> Taken:
        """Return how a route's endpoint is called that takes a scope, parts of its path, headers and a body."""
        dependant = route.dependant
        bodies: list[tuple[str, TypeAdapter[Any]]] = []  # of any type
        for each in dependant.body_params:
            assert each.field_info.annotation is not None  # noqa: S101  # for the type checker
            bodies.append((each.name, TypeAdapter(each.field_info.annotation)))
        assert (len(dependant.dependencies), len(bodies)) in ((1, 0), (1, 1)), route.path  # noqa: S101  # ours
        return cls(route=route, endpoint=route.endpoint, body=bodies[0] if bodies else None)

    async def values(self, request: Request) -> dict[str, Any] | None:  # of any type
        """Return what the endpoint is called with; None for a request that is not well formed."""
        given = self._named(request)
        if given is None or self.body is None:
            return given
        name, kind = self.body
        if not _is_json(request.headers.get("content-type", "")):
            return None
        try:
            return {**given, name: kind.validate_json(await request.body())}
        except ValidationError:
            return None

    async def scoped(self, request: Request) -> dict[str, Any]:  # the scope by its name
        """Return the scope of the caller; raises whatever keeps the caller out."""
        needed = self.route.dependant.dependencies[0]
        assert needed.name  # noqa: S101  # for the type checker
        assert needed.call  # noqa: S101  # as above
        return {needed.name: await needed.call(request)}

    def _named(self, request: Request) -> dict[str, Any] | None:  # as above
        """Return what the path and the headers say."""
        dependant, given = self.route.dependant, {}
        for field in dependant.path_params:
            given[field.name], faults = field.validate(
                request.path_params[field.alias], {}, loc=("path",)
            )
            if faults:
                return None
        for field in dependant.header_params:
            if (said := request.headers.get(field.alias)) is None:
                continue  # the endpoint has a default
            given[field.name], faults = field.validate(said, {}, loc=("header",))
            if faults:
                return None
        return given


class Direct(BaseRoute):
    """Stands before all routes of an application, and takes requests for some of them."""

    def __init__(self, taken: Iterable[Taken], otherwise: ASGIApp) -> None:
        self._taken: dict[str, list[Taken]] = {}
        self._otherwise = otherwise
        for each in taken:
            for method in each.route.methods or ():
                self._taken.setdefault(method, []).append(each)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether a request is for one of them."""
        if scope["type"] != "http" or scope["query_string"] or LEFT in scope or SLASHED in scope:
            return Match.NONE, {}
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        for each in self._taken.get(scope["method"], ()):
            if found := each.route.path_regex.match(path):
                known = {"route": each.route, "endpoint": each.endpoint, TAKEN: each}
                return Match.FULL, {**known, "path_params": found.groupdict()}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        taken: Taken = scope[TAKEN]
        request = Request(scope, receive)
        given = await taken.values(request)
        if given is None:
            scope[LEFT] = True
            return await self._otherwise(scope, _again(await request.body(), receive), send)
        response = await taken.endpoint(**given, **await taken.scoped(request))
        return await response(scope, receive, send)


def take(
    app: FastAPI, routers: Iterable[APIRouter], endpoints: Collection[Callable[..., Any]]
) -> None:
    """Let an application take requests for some endpoints of its routers directly."""
    routes = [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.endpoint in endpoints
    ]
    app.router.routes.insert(0, Direct(map(Taken.of, routes), app.router))


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then whatever comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received
