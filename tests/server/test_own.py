"""What Interlock serves beyond LangGraph's protocol: approvals, effects, letters, budgets, switches and the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.server.conftest import serving

CONFIG = Path(__file__).parent.parent / "sample" / "served" / "langgraph.json"


@pytest.fixture(scope="module")
def address(server_database: str) -> Iterator[str]:
    with serving(server_database, config=CONFIG) as address:
        yield address


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture
def sdk(address: str) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=address, api_key=None) as client:
        yield client


def ran(sdk: SyncLangGraphClient, graph: str, given: dict[str, Any]) -> str:
    """Run a graph on a new thread until it ends or waits, and return the thread."""
    thread = sdk.threads.create()["thread_id"]
    sdk.runs.wait(thread, graph, input=given, raise_error=False)
    return thread


def asked(http: httpx.Client, thread: str) -> dict[str, Any]:
    """Return the one question of a thread."""
    (question,) = http.get("/approvals", params={"thread_id": thread}).json()
    return dict(question)


def test_an_approval_lets_an_act_happen(
    http: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """A payment waits, is approved as it was read, and stands among the effects."""
    given = {"payee": "Ada", "amount": 7, "ledger": str(tmp_path / "paid")}
    thread = ran(sdk, "payment", given)
    question = asked(http, thread)

    answer = {"type": "approve", "digest": question["digest"]}
    assert http.post(f"/approvals/{question['id']}/answer", json=answer).status_code == 200
    sdk.runs.join(thread, sdk.runs.list(thread)[0]["run_id"])

    assert (tmp_path / "paid").read_text() == "Ada 7\n"
    (effect,) = http.get("/effects", params={"thread_id": thread}).json()
    assert (effect["action"], effect["status"]) == ("pay", "done")
    assert http.get(f"/effects/{effect['key']}").json() == effect
    history = http.get(f"/approvals/{question['id']}").json()["history"]
    assert [each["kind"] for each in history] == ["asked", "answered"]


def test_the_second_answer_is_refused(
    http: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """Of two answers to one question the second gets 409, and nothing happens twice."""
    thread = ran(sdk, "payment", {"payee": "Bob", "amount": 1, "ledger": str(tmp_path / "paid")})
    question = asked(http, thread)
    path = f"/approvals/{question['id']}/answer"

    codes = [http.post(path, json={"type": "reject"}).status_code for _ in range(2)]

    assert codes == [200, 409]
    assert not (tmp_path / "paid").exists()


def test_an_approval_of_something_else_is_refused(
    http: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """An answer that names other arguments than those that are asked about gets 409."""
    thread = ran(sdk, "payment", {"payee": "Cyd", "amount": 1, "ledger": str(tmp_path / "paid")})
    path = f"/approvals/{asked(http, thread)['id']}/answer"

    assert http.post(path, json={"type": "approve", "digest": "ab" * 32}).status_code == 409
    assert asked(http, thread)["status"] == "open"


def test_an_edit_changes_what_happens(
    http: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """What a person edits is what is paid."""
    thread = ran(sdk, "payment", {"payee": "Dee", "amount": 900, "ledger": str(tmp_path / "paid")})
    path = f"/approvals/{asked(http, thread)['id']}/answer"

    http.post(path, json={"type": "edit", "arguments": {"amount": 9}}).raise_for_status()
    sdk.runs.join(thread, sdk.runs.list(thread)[0]["run_id"])

    assert (tmp_path / "paid").read_text() == "Dee 9\n"


def test_several_questions_are_answered_at_once(
    http: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """What is refused on one thread hinders no other."""
    threads = [ran(sdk, "asks", {"topic": str(number)}) for number in range(3)]
    names = [asked(http, each)["id"] for each in threads]
    http.post(f"/approvals/{names[0]}/answer", json={"type": "resume", "value": "one"})

    answers = [{"question_id": each, "type": "resume", "value": "yes"} for each in names]
    taken = http.post("/approvals/answers", json={"answers": answers}).json()

    assert [each["taken"] for each in taken] == [False, True, True]
    assert [each["thread_id"] for each in taken] == threads


def test_a_dead_run_has_a_letter(http: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """A run that failed for good is listed, replayed, fails again, and is discarded."""
    thread = ran(sdk, "fails", {"said": "hello"})
    (letter,) = [each for each in http.get("/letters").json() if each["thread_id"] == thread]
    assert http.get(f"/letters/{letter['id']}").json()["letter"]["kind"] == "bug"

    replayed = http.post(f"/letters/{letter['id']}/replay", json={"reason": "again"})
    assert replayed.json()["status"] == "replayed"
    sdk.runs.join(thread, letter["run_id"])
    (second,) = [each for each in http.get("/letters").json() if each["thread_id"] == thread]
    path = f"/letters/{second['id']}/discard"

    assert http.post(path, json={}).status_code == 422
    assert http.post(path, json={"reason": "nobody needs it"}).json()["status"] == "discarded"
    assert http.post(path, json={"reason": "nobody needs it"}).status_code == 422


def test_a_budget_is_set_and_removed(http: httpx.Client) -> None:
    """Limits are stored, told, and removed; a unit that there is not is refused with its name."""
    stored = http.put("/budgets/graph/echo", json={"limits": {"tokens": 1000, "usd": 0.5}})
    assert stored.json()["limits"] == {"tokens": 1000, "usd": 0.5}
    assert http.get("/budgets/graph/echo").json()["limits"] == {"tokens": 1000, "usd": 0.5}
    assert http.delete("/budgets/graph/echo").json()["limits"] == {}

    wrong = http.put("/budgets/graph/echo", json={"limits": {"token": 1000}})
    assert wrong.status_code == 422
    assert "Did you mean tokens?" in wrong.json()["detail"]


def test_a_switch_stops_a_graph(http: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """While a switch stands over a graph its runs are refused with 409; lifted, they run again."""
    thrown = http.post("/kills", json={"scope": "graph", "name": "echo", "reason": "too loud"})
    number = thrown.json()["id"]
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        ran(sdk, "echo", {"said": "no"})
    assert [each["id"] for each in http.get("/kills").json()] == [number]

    http.post(f"/kills/{number}/lift", json={"reason": "it is quiet"}).raise_for_status()

    assert http.get("/kills").json() == []
    assert sdk.runs.wait(None, "echo", input={"said": "yes"}) == {"said": "yes", "answered": "sey"}
    events = http.get(f"/kills/{number}").json()["events"]
    assert (events[0]["kind"], events[-1]["kind"]) == ("thrown", "lifted")


def test_the_policy_explains_itself(http: httpx.Client) -> None:
    """Facts that are not given come from the action's declaration, and the verdict names its rule."""
    explained = http.post("/policies/explain", json={"facts": {"action": "pay"}}).json()

    assert explained["sources"]["reversible"] == "declared"
    assert explained["facts"]["reversible"] is False
    assert explained["verdict"]["ruling"] == "ask"
    rules = http.get("/policies").json()["rules"]
    assert explained["verdict"]["rule"] in [each["name"] for each in rules]
    assert http.post("/policies/explain", json={"facts": {"act": "pay"}}).status_code == 422


def test_cases_are_run_against_the_policy(http: httpx.Client) -> None:
    """A table of cases says which hold."""
    cases = [
        {"name": "right", "facts": {"action": "pay", "reversible": False}, "expect": "ask"},
        {"name": "wrong", "facts": {"action": "pay", "reversible": False}, "expect": "deny"},
    ]

    told = http.post("/policies/test", json={"cases": cases}).json()

    assert (told["passed"], told["failed"]) == (1, 1)
    assert [each["passed"] for each in told["cases"]] == [True, False]


def test_what_came_of_a_run_is_reported_later(http: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """The last report on a run counts in the sums, and the earlier one is kept."""
    thread = ran(sdk, "echo", {"said": "done"})
    first = {"name": thread, "met": False, "note": "it bounced"}
    second = {"name": thread, "met": True, "score": 0.75}
    codes = [http.post("/outcomes", json=each).status_code for each in (first, second)]

    assert codes == [201, 201]
    assert http.post("/outcomes", json={"name": thread}).status_code == 422
    told = http.get("/outcomes", params={"name": thread}).json()
    assert [each["met"] for each in told] == [True, False]
    sums = http.get("/outcomes/sums").json()
    assert sums == [{"graph": "echo", "runs": 1, "met": 1, "missed": 0, "score": 0.75}]


def test_events_are_listed_and_streamed(http: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """What happened to a run stands among all events, and a stream that goes on from one repeats nothing."""
    thread = ran(sdk, "echo", {"said": "hear"})
    listed = [each for each in http.get("/events").json() if each["thread_id"] == thread]
    assert [each["kind"] for each in listed] == ["succeeded", "claimed", "submitted"]

    whole = http.get("/events/stream", params={"name": thread}).text.split("\r\n\r\n")
    cursor = whole[0].split("\r\n")[2].removeprefix("id: ")
    rest = http.get(
        "/events/stream", params={"name": thread}, headers={"Last-Event-ID": cursor}
    ).text.split("\r\n\r\n")

    assert rest == whole[1:]
    assert whole[-2] == "event: end\r\ndata: null"


def test_a_stream_tells_the_values_that_steps_changed(
    http: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """Before and after, where they are asked for; what cannot be a cursor is refused before anything is told."""
    thread = ran(sdk, "echo", {"said": "abc"})
    asked = {"name": thread, "values": "true"}
    told = http.get("/events/stream", params=asked).text.split("\r\n\r\n")
    data = [json.loads(each.split("\r\ndata: ")[1].split("\r\n")[0]) for each in told if each]
    steps = [each["values"] for each in data if each and each["kind"] == "step"]
    odd = http.get("/events/stream", params=asked, headers={"Last-Event-ID": "yesterday"})

    assert {"answered": [None, "cba"]} in steps
    assert (odd.status_code, odd.json()["detail"].partition(".")[0]) == (
        422,
        "'yesterday' is no cursor",
    )


def test_a_stream_that_has_nothing_to_tell_sends_heartbeats(
    http: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """So a line that is dead is told from one that is quiet."""
    thread = ran(sdk, "asks", {"topic": "tea"})
    lines: list[str] = []
    with http.stream(
        "GET", "/events/stream", params={"name": thread, "follow": "true"}, timeout=30
    ) as told:
        for line in told.iter_lines():
            lines.append(line)
            if line == ": heartbeat":
                break

    assert "event: waiting" in lines


def test_it_says_how_it_stands(http: httpx.Client) -> None:
    """The status names the worker inside; a limit is stored, listed and removed."""
    assert len(http.get("/status").json()["workers"]) == 1
    put = http.put("/limits", params={"target": "provider:openai"}, json={"requests": 60})
    assert put.json()["limits"][0]["limit"] == {"requests": 60}
    removed = http.delete("/limits", params={"target": "provider:openai"}).json()
    assert removed == {"removed": True}
    assert http.get("/timers").json() == []


@pytest.mark.parametrize(
    "path",
    ["/approvals/nobody", "/effects/nothing", "/letters/none", "/kills/99", "/budgets/run/none"],
)
def test_what_is_not_there(http: httpx.Client, path: str) -> None:
    """Each kind of thing that is not there is 404, and says so."""
    answer = http.get(path)

    assert answer.status_code == 404
    assert answer.json()["detail"]
