"""Requests that are taken without FastAPI, and those that are left to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, Header, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.server import direct
from interlock.server.answers import seen_by
from interlock.server.app import OFTEN, ROUTERS

JSON = {"content-type": "application/json"}


class Asked(BaseModel):
    """What is asked for."""

    number: int


async def caller(connection: HTTPConnection) -> str:
    """Return who calls."""
    return "somebody"


router = APIRouter()


@router.post("/things/{name}")
async def thing(
    who: Annotated[str, Depends(caller)],
    name: Annotated[str, Path(max_length=5)],
    asked: Asked,
    key: Annotated[str, Header(alias="Key", max_length=3)] = "",
) -> JSONResponse:
    """Say what was asked for."""
    if asked.number < 0:
        raise HTTPException(409, "less than nothing")
    return JSONResponse([who, name, asked.number, key])


@router.get("/things/{name}")
async def broken(who: Annotated[str, Depends(caller)], name: str) -> JSONResponse:
    """Fail."""
    raise ZeroDivisionError(name)


class Noting(direct.Fronted):
    """An application that takes its routes directly, and notes which requests were left to FastAPI."""

    def __init__(self, withheld: re.Pattern[str] | None = None) -> None:
        super().__init__()
        self.left: list[str] = []
        self.layers = (self.noting,)
        self.include_router(router)
        self.add_exception_handler(ZeroDivisionError, divided)
        direct.take(self, [router], [thing, broken], withheld)

    def noting(self, app: ASGIApp) -> ASGIApp:
        """Return what notes a request, and passes it on."""

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            self.left.append("raised" if direct.RAISED in scope else "left")
            await app(scope, receive, send)

        return noted


async def divided(request: Request, error: Exception) -> JSONResponse:
    """Answer what cannot be divided."""
    return JSONResponse(str(error), 418)


@pytest.fixture
def noting() -> Noting:
    """An application that takes its routes directly."""
    return Noting()


@pytest.fixture
async def http(noting: Noting) -> AsyncIterator[httpx.AsyncClient]:
    """Its client."""
    transport = httpx.ASGITransport(noting)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield client


async def test_what_is_well_formed(http: httpx.AsyncClient, noting: Noting) -> None:
    """A request that is well formed reaches its endpoint directly, with all that FastAPI would hand over."""
    answer = await http.post("/things/a%20b", content='{"number": 1}', headers=JSON)
    with_key = await http.post("/things/c", json={"number": 2}, headers={"key": "k"})

    assert answer.json() == ["somebody", "a b", 1, ""]
    assert with_key.json() == ["somebody", "c", 2, "k"]
    assert noting.left == []


async def test_what_an_endpoint_raises(http: httpx.AsyncClient, noting: Noting) -> None:
    """What an endpoint raises is answered as it always is, by the one who answers such errors."""
    refused = await http.post("/things/a", json={"number": -1})
    failed = await http.get("/things/x%20y")

    assert (refused.status_code, refused.json()) == (409, {"detail": "less than nothing"})
    assert (failed.status_code, failed.json()) == (418, "x y")
    assert noting.left == ["raised", "raised"]


async def test_what_fails_behind_its_head() -> None:
    """What fails when an answer has begun is not answered a second time: it is the server's to cut it."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def endpoint(**given: str) -> Any:  # a response, as far as it is asked
        return half

    async def look(message: Message) -> None:
        """See nothing."""

    route = next(each for each in router.routes if isinstance(each, APIRoute))
    taken = replace(direct.Taken.of(route), endpoint=endpoint, body=None)
    app = Noting()
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/things/a",
        "query_string": b"",
        "headers": [],
        "app": app,
    }

    with pytest.raises(ZeroDivisionError):
        await direct.Direct(app, {"POST": [taken]})(scope, receive, seen_by(look, scope, send))

    assert [each["type"] for each in sent] == ["http.response.start"]
    assert app.left == []


async def test_what_is_withheld() -> None:
    """A path that is withheld is not taken either."""
    app = Noting(re.compile("/things"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://here"
    ) as client:
        await client.post("/things/a", json={"number": 1})

    assert app.left == ["left"]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/things/a", b'{"number": "x"}', JSON),
        ("/things/a", b'{"number": ', JSON),
        ("/things/a", b"", JSON),
        ("/things/a", b'{"number": 1}', {"content-type": "text/plain"}),
        ("/things/longer", b'{"number": 1}', JSON),
        ("/things/a", b'{"number": 1}', {**JSON, "key": "long"}),
    ],
)
async def test_what_is_not_well_formed(
    http: httpx.AsyncClient, noting: Noting, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """What is not well formed is refused by FastAPI, which gets the whole body."""
    answer = await http.post(path, content=body, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] in ("body", "path", "header")
    assert noting.left == ["left"]


async def test_a_request_with_a_query(http: httpx.AsyncClient, noting: Noting) -> None:
    """A request with a query is not taken directly: what an endpoint may be told so is rare."""
    answer = await http.post("/things/a?x=1", json={"number": 1})

    assert answer.json() == ["somebody", "a", 1, ""]
    assert noting.left == ["left"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/threads/t/runs/wait"),
        ("POST", "/runs/wait"),
        ("POST", "/threads/t/runs"),
        ("POST", "/runs"),
        ("POST", "/threads/t/runs/stream"),
        ("POST", "/runs/stream"),
        ("POST", "/threads"),
        ("GET", "/threads/t"),
        ("GET", "/threads/t/state"),
    ],
)
def test_each_goes_where_fastapi_would_send_it(method: str, path: str) -> None:
    """What is taken directly goes to the very endpoint that comes first among all routes."""
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": b""}
    routes = [each for one in ROUTERS for each in one.routes if isinstance(each, APIRoute)]
    first = next(each for each in routes if each.matches(dict(scope))[0] == Match.FULL)
    app = direct.Fronted()
    direct.take(app, ROUTERS, OFTEN)
    first_layer = app.layers[0](app)
    assert isinstance(first_layer, direct.Direct)

    taken = first_layer.taking(scope)

    assert taken is not None
    assert taken.endpoint is first.endpoint
    assert scope["route"] is first
    assert scope["endpoint"] is first.endpoint
