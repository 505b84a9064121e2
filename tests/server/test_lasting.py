"""Streams, and whatever else lasts, end soon after the key, the session or the token of whoever asked for them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from interlock.errors import DatabaseUnavailable, InterlockError, Unauthorized
from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.server.authorizing import Authorizing
from interlock.server.callers import LOOPBACK, Caller
from interlock.server.cutting import CUT
from interlock.server.handlers import Handlers
from interlock.server.lasting import Lasting
from tests.server.conftest import serving
from tests.server.test_access import make

SOON = 60.0
"""Within so many seconds it is to end."""


def test_what_lasts_ends_with_its_key(server_database: str) -> None:
    """A stream, a WebSocket and a request that waits end within a minute after their key was revoked; others go on.

    The server's log tells of no fault.
    """
    said: list[str] = []
    with serving(server_database, said=said) as server:
        _end_what_lasts(server, server_database)

    assert [line for line in said if "ASGI" in line or "Traceback" in line] == []


def _end_what_lasts(server: str, server_database: str) -> None:
    key, other = (make(server_database, name, "admin") for name in ("ends", "stays"))
    shown = {"x-api-key": key.secret}
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=server, timeout=2 * SOON))
        thread = http.post("/threads", json={}, headers=shown).json()["thread_id"]
        body = {"assistant_id": "steps", "input": {"count": 1000, "seconds": 0.5}}
        run = http.post(f"/threads/{thread}/runs", json=body, headers=shown).json()["run_id"]
        session = stack.enter_context(httpx.Client(base_url=server, timeout=2 * SOON))
        session.post("/ui/login", data={"key": key.secret})
        told = {"accept": "text/event-stream"}
        path = f"/threads/{thread}/stream"
        mine = stack.enter_context(http.stream("GET", path, headers={**told, **shown}))
        clicked = stack.enter_context(session.stream("GET", path, headers=told))
        theirs = stack.enter_context(
            http.stream("GET", path, headers={**told, "x-api-key": other.secret})
        )
        waited: list[Any] = []
        waiting = threading.Thread(
            target=lambda: waited.append(_joined(server, thread, run, shown))
        )
        waiting.start()
        socket = stack.enter_context(
            connect(f"{server.replace('http', 'ws')}{path}/events", additional_headers=shown)
        )

        asyncio.run(_revoke(server_database, key.key.id))
        begun = time.monotonic()
        ends = [_ended(each) for each in (mine, clicked)]
        code = _closed_with(socket)
        waiting.join(timeout=SOON)

        assert time.monotonic() - begun < SOON
        assert ends == [True, True]
        assert code == 4401
        assert waited in ([401], ["cut"])
        assert next(theirs.iter_bytes())
        http.post(
            f"/threads/{thread}/runs/{run}/cancel", headers={"x-api-key": other.secret}
        ).raise_for_status()


def _closed_with(socket: ClientConnection) -> int:
    """Return the code with which a WebSocket is closed."""
    try:
        while True:
            socket.recv(timeout=SOON)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def _joined(server: str, thread: str, run: str, headers: dict[str, str]) -> int | str:
    try:
        path = f"{server}/threads/{thread}/runs/{run}/join"
        return httpx.get(path, headers=headers, timeout=2 * SOON).status_code
    except httpx.RemoteProtocolError:
        return "cut"


def _ended(stream: httpx.Response) -> bool:
    """Say whether a stream is cut within a time, and not ended as if it were whole."""
    try:
        for _ in stream.iter_bytes():
            pass
    except httpx.RemoteProtocolError:
        return True
    return False


async def _revoke(database: str, key_id: str) -> None:
    async with open_pool(database, size=1) as pool:
        await KeyStore(pool).revoke(key_id)


class Gatekeeper:
    """Knows callers until it is told otherwise."""

    def __init__(self) -> None:
        self.says: Caller | InterlockError = LOOPBACK
        self.asked = 0
        self.often = asyncio.Event()

    async def holder(self, connection: HTTPConnection) -> Caller:
        self.asked += 1
        if self.asked == 3:
            self.often.set()
        if isinstance(self.says, InterlockError):
            raise self.says
        return self.says


async def lasting(gatekeeper: Gatekeeper, ended: asyncio.Event, *, known: bool = True) -> list[Any]:
    """Serve a request that lasts until an event, and return what was sent."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ended.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    state = {"caller": LOOPBACK} if known else {}
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": state}
    layer = Lasting(app=app, gatekeeper=gatekeeper, seconds=0.02)  # type: ignore[arg-type]  # as far as it is asked
    async with asyncio.timeout(10):
        await layer(scope, receive, send)
    return sent


@pytest.mark.parametrize("says", [Unauthorized("Gone."), Caller(identity="somebody else")], ids=str)
async def test_who_is_not_known_any_more_is_told(says: Caller | InterlockError) -> None:
    """An answer that has not begun is a refusal then; so it is when only somebody else would be known."""
    gatekeeper = Gatekeeper()
    gatekeeper.says = says

    sent = await lasting(gatekeeper, asyncio.Event())

    assert sent[0]["status"] == 401


@pytest.mark.parametrize(
    ("says", "known"),
    [(LOOPBACK, True), (DatabaseUnavailable("Away."), True), (Unauthorized("Gone."), False)],
    ids=["known", "nobody can say", "never asked"],
)
async def test_others_go_on(says: Caller | InterlockError, known: bool) -> None:
    """Who is known goes on, also while nobody can say, and so does what asks nobody who they are."""
    gatekeeper, ended = Gatekeeper(), asyncio.Event()
    gatekeeper.says = says
    # Whoever is not asked for cannot be waited for: a few looks pass.
    asked = gatekeeper.often if known else asyncio.Event()
    asking = asyncio.create_task(lasting(gatekeeper, ended, known=known))
    with suppress(TimeoutError):
        await asyncio.wait_for(asked.wait(), 10 if known else 0.1)
    ended.set()

    assert (await asking)[0]["status"] == 200
    assert asked.is_set() is known


async def test_a_client_that_leaves_is_no_refusal() -> None:
    """A request that is cancelled by somebody else ends so."""
    asking = asyncio.create_task(lasting(Gatekeeper(), asyncio.Event()))
    await asyncio.sleep(0)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


# --- the application's own handlers ---


class Doorkeeper:
    """An application's handlers, which may change their mind."""

    def __init__(self) -> None:
        self.knows: Exception | None = None
        self.lets = True
        self.asked = 0
        self.often = asyncio.Event()
        self.auth = Auth()
        self.auth.authenticate(self._known)
        self.auth.on(self._let)

    async def _known(self, authorization: str | None) -> str:
        self.asked += 1
        if self.asked == 3:
            self.often.set()
        if self.asked > 1 and self.knows is not None:
            raise self.knows
        return "ann"

    async def _let(self, ctx: Any, value: Any) -> bool:
        return self.lets or self.asked == 1


async def answered(
    door: Doorkeeper, ended: asyncio.Event, *, method: str = "GET", path: str = "/threads/t/stream"
) -> list[Any]:
    """Serve a request whose answer has begun and lasts until an event; return what was sent."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["caller"] = await handlers.caller(HTTPConnection(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await ended.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and sent:
            raise RuntimeError("The answer has begun.")  # as uvicorn does
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    handlers = Handlers(door.auth)
    gatekeeper: Any = Gatekeeper()
    gatekeeper.holder = handlers.caller
    gatekeeper.sessions = SimpleNamespace(caller=_nobody)
    pool: Any = None  # it is asked for metadata only where a handler returns a filter
    inner = Authorizing(app=app, handlers=handlers, gatekeeper=gatekeeper, pool=pool)
    layer = Lasting(app=inner, gatekeeper=gatekeeper, seconds=0.02, handler_seconds=0.02)
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [],
        "state": {},
    }
    scope |= {"query_string": b"", CUT: lambda: sent.append("cut")}
    async with asyncio.timeout(10):
        await layer(scope, receive, send)
    return sent


async def _nobody(connection: HTTPConnection) -> None:
    return None


def _refuses(door: Doorkeeper) -> None:
    door.lets = False


def _forgets(door: Doorkeeper) -> None:
    door.knows = Auth.exceptions.HTTPException(status_code=401, detail="Who?")


def _breaks(door: Doorkeeper) -> None:
    door.knows = ValueError("The directory is away.")


@pytest.mark.parametrize("change", [_refuses, _forgets])
async def test_a_stream_ends_with_its_handlers_leave(change: Callable[[Doorkeeper], None]) -> None:
    """What is being read is cut once the application's handlers would refuse it."""
    door = Doorkeeper()
    change(door)

    assert await answered(door, asyncio.Event()) == ["http.response.start", "cut"]


@pytest.mark.parametrize(
    ("change", "method", "path"),
    [
        (lambda door: None, "GET", "/threads/t/stream"),
        (_breaks, "GET", "/threads/t/stream"),
        (_refuses, "POST", "/threads/t/runs/stream"),
    ],
    ids=["let", "cannot be asked", "what it started"],
)
async def test_a_stream_goes_on(
    change: Callable[[Doorkeeper], None], method: str, path: str
) -> None:
    """It goes on where they let it, or fail; of what started something only who asked is asked again."""
    door, ended = Doorkeeper(), asyncio.Event()
    change(door)
    asking = asyncio.create_task(answered(door, ended, method=method, path=path))
    await asyncio.wait_for(door.often.wait(), 10)
    ended.set()

    assert await asking == ["http.response.start", "http.response.body"]
