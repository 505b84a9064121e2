"""One tenant's administrator tries every route against another tenant's things: they are not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from langgraph_sdk import get_sync_client

from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.postgres.tenants import TenantStore
from tests.server.conftest import serving

SECRET = "the secret of bolt"

BODIES: dict[str, Any] = {
    "/runs/cancel": {"thread_id": "{thread_id}", "run_ids": ["{run_id}"]},
    "/threads/prune": {"thread_ids": ["{thread_id}"]},
    "/approvals/answers": {
        "answers": [{"question_id": "{question_id}", "type": "resume", "value": "mine"}]
    },
    "/approvals/{question_id}/answer": {"type": "resume", "value": "mine"},
    "/effects/{key}/resolve": {"happened": False},
    "/budgets/{kind}/{name}": {"limits": {"usd": 1}},
    "/kills": {"scope": "thread", "name": "{thread_id}", "reason": "theirs"},
    "/outcomes": {"run_id": "{run_id}", "name": "x", "value": 1},
    "/assistants/{assistant_id}/latest": {"version": 1},
    "/threads/{thread_id}/state": {"values": {"said": "mine"}},
    "/threads/{thread_id}/state/checkpoint": {"checkpoint": {"checkpoint_id": "{checkpoint_id}"}},
    "/threads/{thread_id}/commands": {
        "id": 1,
        "method": "run.start",
        "params": {"assistant_id": "echo", "input": {"said": "mine"}},
    },
    "/threads/{thread_id}/stream/events": {"channels": ["values"]},
    "/threads/{thread_id}/runs/crons": {"assistant_id": "echo", "schedule": "0 0 1 1 *"},
}
"""What is sent where `ANY` would mean nothing."""

ANY = {"assistant_id": "echo", "input": {"said": "mine"}, "reason": "mine", "metadata": {}}

OPEN = {"/ui/login", "/ui/logout", "/docs", "/openapi.json", "/ok", "/info", "/metrics"}
"""Paths that tell of nobody."""


class Bolt(NamedTuple):
    """What the other tenant has."""

    key: str
    ids: dict[str, str]


class Place(NamedTuple):
    """A server with two tenants."""

    server: str
    acme: str
    bolt: Bolt
    database: str


@pytest.fixture(scope="module")
def place(server_database: str) -> Iterator[Place]:
    """A server with two tenants, one of which has one of everything."""
    keys = asyncio.run(make_keys(server_database))
    with serving(server_database) as server:
        ids = asyncio.run(asyncio.to_thread(fill, server, keys["bolt"], keys["root"]))
        ids |= insert(server_database, ids)
        yield Place(server, keys["acme"], Bolt(keys["bolt"], ids), server_database)


async def make_keys(database: str) -> dict[str, str]:
    """Make two tenants with an administrator each, and one who has no tenant."""
    async with open_pool(database, size=1) as pool:
        made = {"root": (await KeyStore(pool).create("root", ["admin"])).secret}
        for name in ("acme", "bolt"):
            await TenantStore(pool).add(name)
            key = await KeyStore(pool).create(f"{name}-admin", ["admin"], tenant=name)
            made[name] = key.secret
        return made


def fill(server: str, bolt: str, root: str) -> dict[str, str]:
    """Let the other tenant make one of everything."""
    with get_sync_client(url=server, api_key=bolt) as client:
        asking = client.threads.create(metadata={"note": SECRET})
        client.runs.wait(asking["thread_id"], "asks", input={"topic": SECRET})
        failing = client.threads.create()
        client.runs.wait(failing["thread_id"], "fails", input={"said": SECRET}, raise_error=False)
        run = client.runs.list(asking["thread_id"])[0]
        assistant = client.assistants.create("echo", name=SECRET, metadata={"note": SECRET})
        cron = client.crons.create("echo", schedule="0 0 1 1 *", input={"said": SECRET})
        client.store.put_item(["notes"], "it", {"text": SECRET})
        state = client.threads.get_state(asking["thread_id"])
    with httpx.Client(base_url=server, headers={"x-api-key": bolt}) as http:
        question = http.get("/approvals").json()
        kill = http.post(
            "/kills", json={"scope": "thread", "name": failing["thread_id"], "reason": SECRET}
        ).json()
    return {
        "thread_id": asking["thread_id"],
        "run_id": run["run_id"],
        "assistant_id": assistant["assistant_id"],
        "agent_id": assistant["assistant_id"],
        "cron_id": dict(cron)["cron_id"],
        "checkpoint_id": str(state["checkpoint"]["checkpoint_id"]),
        "question_id": first_of(question)["id"],
        "number": str(kill["id"]),
        "kind": "thread",
        "name": asking["thread_id"],
        "namespace": "x",
        "other_thread": failing["thread_id"],
    }


def insert(database: str, ids: dict[str, str]) -> dict[str, str]:
    """Put an effect and a letter of the other tenant where its graphs make none."""
    with psycopg.connect(database, autocommit=True) as sql:
        sql.execute(
            "insert into interlock.effects (key, thread_id, node, action, arguments)"
            " values ('bolts', %s, 'n', 'a', %s)",
            (ids["thread_id"], json.dumps({"to": SECRET})),
        )
        sql.execute(
            "insert into interlock.letters (letter_id, run_id, thread_id, graph, tenant, kind, attempts)"
            " values ('bolts-letter', %s, %s, 'asks', 'bolt', 'bug', 1)",
            (ids["run_id"], ids["thread_id"]),
        )
    return {"key": "bolts", "letter_id": "bolts-letter"}


def first_of(document: Any) -> dict[str, Any]:  # JSON
    """Return the first of what a list route answered."""
    rows = document if isinstance(document, list) else next(iter(document.values()))
    return dict(rows[0])


def operations(server: str, key: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return every operation of the OpenAPI document: method, path, and what it says of itself."""
    document = httpx.get(f"{server}/openapi.json", headers={"x-api-key": key}).json()
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if path not in OPEN
    ]


def filled(value: Any, ids: dict[str, str]) -> Any:  # JSON
    """Put ids where they are named."""
    text = json.dumps(value)
    for name, each in ids.items():
        text = text.replace(f"{{{name}}}", each)
    return json.loads(text)


class Answer(NamedTuple):
    """How a request was answered; of a stream, which may not end, no text."""

    status: int
    text: str


def ask(place: Place, key: str, method: str, path: str) -> Answer:
    """Send one request about the other tenant's things."""
    body = filled(BODIES.get(path, ANY), place.bolt.ids)
    headers = {"x-api-key": key}
    with httpx.Client(base_url=place.server, headers=headers, timeout=20) as client:
        sent = None if method in ("GET", "DELETE") else body
        with client.stream(method, filled(path, place.bolt.ids), json=sent) as answer:
            endless = answer.headers.get("content-type", "").startswith("text/event-stream")
            text = "" if endless else answer.read().decode()
            return Answer(answer.status_code, text)


def test_what_is_named_is_not_there(place: Place) -> None:
    """Every route with an id in its path answers 404 about another tenant's."""
    tried = {}
    for method, path, _ in operations(place.server, place.acme):
        if "{" in path:
            assert not (missing := unfilled(path, place.bolt.ids)), (path, missing)
            tried[f"{method} {path}"] = ask(place, place.acme, method, path).status

    assert len(tried) > 40
    assert {each: status for each, status in tried.items() if status != 404} == {}


def test_the_other_finds_them(place: Place) -> None:
    """What was not there for the one is there for the other: the ids were right."""
    tried = {
        path: ask(place, place.bolt.key, method, path).status
        for method, path, operation in operations(place.server, place.bolt.key)
        if "{" in path and method == "GET" and not is_stream(operation)
    }

    assert {each for each, status in tried.items() if status == 404} <= {
        "/assistants/{assistant_id}/subgraphs/{namespace}"  # it has none of this name
    }


def test_lists_tell_nothing(place: Place) -> None:
    """No route without an id tells the one anything that the other has."""
    for method, path, operation in operations(place.server, place.acme):
        if "{" in path or is_stream(operation) or path.startswith(("/mcp", "/a2a")):
            continue
        told = ask(place, place.acme, method, path).text
        assert SECRET not in told, (method, path)
        named = {
            name
            for name in ("thread_id", "run_id", "assistant_id", "cron_id", "question_id")
            if place.bolt.ids[name] in told
        }
        assert named <= echoed(path), (method, path, told)


def echoed(path: str) -> set[str]:
    """Return which ids a refusal may repeat, since the request named them."""
    text = json.dumps(BODIES.get(path, ANY))
    return {name for name in ("thread_id", "run_id", "question_id") if f"{{{name}}}" in text}


def test_nothing_was_changed(place: Place) -> None:
    """After all that the other's things stand as they stood."""
    with get_sync_client(url=place.server, api_key=place.bolt.key) as client:
        thread = client.threads.get(place.bolt.ids["thread_id"])
        runs = client.runs.list(place.bolt.ids["thread_id"])
        item = client.store.get_item(["notes"], "it")
        assistant = client.assistants.get(place.bolt.ids["assistant_id"])

    assert (thread["status"], (thread["metadata"] or {})["note"]) == ("interrupted", SECRET)
    assert [each["run_id"] for each in runs] == [place.bolt.ids["run_id"]]
    assert item is not None
    assert dict(item)["value"] == {"text": SECRET}
    assert (assistant["name"], assistant["version"]) == (SECRET, 1)


def test_a_thread_is_not_taken_over(place: Place) -> None:
    """A thread's id that another tenant uses can be made, taken and run on by no one else."""
    theirs = place.bolt.ids["other_thread"]
    with httpx.Client(base_url=place.server, headers={"x-api-key": place.acme}) as http:
        tried = [
            http.post("/threads", json={"thread_id": theirs, "if_exists": "do_nothing"}),
            http.post("/threads", json={"thread_id": theirs, "if_exists": "raise"}),
            http.post(
                f"/threads/{theirs}/runs",
                json={"assistant_id": "echo", "input": {}, "if_not_exists": "create"},
            ),
        ]

    assert [each.status_code in (404, 409) for each in tried] == [True, True, True]
    assert all(SECRET not in each.text for each in tried)


def test_a_tenant_does_not_govern_others(place: Place) -> None:
    """A tenant's administrator stops and limits neither everybody nor another tenant."""
    with httpx.Client(base_url=place.server, headers={"x-api-key": place.acme}) as http:
        tried = {
            "all": http.post("/kills", json={"scope": "all", "reason": "x"}),
            "graph": http.post("/kills", json={"scope": "graph", "name": "echo", "reason": "x"}),
            "tenant": http.post("/kills", json={"scope": "tenant", "name": "bolt", "reason": "x"}),
            "budget": http.put("/budgets/tenant/bolt", json={"limits": {"usd": 1}}),
            "graph's": http.put("/budgets/graph/echo", json={"limits": {"usd": 1}}),
        }

    assert {name: each.status_code in (403, 404) for name, each in tried.items()} == dict.fromkeys(
        tried, True
    )


def unfilled(path: str, ids: dict[str, str]) -> list[str]:
    """Return the parameters of a path that this test knows nothing for: give it one."""
    return [
        part for part in path.split("/") if part.startswith("{") and part.strip("{}") not in ids
    ]


def is_stream(operation: dict[str, Any]) -> bool:
    """Say whether an operation answers with a stream, which does not end while its run waits."""
    return "text/event-stream" in json.dumps(operation.get("responses", {}))


PAGES = (
    ("GET", "/ui/approvals/{question_id}"),
    ("GET", "/ui/threads/{thread_id}"),
    ("GET", "/ui/threads/{thread_id}/events"),
    ("GET", "/ui/threads/{thread_id}/fork?at={checkpoint_id}"),
    ("GET", "/ui/compare?a={thread_id}&b={other_thread}"),
    ("POST", "/ui/approvals/{question_id}"),
    ("POST", "/ui/threads/{thread_id}/answer"),
    ("POST", "/ui/threads/{thread_id}/cancel"),
    ("POST", "/ui/threads/{thread_id}/fork?at={checkpoint_id}"),
    ("POST", "/ui/threads/{thread_id}/kill"),
    ("POST", "/ui/threads/{thread_id}/resume"),
    ("GET", "/ui/"),
    ("GET", "/ui/approvals"),
)
"""Of the dashboard, which is not in the OpenAPI document."""


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_pages_tell_nothing(place: Place, method: str, path: str) -> None:
    """No page of the dashboard shows or changes what is another tenant's."""
    form = {
        "type": "resume",
        "value": "mine",
        "reason": "mine",
        "at": place.bolt.ids["checkpoint_id"],
        "message": "mine",
    }
    headers = {"x-api-key": place.acme}
    with httpx.Client(base_url=place.server, headers=headers, timeout=20) as client:
        sent = form if method == "POST" else None
        with client.stream(method, filled(path, place.bolt.ids), data=sent) as answer:
            endless = answer.headers.get("content-type", "").startswith("text/event-stream")
            text = "" if endless else answer.read().decode()

    assert SECRET not in text
    assert answer.status_code == (404 if "{" in path else 200)
