"""How much the server takes, from whom, and what it tells browsers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import HTTPException

from interlock.server.bodies import MOST_NAMES, Bodies, shape_of
from interlock.server.headers import Doors, hosts_of
from interlock.server.limits import ADMIT, MOST_COUNTED, Rates, Streams
from tests.server.conftest import SAMPLE, serving

LIMITS = {
    "INTERLOCK_SERVER_BODY": "2000",
    "INTERLOCK_SERVER_DEPTH": "20",
    "INTERLOCK_SERVER_RATE": "20",
    "INTERLOCK_SERVER_STREAMS": "2",
}


@pytest.fixture(scope="module")
def narrow(server_database: str) -> Iterator[str]:
    """The address of a server with narrow limits."""
    with serving(server_database, environment=LIMITS) as address:
        yield address


def test_a_body_that_is_too_large(narrow: str) -> None:
    """A body over the limit is refused, whether its length is told or not."""
    body = json.dumps({"metadata": {"text": "x" * 2000}}).encode()
    kind = {"content-type": "application/json"}

    told = httpx.post(f"{narrow}/threads", content=body, headers=kind)
    untold = httpx.post(f"{narrow}/threads", content=iter([body[:900], body[900:]]), headers=kind)

    assert (told.status_code, untold.status_code) == (413, 413)
    assert "2000 bytes" in told.json()["detail"]


def test_a_page_of_another_site_reads_why_it_is_refused(narrow: str) -> None:
    """A refusal before any route has the headers that let a page see it, like any other answer."""
    body = json.dumps({"metadata": {"text": "x" * 2000}}).encode()
    headers = {"content-type": "application/json", "origin": "http://localhost:3000"}

    told = httpx.post(f"{narrow}/threads", content=body, headers=headers)

    assert told.status_code == 413
    assert told.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "X-Request-ID" in told.headers["access-control-expose-headers"]


def test_a_body_within_the_limit(narrow: str) -> None:
    """A body under the limit passes, whether its length is told or not."""
    body = json.dumps({"metadata": {"text": "x" * 1500}}).encode()
    kind = {"content-type": "application/json"}

    told = httpx.post(f"{narrow}/threads", content=body, headers=kind)
    untold = httpx.post(f"{narrow}/threads", content=iter([body[:900], body[900:]]), headers=kind)

    assert (told.status_code, untold.status_code) == (200, 200)
    assert untold.json()["metadata"] == {"text": "x" * 1500}


def test_a_body_that_is_too_deep(narrow: str) -> None:
    """A body that is nested too deep is refused before it is parsed; brackets in texts do not count."""
    deep = b'{"metadata": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}"
    flat = json.dumps({"metadata": {"a": "[" * 500 + '"{{{\\'}})

    refused = httpx.post(
        f"{narrow}/threads", content=deep, headers={"content-type": "application/json"}
    )
    taken = httpx.post(
        f"{narrow}/threads", content=flat, headers={"content-type": "application/json"}
    )

    assert (refused.status_code, taken.status_code) == (422, 200)
    assert "20 deep" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [("application/JSON", "utf-8"), ("application/json", "utf-16-le"), ("", "utf-32-be")],
)
def test_depth_does_not_hide(narrow: str, kind: str, encoding: str) -> None:
    """Neither another spelling of JSON's name, nor an encoding in which brackets are told otherwise, hides depth."""
    text = '{"metadata": {"b": "\u0122", "a": ' + "[" * 200 + "]" * 200 + "}}"

    refused = httpx.post(
        f"{narrow}/threads", content=text.encode(encoding), headers={"content-type": kind}
    )

    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("text", "depth", "names"),
    [
        (b"", 0, 0),
        (b"1", 0, 0),
        (b"[[], {}]", 2, 0),
        (b'{"a": [{"b": "]]", "c:": 1}]}', 3, 3),
        (b'"[[[:"', 0, 0),
        (b'["\\"[[:", [1]]', 2, 0),
        (b'["unended [[[:', 1, 0),
    ],
)
def test_shape(text: bytes, depth: int, names: int) -> None:
    """Depth and names are counted outside of strings."""
    assert shape_of(text) == (depth, names)


def test_a_body_with_too_many_names(server: str) -> None:
    """A body whose reading would hold up everybody else is refused; text with as many colons is not."""
    names = {"x": {str(n): n for n in range(MOST_NAMES)}}

    refused = httpx.post(f"{server}/threads", json=names)
    taken = httpx.post(f"{server}/threads", json={"x": ":" * 2 * MOST_NAMES})

    assert (refused.status_code, taken.status_code) == (422, 200)
    assert "100000 names" in refused.json()["detail"]


def test_too_many_requests(narrow: str) -> None:
    """Who sends more than their share is told when to come back; the server answers them then."""
    with httpx.Client(base_url=narrow) as client:
        answers = [client.get("/info") for _ in range(80)]

    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert answers[0].status_code == 200
    assert refused[0].headers["retry-after"] == "1"


def test_a_share_fills_again() -> None:
    """Twice the share of a second may come at once, then as many as time has passed for."""
    rates = Rates(10.0)
    passed = [taken(rates, "a", 0.0) for _ in range(25)]

    assert passed == [True] * 20 + [False] * 5
    assert [taken(rates, "a", 0.55) for _ in range(6)] == [True] * 5 + [False]
    assert taken(rates, "b", 0.55)


def test_counting_is_bounded() -> None:
    """However many callers come, what is remembered of them is bounded."""
    rates = Rates(10.0)
    for number in range(MOST_COUNTED + 50):
        rates.take(str(number), 0.0)

    assert len(rates._buckets) == MOST_COUNTED


def taken(rates: Rates, who: str, now: float) -> bool:
    """Say whether a request passes."""
    try:
        rates.take(who, now)
    except HTTPException:
        return False
    return True


async def test_streams_are_counted_while_they_are_open() -> None:
    """A third stream of a caller is refused while two are open, and taken when one has ended."""
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            scope[ADMIT](dict(scope["headers"])[b"x-api-key"].decode())
        except HTTPException as error:
            await send({"type": "http.response.start", "status": error.status_code})
        else:
            await ended.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

    streams = Streams(app=app, each=2, all=3)
    first, second = (asyncio.create_task(status(streams, b"ann")) for _ in range(2))
    await asyncio.sleep(0)

    assert await status(streams, b"ann") == 429
    other = asyncio.create_task(status(streams, b"bob"))
    await asyncio.sleep(0)
    assert await status(streams, b"eve") == 429  # three are open

    ended.set()
    assert [await each for each in (first, second, other)] == [200, 200, 200]
    assert await status(streams, b"ann") == 200


async def test_a_caller_counts_as_one_whatever_it_shows(server_database: str) -> None:
    """Headers that nobody knows, and another way to ask for a stream, make no other caller of one."""
    limits = {"INTERLOCK_SERVER_STREAMS": "1"}
    with serving(server_database, environment=limits) as address:
        async with httpx.AsyncClient(base_url=address) as client:
            await client.post("/threads", json={"thread_id": "quiet"})
            url, told = (
                "/threads/quiet/stream",
                {"accept": "text/event-stream", "x-api-key": "none"},
            )
            async with (
                client.stream("GET", url, headers=told) as first,
                client.stream("GET", url, headers={"cookie": "a=b"}) as second,
            ):
                assert (first.status_code, second.status_code) == (200, 429)


async def status(app: Any, key: bytes) -> int:
    """Ask for a stream, and return how it was answered."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    headers = [(b"accept", b"text/event-stream"), (b"x-api-key", key)]
    await app({"type": "http", "method": "GET", "path": "/", "headers": headers}, receive, send)
    return int(sent[0]["status"])


async def test_a_client_that_goes_while_it_sends() -> None:
    """A body that never ends reaches nobody."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it was passed on")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    bodies = Bodies(app=app, size=10, depth=10)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"5")]}
    await bodies(scope, receive, send)

    assert sent[0]["status"] == 400


@pytest.mark.parametrize("path", ["/ok", "/nowhere", "/threads/x", "/ui/login"])
def test_every_answer_is_secured(server: str, path: str) -> None:
    """Answers of every kind tell browsers to run no foreign script, to guess no type, and to stay out of frames."""
    headers = httpx.get(f"{server}{path}").headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:2024", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
        ("LOCALHOST", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
def test_names_of_loopback(server: str, host: str, status: int) -> None:
    """On loopback a request under another name is refused: a page may have made it point here."""
    assert httpx.get(f"{server}/info", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:3000", 200),  # a chat that this machine serves
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_requests_of_other_sites(server: str, origin: str | None, status: int) -> None:
    """A request that another site's page sends changes nothing."""
    headers = {"origin": origin} if origin else {}

    assert httpx.post(f"{server}/threads", json={}, headers=headers).status_code == status


def test_other_sites_may_look_at_nothing(server: str) -> None:
    """A safe request of another site's page is answered without the header that would let the page read it."""
    answer = httpx.get(f"{server}/info", headers={"origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers


def test_a_request_by_way_of_a_proxy(server: str) -> None:
    """What a proxy passes on comes from elsewhere, and needs a key."""
    passed = httpx.get(f"{server}/info", headers={"x-forwarded-for": "203.0.113.9"})

    assert passed.status_code == 401


@pytest.mark.parametrize("names", [(), ("Agents.Example.com:8443",)])
def test_names_of_a_server(names: tuple[str, ...]) -> None:
    """A server that others reach goes by any name unless some are given; then by those and loopback's."""
    hosts = hosts_of(loopback=False, named=[each.lower() for each in names])

    assert hosts == ({"agents.example.com", "localhost", "127.0.0.1", "[::1]"} if names else set())


async def test_a_websocket_of_another_site() -> None:
    """A WebSocket that another site's page opens is closed before anything is said."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it was opened")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    headers = [(b"host", b"localhost"), (b"origin", b"https://evil.example")]
    await Doors(app=app, hosts=hosts_of(True, ()))(
        {"type": "websocket", "path": "/", "headers": headers}, receive, send
    )

    assert [each["type"] for each in sent] == ["websocket.close"]


def test_others_reach_no_server_without_keys(database_url: str) -> None:
    """A server that others could reach does not start while nobody would be known."""
    command = [sys.executable, "-m", "interlock", "serve", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104  # it is refused
    command += ["--url", database_url, "--config", str(SAMPLE)]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 2
    assert "it has no key" in ended.stderr
