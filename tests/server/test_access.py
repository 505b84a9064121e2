"""Keys, roles, and sessions of the dashboard."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import AuthenticationError, PermissionDeniedError

from interlock.postgres.keys import KeyStore, NewKey
from interlock.postgres.pool import open_pool
from tests.server.conftest import serving


def make(database: str, name: str, *roles: str, expires: timedelta | None = None) -> NewKey:
    """Make a key."""

    async def made() -> NewKey:
        async with open_pool(database, size=1) as pool:
            return await KeyStore(pool).create(name, roles, expires=expires)

    return asyncio.run(made())


def who(server: str, **headers: str) -> httpx.Response:
    """Ask the server who calls."""
    return httpx.get(
        f"{server}/access/me", headers={k.replace("_", "-"): headers[k] for k in headers}
    )


@pytest.fixture
def fresh(database_url: str) -> Iterator[tuple[str, str]]:
    """The address of a server that is told nothing about keys, and of its database."""
    with serving(database_url, environment={"INTERLOCK_SERVER_KEY": ""}) as address:
        yield address, database_url


def test_a_machine_is_open_until_a_key_is_made(fresh: tuple[str, str]) -> None:
    """Whoever sits at the machine needs no key until one is made; then they do, also when that one was revoked."""
    server, database = fresh
    before = who(server)
    key = make(database, "first", "admin")
    deadline = time.monotonic() + 30
    while who(server).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.2)  # a process looks again after five seconds
    with_key = who(server, x_api_key=key.secret)

    async def revoke() -> None:
        async with open_pool(database, size=1) as pool:
            await KeyStore(pool).revoke(key.key.id)

    asyncio.run(revoke())

    assert before.json()["identity"] == "loopback"
    assert with_key.json()["identity"] == "first"
    with serving(database, environment={"INTERLOCK_SERVER_KEY": ""}) as again:
        assert who(again).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        *("forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-prefix"),
        *("x-real-ip", "cf-connecting-ip", "x-envoy-external-address", "x-amzn-trace-id"),
    ],
)
def test_signs_of_a_proxy(server: str, header: str) -> None:
    """Who comes by way of a proxy that says so is not taken for somebody at this machine, and is told what said so."""
    answer = httpx.get(f"{server}/access/me", headers={header: "1"})

    assert answer.status_code == 401
    assert f"proxy needs a key, and the header `{header}` is" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("version", "host", "status"),
    [
        ("1.1", "host: localhost\r\n", b"200"),
        ("1.0", "host: localhost\r\n", b"401"),
        ("1.1", "", b"403"),
        ("1.1", "host: agents.example.com\r\n", b"403"),
    ],
)
def test_a_proxy_that_says_nothing(server: str, version: str, host: str, status: bytes) -> None:
    """A proxy that adds no header shows by the old HTTP it speaks, or the name that it passes on or omits."""
    parts = urlsplit(server)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10) as line:
        line.sendall(f"GET /access/me HTTP/{version}\r\n{host}connection: close\r\n\r\n".encode())
        said = line.recv(100)

    assert said.split(b" ")[1] == status


def test_nobody_asks_at_this_machine(server: str) -> None:
    """A server that is bound to loopback asks for no key, and ignores what other clients send as one."""
    answer = who(server, x_api_key="lsv2_somebody_elses")

    assert answer.json() == {
        "identity": "loopback",
        "kind": "loopback",
        "roles": ["admin"],
        "rights": ["answer", "govern", "read", "run"],
        "tenant": None,
    }


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_key_says_who_calls(server: str, server_database: str, header: str) -> None:
    """A key is known as the header that the client sends, and as a bearer."""
    key = make(server_database, f"olga-{header}", "operator").secret

    given = {header: key if header == "x-api-key" else f"Bearer {key}"}

    assert httpx.get(f"{server}/access/me", headers=given).json() == {
        "identity": f"olga-{header}",
        "kind": "key",
        "roles": ["operator"],
        "rights": ["read", "run"],
        "tenant": None,
    }


def test_a_wrong_key(server: str, server_database: str) -> None:
    """A key that differs in its last character opens nothing, also where none is needed."""
    key = make(server_database, "wrong", "admin").secret
    other = key[:-1] + ("a" if key[-1] != "a" else "b")

    answer = who(server, x_api_key=other)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    with pytest.raises(AuthenticationError), get_sync_client(url=server, api_key=other) as client:
        client.assistants.search()


def test_an_expired_key(server: str, server_database: str) -> None:
    """A key opens nothing after its time."""
    key = make(server_database, "short", "admin", expires=timedelta(seconds=-1))

    assert who(server, x_api_key=key.secret).status_code == 401


def test_a_revoked_key(server: str, server_database: str) -> None:
    """A key that was revoked before it was used opens nothing."""
    key = make(server_database, "revoked", "admin")

    async def revoke() -> None:
        async with open_pool(server_database, size=1) as pool:
            await KeyStore(pool).revoke(key.key.id)

    asyncio.run(revoke())

    assert who(server, x_api_key=key.secret).status_code == 401


def test_a_rotated_key_holds_for_its_grace(server: str, server_database: str) -> None:
    """After a rotation both keys are known as the same; without grace the old one has ended."""

    async def rotate() -> tuple[NewKey, NewKey, NewKey]:
        async with open_pool(server_database, size=1) as pool:
            store = KeyStore(pool)
            first = await store.create("rotated", ["viewer"])
            second = await store.rotate(first.key.id, grace=timedelta(hours=1))
            third = await store.rotate(second.key.id, grace=timedelta())
            return first, second, third

    first, second, third = asyncio.run(rotate())

    assert who(server, x_api_key=first.secret).json()["identity"] == "rotated"
    assert who(server, x_api_key=second.secret).status_code == 401
    assert who(server, x_api_key=third.secret).json()["roles"] == ["viewer"]


def test_a_viewer_changes_nothing(server: str, server_database: str) -> None:
    """A viewer who would make an assistant is told what it takes."""
    key = make(server_database, "vera", "viewer").secret

    with (
        get_sync_client(url=server, api_key=key) as client,
        pytest.raises(PermissionDeniedError, match="right to"),
    ):
        client.assistants.create("echo")


def test_a_secret_is_not_stored(server_database: str) -> None:
    """Nothing in the row of a key tells its secret."""
    key = make(server_database, "hidden", "admin")

    async def row() -> str:
        async with open_pool(server_database, size=1) as pool, pool.connection() as connection:
            cursor = await connection.execute(
                "select row_to_json(k)::text as told from interlock.keys k where key_id = %s",
                (key.key.id,),
            )
            found = await cursor.fetchone()
            assert found is not None
            return str(found["told"])

    told = asyncio.run(row())
    assert key.key.id in told
    assert key.secret.rpartition("_")[2] not in told
    assert key.secret[-20:] not in told


def test_a_session_begins_and_ends(server: str, server_database: str) -> None:
    """Who logs in with a key is known by a cookie that scripts cannot read, until they log out."""
    key = make(server_database, "dora", "approver").secret
    with httpx.Client(base_url=server) as browser:
        login = browser.post("/ui/login", data={"key": key, "next": "/ui/approvals"})
        cookie = login.headers["set-cookie"]
        inside = browser.get("/access/me").json()
        token = csrf(server_database, "dora")
        out = browser.post("/ui/logout", data={"csrf": token})
        browser.cookies.set("interlock_session", cookie.split("=")[1].split(";")[0])

        assert (login.status_code, login.headers["location"]) == (303, "/ui/approvals")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert inside["identity"] == "dora"
        assert out.status_code == 303
        assert browser.get("/access/me").json()["identity"] == "loopback"


def test_a_session_needs_its_token(server: str, server_database: str) -> None:
    """A request that changes something and has only the cookie is refused; with the header or the field it passes."""
    key = make(server_database, "carl", "admin").secret
    with httpx.Client(base_url=server) as browser:
        browser.post("/ui/login", data={"key": key})
        token = csrf(server_database, "carl")
        bare = browser.post("/ui/logout")
        wrong = browser.post("/ui/logout", headers={"x-csrf-token": token[:-1]})
        right = browser.post("/ui/logout", headers={"x-csrf-token": token})

    assert [each.status_code for each in (bare, wrong, right)] == [403, 403, 303]


def test_a_session_ends_with_its_key(server: str, server_database: str) -> None:
    """Revoking a key ends the sessions that were begun with it."""
    key = make(server_database, "kim", "admin")
    with httpx.Client(base_url=server) as browser:
        browser.post("/ui/login", data={"key": key.secret})

        async def revoke() -> None:
            async with open_pool(server_database, size=1) as pool:
                await KeyStore(pool).revoke(key.key.id)

        asyncio.run(revoke())

        assert browser.get("/access/me").json()["identity"] == "loopback"


@pytest.mark.parametrize(
    "way", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere"]
)
def test_login_leads_nowhere_else(server: str, server_database: str, way: str) -> None:
    """A login that is sent to another site goes to the dashboard's first page."""
    key = make(server_database, "leo", "admin").secret

    login = httpx.post(f"{server}/ui/login", data={"key": key, "next": way})

    assert login.headers["location"] == "/ui"


def test_a_wrong_login(server: str) -> None:
    """Who logs in with a wrong key gets no cookie."""
    login = httpx.post(f"{server}/ui/login", data={"key": "ilk_000000000000_" + "a" * 43})

    assert login.status_code == 401
    assert "set-cookie" not in login.headers


def csrf(database: str, name: str) -> str:
    """Return the token of a person's only session, as its pages would carry it."""

    async def token() -> str:
        async with open_pool(database, size=1) as pool, pool.connection() as connection:
            cursor = await connection.execute(
                "select s.csrf from interlock.sessions s join interlock.keys k using (key_id) where k.name = %s",
                (name,),
            )
            found = await cursor.fetchone()
            assert found is not None
            return str(found["csrf"])

    return asyncio.run(token())


def test_answers_take_the_right_to_answer(server: str, server_database: str) -> None:
    """Who may run and not answer begins a run that asks; who may answer and not run answers it."""
    operator = make(server_database, "olga", "operator").secret
    approver = make(server_database, "abe", "approver").secret
    with (
        get_sync_client(url=server, api_key=operator) as runs,
        get_sync_client(url=server, api_key=approver) as answers,
    ):
        thread = runs.threads.create()["thread_id"]
        runs.runs.wait(thread, "asks", input={"topic": "x"})

        with pytest.raises(PermissionDeniedError):
            runs.runs.create(thread, "asks", command={"resume": "mine"})
        with pytest.raises(PermissionDeniedError):
            answers.runs.create(thread, "asks", input={"topic": "y"})
        answers.runs.join(
            thread, answers.runs.create(thread, "asks", command={"resume": "so"})["run_id"]
        )
        state = runs.threads.get_state(thread)

    noted = httpx.get(f"{server}/audit", params={"act": "answer", "subject": thread}).json()
    assert state["values"] == {"topic": "x", "answers": ["so"]}
    assert [each["identity"] for each in noted] == ["abe"]
