"""Requests that are taken without FastAPI, and those that are left to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from interlock.server import direct
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
    key: Annotated[str, Header(max_length=3)] = "",
) -> JSONResponse:
    """Say what was asked for."""
    if asked.number < 0:
        raise HTTPException(409, "less than nothing")
    return JSONResponse([who, name, asked.number, key])


class Noting:
    """Passes requests on, and notes which of them were left to FastAPI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.left: list[bool] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        await self.app(scope, receive, send)
        self.left.append(direct.LEFT in scope)


@pytest.fixture
def noting() -> Noting:
    """An application that takes its one route directly."""
    app = FastAPI()
    app.include_router(router)
    direct.take(app, [router], [thing])
    return Noting(app)


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
    assert noting.left == [False, False]


async def test_what_an_endpoint_raises(http: httpx.AsyncClient, noting: Noting) -> None:
    """What an endpoint raises is answered as it always is."""
    answer = await http.post("/things/a", json={"number": -1})

    assert (answer.status_code, answer.json()) == (409, {"detail": "less than nothing"})
    assert noting.left == [False]


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
    assert noting.left == [True]


async def test_a_request_with_a_query(http: httpx.AsyncClient, noting: Noting) -> None:
    """A request with a query is not taken directly: what an endpoint may be told so is rare."""
    answer = await http.post("/things/a?x=1", json={"number": 1})

    assert answer.json() == ["somebody", "a", 1, ""]
    assert noting.left == [False]
    assert direct.Direct([], noting).matches({"type": "http", "query_string": b"x=1"}) == (
        Match.NONE,
        {},
    )


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
    taken = [direct.Taken.of(each) for each in routes if each.endpoint in OFTEN]

    match, known = direct.Direct(taken, FastAPI()).matches(scope)

    assert match == Match.FULL
    assert known["endpoint"] is first.endpoint
    assert known["route"] is first
