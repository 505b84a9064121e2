"""What a run has of its thread's metadata, as LangGraph's server gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.server.conftest import serving
from tests.server.test_identity import SEEING, ask, looked_at


@pytest.fixture(scope="module")
def seeing(server_database: str) -> Iterator[str]:
    """The address of a server whose nodes say what they find."""
    with serving(server_database, config=SEEING / "langgraph.json") as address:
        yield address


def _runs(address: str, thread: str) -> list[dict[str, Any]]:
    return [each["metadata"] for each in httpx.get(f"{address}/threads/{thread}/runs").json()]


def _thread(address: str, **metadata: Any) -> str:
    return str(ask(address, "/threads", {"metadata": metadata})["thread_id"])


def test_between_the_assistant_and_the_request(seeing: str) -> None:
    """A thread's metadata goes before the assistant's and behind the request's; nobody's name is taken from it."""
    made = ask(seeing, "/assistants", {"graph_id": "looks", "metadata": {"team": "a", "kind": "a"}})
    there = _thread(seeing, team="t", kind="t", tone="t", mood="t", run_id="t", assistant_id="t")
    asked = {
        "assistant_id": made["assistant_id"],
        "input": {},
        "metadata": {"tone": "r"},
        "config": {"metadata": {"mood": "c", "tone": "c"}},
    }
    seen = ask(seeing, f"/threads/{there}/runs/wait", asked)["seen"]

    expected = {"team": "t", "kind": "t", "tone": "r", "mood": "c", "graph_id": "looks"}
    (run,) = _runs(seeing, there)
    assert {key: run[key] for key in expected} == expected
    assert {key: seen["metadata"][key] for key in expected} == expected
    assert run["assistant_id"] == made["assistant_id"]
    assert seen["metadata"]["run_id"] == seen["run"]
    state = httpx.get(f"{seeing}/threads/{there}/state").json()["metadata"]
    assert {key: state[key] for key in expected} == expected


def test_as_it_was_when_the_run_was_asked_for(seeing: str) -> None:
    """A run keeps what its thread said then; the next one has what it says by now. The thread takes nothing."""
    there = _thread(seeing, team="blue")
    run = {"assistant_id": "looks", "input": {}, "metadata": {"mine": 1}}
    ask(seeing, f"/threads/{there}/runs/wait", run)
    httpx.patch(f"{seeing}/threads/{there}", json={"metadata": {"team": "red"}})
    ask(seeing, f"/threads/{there}/runs/wait", run)

    assert [each["team"] for each in _runs(seeing, there)] == ["red", "blue"]
    assert "mine" not in httpx.get(f"{seeing}/threads/{there}").json()["metadata"]


def test_what_another_process_writes_is_seen_at_once(seeing: str, server_database: str) -> None:
    """A server knows what it read for the run before, and a run is accepted only where that is still so."""
    there = _thread(seeing, team="blue")
    run = {"assistant_id": "looks", "input": {}}
    change = "update interlock.thread_cards set metadata = metadata || %s where thread_id = %s"
    ask(seeing, f"/threads/{there}/runs/wait", run)
    ask(seeing, f"/threads/{there}/runs/wait", run)
    with psycopg.connect(server_database) as connection:
        connection.execute(change, ('{"team": "red", "many": [1]}', there))
    seen = ask(seeing, f"/threads/{there}/runs/wait", run)["seen"]
    ask(seeing, f"/threads/{there}/runs/wait", run)

    assert seen["metadata"]["team"] == "red"
    found = [(each["team"], each.get("many")) for each in _runs(seeing, there)]
    assert found == [("red", [1]), ("red", [1]), ("blue", None), ("blue", None)]


def test_a_run_like_the_last_one_changes_nothing_of_its_thread(
    seeing: str, server_database: str
) -> None:
    """What the thread says of its latest run is written where it is not so yet, and not even locked otherwise."""
    there = _thread(seeing)
    run = {"assistant_id": "looks", "input": {}}
    card = "select ctid, xmin, xmax from interlock.thread_cards where thread_id = %s"
    ask(seeing, f"/threads/{there}/runs/wait", run)
    with psycopg.connect(server_database) as connection:
        (before,) = connection.execute(card, (there,)).fetchall()
    ask(seeing, f"/threads/{there}/runs/wait", run)
    with psycopg.connect(server_database) as connection:
        (after,) = connection.execute(card, (there,)).fetchall()

    assert after == before


def test_a_key_is_of_the_request_alone(seeing: str) -> None:
    """A request that is sent again under its key is the same one, whatever became of its thread meanwhile."""
    there = _thread(seeing, team="blue")
    run, key = {"assistant_id": "looks", "input": {}}, {"idempotency-key": f"twice-{there}"}
    first = ask(seeing, f"/threads/{there}/runs", run, **key)
    httpx.patch(f"{seeing}/threads/{there}", json={"metadata": {"team": "red"}})
    again = ask(seeing, f"/threads/{there}/runs", run, **key)

    assert again["run_id"] == first["run_id"]
    assert again["metadata"]["team"] == "blue"


def test_what_goes_on_has_it_too(seeing: str) -> None:
    """An answer begins a run that has its thread's metadata, and so does a run over the protocol of thread streams."""
    there = _thread(seeing, team="blue")
    ask(seeing, f"/threads/{there}/runs/wait", {"assistant_id": "looks_later", "input": {}})
    answer = {"assistant_id": "looks_later", "command": {"resume": "yes"}}
    seen = ask(seeing, f"/threads/{there}/runs/wait", answer)["seen"]
    other = _thread(seeing, team="green")
    start = {"assistant_id": "looks", "input": {}}
    ask(seeing, f"/threads/{other}/commands", {"id": 1, "method": "run.start", "params": start})

    assert seen["metadata"]["team"] == "blue"
    assert [each["team"] for each in _runs(seeing, there)] == ["blue", "blue"]
    assert [each["team"] for each in _runs(seeing, other)] == ["green"]


def test_a_crons_runs_have_what_their_thread_says_by_then(seeing: str) -> None:
    """Each run of a cron has its thread's metadata as they are when it is due, between the assistant's and its own."""
    made = ask(seeing, "/assistants", {"graph_id": "looks", "metadata": {"team": "a", "kind": "a"}})
    there = _thread(seeing, team="early", mine="t", graph_id="t")
    cron = {"assistant_id": made["assistant_id"], "input": {}, "metadata": {"mine": "c"}}
    said = {**cron, "schedule": "* * * * * *", "enabled": False}
    number = ask(seeing, f"/threads/{there}/runs/crons", said)["cron_id"]
    httpx.patch(f"{seeing}/threads/{there}", json={"metadata": {"team": "late"}})
    httpx.patch(f"{seeing}/runs/crons/{number}", json={"enabled": True})
    seen = looked_at(seeing, there)
    httpx.delete(f"{seeing}/runs/crons/{number}")

    expected = {"team": "late", "kind": "a", "mine": "c", "graph_id": "looks"}
    for noted in (seen["metadata"], _runs(seeing, there)[-1]):
        assert {key: noted[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["%00", "a%00b", "%7F"])
@pytest.mark.parametrize("path", ["runs", "runs/wait", "runs/stream"])
def test_what_can_name_no_thread(seeing: str, name: str, path: str) -> None:
    """It is refused, and nobody waits for it: neither who asks nor who asks beside it."""
    body = {"assistant_id": "looks", "input": {}}
    with httpx.Client(base_url=seeing, timeout=20) as client:
        refused = client.post(f"/threads/{name}/{path}", json=body)

    assert refused.status_code in (404, 422), refused.text
    assert ask(seeing, f"/threads/{_thread(seeing)}/runs/wait", {**body})["seen"]
