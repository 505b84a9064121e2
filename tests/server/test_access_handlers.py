"""An application's own `langgraph_sdk.Auth` decides who calls and what they reach."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import Auth, get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from starlette.requests import HTTPConnection
from websockets.asyncio.client import connect

from interlock.errors import Forbidden, Unauthorized
from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.server.authorizing import fits
from interlock.server.handlers import Handlers
from tests.server.conftest import serving
from tests.server.guarded_sample.auth import HIDDEN

GUARDED = Path(__file__).parent / "guarded_sample" / "langgraph.json"

People = Callable[[str], SyncLangGraphClient]

ORACLE = os.environ.get("INTERLOCK_TEST_ORACLE") == "1"
"""Run the tests that hold for both against LangGraph's own server, to see that they tell the truth."""


@pytest.fixture(scope="module")
def guarded(server_database: str) -> Iterator[str]:
    """The address of a server whose application has handlers."""
    with oracle() if ORACLE else serving(server_database, config=GUARDED) as address:
        yield address


@contextmanager
def oracle() -> Iterator[str]:
    """Run LangGraph's development server with the same application."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser"]
    process = subprocess.Popen(
        [*command, "--no-reload", "--port", str(port)],
        cwd=GUARDED.parent,
        env=os.environ | {"LANGSMITH_TRACING": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(120):
            try:
                httpx.get(f"http://127.0.0.1:{port}/ok")
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def client(guarded: str) -> Iterator[People]:
    """Gives the client of a person."""
    with ExitStack() as opened:

        def of(name: str) -> SyncLangGraphClient:
            headers = {"authorization": f"Bearer {name}"}
            return opened.enter_context(get_sync_client(url=guarded, api_key=None, headers=headers))

        yield of


def test_nobody_is_refused(client: People) -> None:
    """Whom the handler does not know gets its words, also on loopback."""
    with pytest.raises(AuthenticationError, match="Nobody knows you"):
        client("eve").threads.search()


def test_what_a_handler_adds_is_stored(client: People) -> None:
    """Metadata that a handler adds are the thread's."""
    made = client("ann").threads.create(metadata={"about": "x", "owner": "bob"})

    assert made["metadata"] == {"about": "x", "owner": "ann", "readers": ["ann", "vic"]}


def test_a_handler_refuses(client: People) -> None:
    """What a handler refuses is answered with 403."""
    with pytest.raises(PermissionDeniedError):
        client("vic").threads.create()
    with pytest.raises(PermissionDeniedError):
        client("ann").assistants.create("echo")


def test_filters_part_people(client: People) -> None:
    """One's thread is not there for another, by any operation; it is for those whom a filter lets read."""
    ann, bob, vic = (client(name) for name in ("ann", "bob", "vic"))
    mine = ann.threads.create()["thread_id"]
    ann.runs.wait(mine, "echo", input={"said": "secret"})

    for refused in (
        lambda: bob.threads.get(mine),
        lambda: bob.threads.get_state(mine),
        lambda: bob.threads.get_history(mine),
        lambda: bob.threads.update(mine, metadata={"x": 1}),
        lambda: bob.threads.delete(mine),
        lambda: bob.threads.update_state(mine, {"said": "mine"}),
        lambda: bob.runs.list(mine),
        lambda: bob.runs.wait(mine, "echo", input={"said": "x"}),
        lambda: bob.runs.create(mine, "echo", input={"said": "x"}),
        lambda: vic.threads.delete(mine),
    ):
        with pytest.raises(
            (NotFoundError, httpx.HTTPStatusError), match=r"(?i)404|not found|no thread"
        ):
            refused()
    assert vic.threads.get_state(mine)["values"] == {"said": "secret", "answered": "terces"}
    assert (ann.threads.get(mine)["metadata"] or {})["owner"] == "ann"


def test_filters_narrow_searches(client: People) -> None:
    """A search finds what the filter and the request both allow."""
    ann, bob, vic = (client(name) for name in ("ann", "bob", "vic"))
    tag = str(uuid4())
    mine = ann.threads.create(metadata={"tag": tag})["thread_id"]
    theirs = bob.threads.create(metadata={"tag": tag})["thread_id"]

    found = {
        name: {each["thread_id"] for each in who.threads.search(metadata={"tag": tag})}
        for name, who in (("ann", ann), ("bob", bob), ("vic", vic))
    }

    assert found == {"ann": {mine}, "bob": {theirs}, "vic": {mine, theirs}}
    assert ann.threads.search(metadata={"tag": tag, "owner": "bob"}) == []


def test_a_name_that_is_taken(client: People) -> None:
    """Another's thread is not handed out by making it again."""
    mine = client("ann").threads.create()["thread_id"]

    with pytest.raises((ConflictError, NotFoundError)):
        client("bob").threads.create(thread_id=mine, if_exists="do_nothing")


def test_a_handler_scopes_the_store(client: People) -> None:
    """A namespace that a handler writes anew is where items are put, got, searched and deleted."""
    ann, bob = client("ann"), client("bob")
    ann.store.put_item(["notes"], "it", {"text": "ann's"})
    bob.store.put_item(["notes"], "it", {"text": "bob's"})

    assert ann.store.get_item(["notes"], "it")["value"] == {"text": "ann's"}
    assert [each["value"] for each in ann.store.search_items(["notes"])["items"]] == [
        {"text": "ann's"}
    ]
    ann.store.delete_item(["notes"], "it")
    assert bob.store.get_item(["notes"], "it")["value"] == {"text": "bob's"}


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
def test_what_no_handler_knows_is_refused(guarded: str) -> None:
    """Interlock's own routes, and those that handlers cannot be asked about, are closed to whom a handler knows."""
    headers = {"authorization": "Bearer ann"}
    with httpx.Client(base_url=guarded, headers=headers) as ann:
        tried = {path: ann.get(path).status_code for path in ("/approvals", "/audit", "/effects")}
        tried["/runs/batch"] = ann.post("/runs/batch", json=[]).status_code
        me = ann.get("/access/me").json()

    assert set(tried.values()) == {403}
    assert (me["identity"], me["kind"], me["roles"]) == ("ann", "handler", ["operator", "approver"])


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
def test_a_key_of_ours_passes(client: People, guarded: str, server_database: str) -> None:
    """A key of Interlock's is known beside the handlers, and sees what its role lets it see."""

    async def made() -> str:
        async with open_pool(server_database, size=1) as pool:
            return (await KeyStore(pool).create("root", ["admin"])).secret

    mine = client("ann").threads.create()["thread_id"]
    with get_sync_client(url=guarded, api_key=asyncio.run(made())) as root:
        assert root.threads.get(mine)["thread_id"] == mine


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
@pytest.mark.parametrize("path", ["/runs", "/runs/wait", "/runs/stream"])
def test_a_thread_that_a_body_names(client: People, guarded: str, path: str) -> None:
    """A run that names its thread in the body reaches no other's thread."""
    mine = client("ann").threads.create()["thread_id"]
    body = {"assistant_id": "echo", "input": {"said": "x"}, "thread_id": mine}

    answers = [
        httpx.post(f"{guarded}{path}", json=body, headers={"authorization": f"Bearer {name}"})
        for name in ("bob", "ann")
    ]

    assert [each.status_code for each in answers] == [404, 200]


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
def test_an_assistant_by_any_name(client: People, guarded: str) -> None:
    """The handlers are asked about an assistant, whatever a body calls it, and wherever it stands."""
    ann = {"authorization": "Bearer ann"}
    mine = client("ann").threads.create()["thread_id"]
    command = {"id": 1, "method": "run.start", "params": {"assistant_id": HIDDEN, "input": {}}}

    answers = [
        httpx.post(f"{guarded}/runs", json={"assistant_id": HIDDEN}, headers=ann),
        httpx.post(f"{guarded}/runs", json={"agent_id": HIDDEN}, headers=ann),
        httpx.post(f"{guarded}/threads/{mine}/commands", json=command, headers=ann),
        httpx.post(
            f"{guarded}/runs",
            json={"method": "run.start", "params": {"assistant_id": "echo"}, "agent_id": HIDDEN},
            headers=ann,
        ),
    ]

    assert [each.status_code for each in answers] == [403, 403, 403, 403]


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
def test_all_labels_of_a_namespace_are_shown(client: People, guarded: str) -> None:
    """A handler sees the whole namespace of an item, also one that comes in several parts."""
    ann = client("ann")
    ann.store.put_item(["bob", "ann"], "parts", {"text": "ann's"})

    found = httpx.get(
        f"{guarded}/store/items?key=parts&namespace=bob&namespace=ann",
        headers={"authorization": "Bearer ann"},
    )

    assert found.json()["value"] == {"text": "ann's"}


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
async def test_who_may_read_starts_nothing_over_a_websocket(guarded: str) -> None:
    """Over a WebSocket that the handlers let read a thread, nothing is begun: they would not be asked."""
    bearer = {"authorization": "Bearer vic"}
    async with httpx.AsyncClient(base_url=guarded, headers={"authorization": "Bearer ann"}) as ann:
        thread = (await ann.post("/threads", json={})).json()["thread_id"]
    address = f"{guarded.replace('http', 'ws')}/threads/{thread}/stream/events"
    begin = {"id": 1, "method": "run.start", "params": {"assistant_id": "echo", "input": {}}}

    async with connect(address, additional_headers=bearer) as socket:
        await socket.send(json.dumps(begin))
        said = json.loads(await socket.recv())

    assert said["type"] == "error"
    assert "handlers decide" in said["message"]


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        (["admin", "viewer"], ("viewer", "admin")),
        ("viewer operator", ("viewer", "operator")),
        ("administrator", ("operator", "approver")),
        (None, ("operator", "approver")),
    ],
)
async def test_roles_are_whole_words(said: object, roles: tuple[str, ...]) -> None:
    """Who is called something that a role's name is part of has not that role."""
    caller = await handlers_that_say({"roles": said}).caller(connection())

    assert caller is not None
    assert caller.roles == roles


@pytest.mark.parametrize("tenant", ["", 5, ["acme"]])
async def test_a_tenant_that_is_none(tenant: object) -> None:
    """A tenant that is no name lets nobody see everybody's rows."""
    with pytest.raises(Unauthorized, match="tenant"):
        await handlers_that_say({"tenant": tenant}).caller(connection())


def connection() -> HTTPConnection:
    """Return a request that shows nothing."""
    return HTTPConnection({"type": "http", "path": "/", "headers": []})


def handlers_that_say(said: dict[str, object]) -> Handlers:
    """Return handlers that know everybody as ann, with this beside."""
    auth = Auth()

    @auth.authenticate
    async def known() -> Any:
        return {"identity": "ann", **said}

    return Handlers(auth)


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        ({}, True),
        ({"owner": "ann"}, True),
        ({"owner": {"$eq": "ann"}}, True),
        ({"owner": "bob"}, False),
        ({"nothing": None}, False),
        ({"readers": {"$contains": "vic"}}, True),
        ({"readers": {"$contains": ["vic", "ann"]}}, True),
        ({"readers": {"$contains": ["vic", "bob"]}}, False),
        ({"owner": {"$contains": "ann"}}, False),
        ({"owner": "ann", "readers": {"$contains": "bob"}}, False),
    ],
)
def test_filters(wanted: dict[str, object], fit: bool) -> None:
    """A filter fits when all of it does."""
    assert fits({"owner": "ann", "readers": ["ann", "vic"]}, wanted) is fit


def test_a_filter_that_means_nothing() -> None:
    """An operator that is not known lets nothing pass."""
    with pytest.raises(Forbidden):
        fits({"a": 1}, {"a": {"$gt": 0}})


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/mcp/"),
        ("POST", "/mcp"),
        ("POST", "/a2a/echo"),
        ("GET", "/.well-known/agent-card.json?assistant_id=echo"),
    ],
)
def test_other_protocols_are_refused(guarded: str, method: str, path: str) -> None:
    """Handlers cannot be asked about tools and agents: whom they know may not call them, nor may a stranger."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"accept": "application/json, text/event-stream"}
    answers = [
        httpx.request(method, f"{guarded}{path}", json=call, headers={**headers, **bearer})
        for bearer in ({"authorization": "Bearer ann"}, {})
    ]

    assert [each.status_code for each in answers] == [403, 401]


@pytest.mark.skipif(ORACLE, reason="Interlock's own")
def test_commands_are_asked_about(client: People, guarded: str) -> None:
    """A command that starts a run is shown to the handlers as that run: they refuse it, or change what it is."""
    ann = client("ann")
    mine = ann.threads.create()["thread_id"]
    start = {"id": 1, "method": "run.start", "params": {"assistant_id": "echo", "input": {}}}
    respond = {"id": 2, "method": "input.respond", "params": {"interrupt_id": "a" * 16}}
    address = f"{guarded}/threads/{mine}/commands"

    refused = [
        httpx.post(address, json=each, headers={"authorization": f"Bearer {name}"}).status_code
        for name in ("bob", "vic")
        for each in (start, respond)
    ]
    begun = httpx.post(address, json=start, headers={"authorization": "Bearer ann"}).json()

    assert refused == [404] * 4
    run = ann.runs.get(mine, begun["result"]["run_id"])
    assert (run["metadata"] or {})["owner"] == "ann"
