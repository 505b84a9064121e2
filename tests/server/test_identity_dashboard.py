"""What the nodes of runs find of who asked, where that was done on the dashboard; and what the audit log says."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from tests.server.conftest import serving
from tests.server.test_identity import SEEING


@pytest.fixture(scope="module")
def keys(server_database: str) -> dict[str, str]:
    """The keys of two people."""

    async def made() -> dict[str, str]:
        async with open_pool(server_database, size=1) as pool:
            store = KeyStore(pool)
            return {name: (await store.create(name, ["admin"])).secret for name in ("ann", "bob")}

    return asyncio.run(made())


@pytest.fixture(scope="module")
def seeing(server_database: str, keys: dict[str, str]) -> Iterator[str]:
    """The address of a server whose graphs say what they find."""
    with serving(server_database, config=SEEING / "langgraph.json") as address:
        yield address


@pytest.fixture
def ann(seeing: str, keys: dict[str, str]) -> Iterator[httpx.Client]:
    """Somebody who has signed in."""
    with _signed_in(seeing, keys["ann"]) as client:
        yield client


@pytest.fixture
def bob(seeing: str, keys: dict[str, str]) -> Iterator[httpx.Client]:
    """Somebody else who has."""
    with _signed_in(seeing, keys["bob"]) as client:
        yield client


def test_who_starts(ann: httpx.Client) -> None:
    """A run that is started is of who started it, on the graph's own assistant; the audit log names both."""
    thread = _sent(ann, "/ui/start/looks", {})
    seen = _seen(ann, thread)

    assert seen["by_name"] == ["ann", ["admin"]]
    assert seen["said"]["user_id"] == "ann"
    assert seen["server"] == ["looks", seen["said"]["assistant_id"], "ann"]
    assert ("ann", "submit", thread) in _noted(ann)


def test_who_answers(ann: httpx.Client, bob: httpx.Client) -> None:
    """What goes on with an answer is of who gave it, on the thread's page and in the inbox."""
    for place in ("/ui/threads/{thread}/answer", "/ui/approvals/{question}"):
        thread = _sent(ann, "/ui/start/looks_later", {})
        question = _question(bob, thread)
        path = place.format(thread=thread, question=question)
        _sent(bob, path, {"question": question, "decision": "value", "value": "yes"})

        assert _seen(bob, thread)["by_name"] == ["bob", ["admin"]], place
        assert ("bob", "answer", question) in _noted(ann), place


def test_who_answers_over_http(ann: httpx.Client, keys: dict[str, str]) -> None:
    """It is the same with the API's inbox."""
    thread = _sent(ann, "/ui/start/looks_later", {})
    question = _question(ann, thread)
    body = {"type": "resume", "value": "yes"}
    key = {"x-api-key": keys["bob"]}
    answered = httpx.post(f"{ann.base_url}/approvals/{question}/answer", json=body, headers=key)

    assert answered.status_code == 200, answered.text
    assert _seen(ann, thread)["by_name"] == ["bob", ["admin"]]


def test_who_forks(ann: httpx.Client, bob: httpx.Client) -> None:
    """A fork is of who made it."""
    thread = _sent(ann, "/ui/start/looks", {})
    _seen(ann, thread)
    page = bob.get(f"/ui/threads/{thread}?view=steps").text
    steps = dict.fromkeys(re.findall(r"at=([0-9a-f-]{36})", page))
    first = min(steps)  # ids of checkpoints are in the order of time

    forked = _sent(bob, f"/ui/threads/{thread}/fork?at={first}", {})

    assert _seen(bob, forked)["by_name"] == ["bob", ["admin"]]
    assert ("bob", "fork", thread) in _noted(ann)


def test_who_sets_a_cron(bob: httpx.Client) -> None:
    """The runs of a cron that is made here are of who made it."""
    thread = "cron-of-bob"
    given = {"name": "often", "schedule": "* * * * * *", "thread_id": thread}
    made = bob.post("/ui/new-cron/looks", data=given | {"csrf": _token(bob)})
    assert made.status_code == 200, made.text

    assert _seen(bob, thread)["by_name"] == ["bob", ["admin"]]
    bob.post("/ui/crons/often/delete", data={"csrf": _token(bob)})


@contextmanager
def _signed_in(address: str, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, follow_redirects=True, timeout=60) as client:
        assert client.post("/ui/login", data={"key": key}).status_code == 200
        yield client


def _token(client: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/ui/").text)
    assert found is not None
    return found[1]


def _sent(client: httpx.Client, path: str, form: dict[str, str]) -> str:
    """Send a form, and return the thread that it led to."""
    came = client.post(path, data=form | {"csrf": _token(client)})
    assert came.status_code == 200, came.text
    return came.url.path.rpartition("/")[2]


def _seen(client: httpx.Client, thread: str) -> dict[str, Any]:
    """Wait until a thread's node has run, and return what it found."""
    until = time.monotonic() + 45
    while time.monotonic() < until:
        answer = client.get(f"/threads/{thread}/state")
        if answer.status_code == 200 and (seen := answer.json()["values"].get("seen")):
            return dict(seen)
        time.sleep(0.2)  # it tells nobody
    pytest.fail(f"{thread}: {answer.text}")


def _question(client: httpx.Client, thread: str) -> str:
    until = time.monotonic() + 45
    while time.monotonic() < until:
        for each in client.get("/approvals").json():
            if each["thread_id"] == thread:
                return str(each["id"])
        time.sleep(0.2)  # as above
    pytest.fail(f"{thread} asks nothing")


def _noted(client: httpx.Client) -> list[tuple[str, str, str]]:
    return [(x["identity"], x["act"], x["subject"]) for x in client.get("/audit").json()]
