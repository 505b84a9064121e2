"""What a run's nodes find of who asked for it, as LangGraph's server tells them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from tests.server.conftest import serving

SEEING = Path(__file__).parent / "seeing"


@pytest.fixture(scope="module")
def seeing(server_database: str) -> Iterator[str]:
    """The address of a server that lets some headers reach its runs."""
    with serving(server_database, config=SEEING / "langgraph.json") as address:
        yield address


def ask(address: str, path: str, body: Any, **headers: str) -> Any:
    """Post a body, and return what came of it."""
    answer = httpx.post(f"{address}{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def looked(address: str, body: Any | None = None, **headers: str) -> Any:
    """Return what a node found."""
    asked = {"assistant_id": "looks", "input": {}, **(body or {})}
    return ask(address, "/runs/wait", asked, **headers)["seen"]


def thread(address: str, **headers: str) -> str:
    """Make a thread."""
    return str(ask(address, "/threads", {}, **headers)["thread_id"])


def test_nobody_in_particular(seeing: str) -> None:
    """Where nobody is known nodes find all keys, and nobody under them."""
    seen = looked(seeing, {"config": {"configurable": {"mine": "m"}}})

    said = {key: seen["said"].get(key, "?") for key in ("user_id", "langgraph_auth_user", "mine")}
    assert said == {"user_id": "", "langgraph_auth_user": None, "mine": "m"}
    assert seen["said"]["langgraph_auth_user_id"] == ""
    assert seen["permissions"] == []
    assert seen["said"]["langgraph_request_id"]
    assert seen["said"]["run_id"] == seen["run"] == seen["metadata"]["run_id"]
    assert seen["said"]["thread_id"] == seen["metadata"]["thread_id"]
    assert seen["server"] == ["looks", seen["said"]["assistant_id"], None]


def test_headers(seeing: str) -> None:
    """Nodes find the headers that the application lists, under their names, and none that says who calls."""
    seen = looked(
        seeing,
        {"config": {"configurable": {"x-team": "spoofed"}}},
        **{
            "X-Team": "blue",
            "x-private-note": "no",
            "accept-language": "de",
            "x-api-key": "lsv2_x",
            "cookie": "a=b",
            "x-request-id": "r-1",
        },
    )

    assert [key for key in seen["keys"] if key.startswith("x-")] == ["x-request-id", "x-team"]
    assert seen["said"]["x-team"] == "blue"
    assert seen["said"]["langgraph_request_id"] == "r-1"
    assert not {"accept-language", "cookie", "authorization"} & set(seen["keys"])


def test_what_is_written_down(seeing: str) -> None:
    """Neither checkpoints nor streams show headers, or who asked."""
    there = thread(seeing)
    asked = {"assistant_id": "looks", "input": {}, "stream_mode": ["checkpoints", "debug"]}
    with httpx.stream(
        "POST",
        f"{seeing}/threads/{there}/runs/stream",
        json=asked,
        headers={"x-team": "blue", "x-request-id": "r-2"},
        timeout=30,
    ) as answer:
        events = answer.read().decode()
    state = httpx.get(f"{seeing}/threads/{there}/state").json()

    configs = events.replace('"keys":["', "").split('"seen"')[0]
    assert "langgraph_auth" not in configs
    assert "x-team" not in configs
    told = {
        "assistant_id",
        "created_by",
        "graph_id",
        "parents",
        "run_id",
        "source",
        "step",
    }
    assert set(state["metadata"]) == {*told, "user_id"}


def test_a_client_is_nobody_else(seeing: str) -> None:
    """What a client says of who it is, and of what it runs on, is not believed."""
    seen = looked(
        seeing,
        {
            "metadata": {"assistant_id": "a", "graph_id": "g", "thread_id": "t", "mine": 1},
            "config": {
                "configurable": {
                    "langgraph_auth_user": {"identity": "root"},
                    "langgraph_auth_user_id": "root",
                    "langgraph_auth_permissions": ["all"],
                },
                "metadata": {"run_id": "r", "theirs": 2},
            },
            "context": {"langgraph_auth_user_id": "root"},
        },
    )

    assert seen["said"]["langgraph_auth_user_id"] == ""
    assert (seen["user"], seen["permissions"]) == (None, [])
    metadata = seen["metadata"]
    assert (metadata["mine"], metadata["theirs"], metadata["graph_id"]) == (1, 2, "looks")
    for key in ("assistant_id", "run_id", "thread_id"):
        assert metadata[key] == seen["said"][key]


def key(database: str, name: str) -> str:
    """Make a key of an operator."""

    async def made() -> str:
        async with open_pool(database, size=1) as pool:
            return (await KeyStore(pool).create(name, ["operator"])).secret

    return asyncio.run(made())


def test_who_holds_a_key(seeing: str, server_database: str) -> None:
    """Of who holds a key nodes find its name and its roles."""
    seen = looked(seeing, None, **{"x-api-key": key(server_database, "ci")})

    assert seen["by_name"] == ["ci", ["operator"]]
    assert seen["permissions"] == ["operator"]
    assert (seen["said"]["user_id"], seen["server"][2]) == ("ci", "ci")
    assert "x-api-key" not in seen["keys"]


def test_who_set_a_cron(seeing: str, server_database: str) -> None:
    """The runs of a cron are of who set it."""
    secret = {"x-api-key": key(server_database, "night")}
    there = thread(seeing, **secret)
    cron = {"assistant_id": "looks", "input": {}, "schedule": "* * * * * *"}
    made = ask(seeing, f"/threads/{there}/runs/crons", cron, **secret)

    seen = looked_at(seeing, there, **secret)
    httpx.delete(f"{seeing}/runs/crons/{made['cron_id']}", headers=secret)

    assert seen["by_name"] == ["night", ["operator"]]
    assert seen["said"]["cron_id"] == made["cron_id"]


def command(*words: str, **environment: str) -> Any:
    """Run a command line, and return its document."""
    done = subprocess.run(
        [sys.executable, "-m", "interlock", *words, "--json"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_who_asks_by_the_command_line(seeing: str, server_database: str) -> None:
    """What a command line begins at a server is of who holds its key, whatever this machine calls them."""
    who = {"INTERLOCK_API_KEY": key(server_database, "cli"), "INTERLOCK_USER": "spoofed"}
    submitted = command("submit", "looks", "--wait", "--server", seeing, **who)
    there = submitted["thread_id"]
    forked = command("fork", there, "--at", "-1", "--server", seeing, **who)

    for run in (submitted, forked):
        seen = run["output"]["seen"]
        assert seen["by_name"] == ["cli", ["operator"]]
        assert seen["permissions"] == ["operator"]
        assert seen["server"] == ["looks", seen["said"]["assistant_id"], "cli"]
        assert seen["said"]["langgraph_auth_user_id"] == seen["said"]["user_id"] == "cli"


def test_who_sits_at_the_database(seeing: str, server_database: str) -> None:
    """What a command line begins at a database is of who sits there, in its own process and at workers."""
    place = ("--url", server_database, "--config", str(SEEING / "langgraph.json"))
    ran = command("run", "looks", *place, INTERLOCK_USER="ann")
    submitted = command("submit", "looks", "--wait", *place, INTERLOCK_USER="ann")
    forked = command("fork", ran["thread_id"], "--at", "-1", *place, INTERLOCK_USER="bob")

    told = [run["output"]["seen"]["by_name"] for run in (ran, submitted, forked)]
    assert told == [["ann", []], ["ann", []], ["bob", []]]


def test_who_set_a_cron_by_the_command_line(seeing: str, server_database: str) -> None:
    """The runs of a cron that a command line sets at a server are of who holds its key."""
    secret = key(server_database, "clock")
    there = thread(seeing, **{"x-api-key": secret})
    at = ("--thread", there, "--server", seeing)
    command("cron", "set", "ticks", "looks", "* * * * * *", *at, INTERLOCK_API_KEY=secret)

    seen = looked_at(seeing, there, **{"x-api-key": secret})
    command("cron", "remove", "ticks", "--server", seeing, INTERLOCK_API_KEY=secret)

    assert seen["by_name"] == ["clock", ["operator"]]


def looked_at(address: str, there: str, **headers: str) -> Any:
    """Return what a node found in a run on a thread that somebody else begins."""
    until = time.monotonic() + 30
    while time.monotonic() < until:  # it tells nobody
        state = httpx.get(f"{address}/threads/{there}/state", headers=headers).json()
        if seen := (state.get("values") or {}).get("seen"):  # a thread may not have run yet
            return seen
        time.sleep(0.2)
    raise TimeoutError(f"no run of {there} has looked")


def test_metadata_of_an_assistant(seeing: str) -> None:
    """A run has its assistant's metadata under its own."""
    made = ask(seeing, "/assistants", {"graph_id": "looks", "metadata": {"team": "a", "kind": "b"}})
    there = thread(seeing)
    asked = {"assistant_id": made["assistant_id"], "input": {}, "metadata": {"kind": "c"}}
    seen = ask(seeing, f"/threads/{there}/runs/wait", asked)["seen"]
    (run,) = httpx.get(f"{seeing}/threads/{there}/runs").json()

    expected = {"team": "a", "kind": "c", "graph_id": "looks", "assistant_id": made["assistant_id"]}
    assert run["metadata"] == expected
    assert {key: seen["metadata"][key] for key in expected} == expected
