"""Runs on threads as LangGraph's client makes and follows them, against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError
from langgraph_sdk.schema import RunCreateMetadata

LONG = {"count": 200, "seconds": 0.05}


@pytest.fixture
async def http(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows statuses and headers."""
    async with httpx.AsyncClient(base_url=server, timeout=30) as http:
        yield http


@pytest.fixture
async def thread_id(client: LangGraphClient) -> str:
    """A new thread."""
    return str((await client.threads.create())["thread_id"])


async def test_wait_returns_the_output(client: LangGraphClient, thread_id: str) -> None:
    """Who waits for a run gets its output."""
    output = await client.runs.wait(thread_id, "echo", input={"said": "abc"})

    assert output == {"said": "abc", "answered": "cba"}


def test_the_synchronous_client_waits_too(sync_client: SyncLangGraphClient) -> None:
    """The synchronous client makes, waits for, joins, lists and gets runs."""
    thread_id = sync_client.threads.create()["thread_id"]

    output = sync_client.runs.wait(thread_id, "echo", input={"said": "abc"})
    run = sync_client.runs.create(thread_id, "echo", input={"said": "xyz"})
    joined = sync_client.runs.join(thread_id, run["run_id"])

    assert output == {"said": "abc", "answered": "cba"}
    assert joined == {"said": "xyz", "answered": "zyx"}
    assert sync_client.runs.get(thread_id, run["run_id"])["status"] == "success"
    assert len(sync_client.runs.list(thread_id)) == 2


async def test_create_tells_of_the_run(client: LangGraphClient, thread_id: str) -> None:
    """A run is returned before it has begun, with its names, its metadata and how it was asked for."""
    run: Any = await client.runs.create(
        thread_id,
        "echo",
        input={"said": "abc"},
        metadata={"who": "me"},
        config={"tags": ["a"], "configurable": {"x": 1}},
    )

    assert run["thread_id"] == thread_id
    assert run["assistant_id"] == "046b5dc7-2108-582c-9c6c-31d556d138f0"
    assert run["status"] in ("pending", "running", "success")
    assert run["multitask_strategy"] == "enqueue"
    assert run["metadata"] == {
        "created_by": "system",
        "graph_id": "echo",
        "assistant_id": "046b5dc7-2108-582c-9c6c-31d556d138f0",
        "who": "me",
    }
    assert run["kwargs"]["input"] == {"said": "abc"}
    assert run["kwargs"]["config"]["tags"] == ["a"]


async def test_a_run_says_where_it_is(client: LangGraphClient, thread_id: str) -> None:
    """The client is told the ids of a run before it has ended, by the answer's headers."""
    told: list[RunCreateMetadata] = []

    await client.runs.wait(thread_id, "echo", input={"said": "a"}, on_run_created=told.append)
    run = await client.runs.create(
        thread_id, "echo", input={"said": "b"}, on_run_created=told.append
    )

    assert [each["thread_id"] for each in told] == [thread_id, thread_id]
    assert told[1]["run_id"] == run["run_id"]


async def test_wait_can_be_asked_again(
    client: LangGraphClient, http: httpx.AsyncClient, thread_id: str
) -> None:
    """The `Location` of an answer that is waited for gives that answer again."""
    body = {"assistant_id": "echo", "input": {"said": "abc"}}

    first = await http.post(f"/threads/{thread_id}/runs/wait", json=body)
    again = await http.get(first.headers["Location"])

    assert again.json() == first.json() == {"said": "abc", "answered": "cba"}
    assert again.headers["Content-Location"] == first.headers["Content-Location"]


async def test_an_unknown_thread_is_not_found(client: LangGraphClient) -> None:
    """A run on an unknown thread is refused, unless the thread is to be made."""
    thread_id = str(uuid4())

    with pytest.raises(NotFoundError):
        await client.runs.create(thread_id, "echo", input={"said": "abc"})
    output = await client.runs.wait(
        thread_id, "echo", input={"said": "abc"}, if_not_exists="create"
    )

    assert output == {"said": "abc", "answered": "cba"}
    assert (await client.threads.get(thread_id))["status"] == "idle"


async def test_an_unknown_assistant_is_not_found(client: LangGraphClient, thread_id: str) -> None:
    """A run of an assistant that is not there is refused, whether it is named or given by its id."""
    for name in ("nonsense", str(uuid4())):
        with pytest.raises(NotFoundError):
            await client.runs.create(thread_id, name, input={})

    assert await client.runs.list(thread_id) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"assistant_id": "echo", "input": "abc"},
        {"assistant_id": "echo", "input": {}, "stream_mode": "nonsense"},
        {"assistant_id": "echo", "input": {}, "multitask_strategy": "nonsense"},
        {"assistant_id": "echo", "input": {}, "interrupt_before": ["nonsense"]},
        {"assistant_id": "echo", "input": {}, "after_seconds": -1},
        {"assistant_id": "echo", "input": {}, "webhook": "/ok"},
        {"assistant_id": "echo", "input": {}, "webhook": "ftp://example.com"},
    ],
)
async def test_what_means_nothing_is_refused(
    http: httpx.AsyncClient, thread_id: str, body: dict[str, Any]
) -> None:
    """A request that means nothing is refused with a sentence, and no run is made."""
    answer = await http.post(f"/threads/{thread_id}/runs", json=body)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []


async def test_a_failed_run_says_what_failed(client: LangGraphClient, thread_id: str) -> None:
    """A failed run's error says what failed, to who waits for it and to who looks at it."""
    with pytest.raises(Exception, match="ValueError: cannot answer 'abc'"):
        await client.runs.wait(thread_id, "fails", input={"said": "abc"})
    told: Any = await client.runs.wait(thread_id, "fails", input={"said": "xyz"}, raise_error=False)
    run: Any = (await client.runs.list(thread_id, limit=1))[0]

    assert told == {"__error__": {"error": "ValueError", "message": "cannot answer 'xyz'"}}
    assert run["status"] == "error"
    assert run["error"] == {"error": "ValueError", "message": "cannot answer 'xyz'"}


async def test_a_run_that_asks_has_succeeded(client: LangGraphClient, thread_id: str) -> None:
    """A run that asks a person ends with its values and what it asks; the answer is another run."""
    asked: Any = await client.runs.wait(thread_id, "asks", input={"topic": "x"})
    answered: Any = await client.runs.wait(thread_id, "asks", command={"resume": "yes"})
    ended: Any = await client.runs.wait(thread_id, "asks", command={"resume": "no"})

    assert asked["topic"] == "x"
    assert [each["value"] for each in asked["__interrupt__"]] == [{"question": "What of x?"}]
    assert answered["answers"] == ["yes"]
    assert [each["value"] for each in answered["__interrupt__"]] == ["And now?"]
    assert ended == {"topic": "x", "answers": ["yes", "no"]}
    runs = await client.runs.list(thread_id)
    assert [each["status"] for each in runs] == ["success", "success", "success"]


async def test_the_second_of_two_answers_is_refused(
    client: LangGraphClient, thread_id: str
) -> None:
    """Two clients answer one question at once: one of them gets a conflict."""
    await client.runs.wait(thread_id, "asks", input={"topic": "x"})

    answers = await asyncio.gather(
        *(client.runs.create(thread_id, "asks", command={"resume": each}) for each in "ab"),
        return_exceptions=True,
    )

    refused = [each for each in answers if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [ConflictError]


async def test_a_new_input_takes_the_place_of_a_question(
    client: LangGraphClient, thread_id: str
) -> None:
    """A new input on a thread that waits for a person begins anew; the question is withdrawn."""
    await client.runs.wait(thread_id, "asks", input={"topic": "x"})

    asked: Any = await client.runs.wait(thread_id, "asks", input={"topic": "y"})
    answered: Any = await client.runs.wait(thread_id, "asks", command={"resume": "yes"})

    assert [each["value"] for each in asked["__interrupt__"]] == [{"question": "What of y?"}]
    assert answered["answers"] == ["yes"]


async def test_no_input_goes_on_from_the_checkpoint(
    client: LangGraphClient, thread_id: str
) -> None:
    """A run without an input goes on where a breakpoint stopped the one before."""
    stopped: Any = await client.runs.wait(
        thread_id, "steps", input={"count": 2}, interrupt_before=["step"]
    )
    went_on: Any = await client.runs.wait(thread_id, "steps")

    assert stopped == {"count": 2, "done": []}
    assert went_on == {"count": 2, "done": [0, 1]}


async def test_a_run_begins_at_a_checkpoint(client: LangGraphClient, thread_id: str) -> None:
    """A run goes on from a checkpoint of its thread that is named."""
    await client.runs.wait(thread_id, "steps", input={"count": 3})
    history: Any = await client.threads.get_history(thread_id)
    early = next(each for each in history if each["values"].get("done") == [0])

    again: Any = await client.runs.wait(
        thread_id, "steps", checkpoint_id=early["checkpoint"]["checkpoint_id"]
    )

    assert again == {"count": 3, "done": [0, 1, 2]}


async def test_runs_of_a_thread_take_turns(client: LangGraphClient, thread_id: str) -> None:
    """A second run on a busy thread waits for its turn unless it says otherwise."""
    first = await client.runs.create(thread_id, "steps", input={"count": 4, "seconds": 0.05})

    second: Any = await client.runs.wait(thread_id, "steps", input={"count": 1})

    assert (await client.runs.get(thread_id, first["run_id"]))["status"] == "success"
    assert second["done"] == [0, 1, 2, 3, 4]


async def test_a_busy_thread_refuses(client: LangGraphClient, thread_id: str) -> None:
    """With the strategy `reject` a second run on a busy thread is a conflict."""
    run = await client.runs.create(thread_id, "steps", input=LONG)

    with pytest.raises(ConflictError):
        await client.runs.create(
            thread_id, "steps", input={"count": 1}, multitask_strategy="reject"
        )

    await client.runs.cancel(thread_id, run["run_id"], wait=True)


async def test_a_run_takes_the_place_of_another(client: LangGraphClient, thread_id: str) -> None:
    """With the strategy `interrupt` the other is stopped and its progress kept; with `rollback` it never was."""
    kept = await client.runs.create(thread_id, "steps", input=LONG)
    await _begun(client, thread_id, kept["run_id"])
    output: Any = await client.runs.wait(
        thread_id, "steps", input={"count": 1}, multitask_strategy="interrupt"
    )
    undone = await client.runs.create(thread_id, "steps", input=LONG)
    await _begun(client, thread_id, undone["run_id"])
    again: Any = await client.runs.wait(
        thread_id, "steps", input={"count": 1}, multitask_strategy="rollback"
    )

    assert len(again["done"]) == len(output["done"]) + 1
    assert (await client.runs.get(thread_id, kept["run_id"]))["status"] == "interrupted"
    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, undone["run_id"])


async def test_cancel_stops_a_run(client: LangGraphClient, thread_id: str) -> None:
    """A cancelled run stops in the middle of a step; who waited for it gets its values so far."""
    run = await client.runs.create(thread_id, "steps", input={"count": 2, "seconds": 60.0})
    await _begun(client, thread_id, run["run_id"])
    waiting = asyncio.create_task(client.runs.join(thread_id, run["run_id"]))

    await client.runs.cancel(thread_id, run["run_id"], wait=True)

    assert await waiting == {"count": 2, "seconds": 60.0, "done": []}
    assert (await client.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"
    with pytest.raises(NotFoundError):
        await client.runs.cancel(thread_id, run["run_id"])


async def test_a_rollback_undoes_a_run(client: LangGraphClient, thread_id: str) -> None:
    """A run that is cancelled with a rollback leaves the thread as it was, and is gone."""
    before = await client.runs.wait(thread_id, "steps", input={"count": 1})
    run = await client.runs.create(thread_id, "steps", input=LONG)
    await _begun(client, thread_id, run["run_id"])

    await client.runs.cancel(thread_id, run["run_id"], wait=True, action="rollback")

    assert (await client.threads.get_state(thread_id))["values"] == before
    assert len(await client.runs.list(thread_id)) == 1


async def test_many_are_cancelled_at_once(client: LangGraphClient, thread_id: str) -> None:
    """Runs are cancelled by their ids, and by how they stand; those that only wait for a person stay."""
    asking = (await client.threads.create())["thread_id"]
    await client.runs.wait(asking, "asks", input={"topic": "x"})
    runs = [await client.runs.create(thread_id, "steps", input=LONG) for _ in range(3)]
    ids = [run["run_id"] for run in runs]

    await client.runs.cancel_many(thread_id=thread_id, run_ids=ids[2:])
    await client.runs.cancel_many(status="all")
    await asyncio.gather(*(client.runs.join(thread_id, each) for each in ids))

    found = await client.runs.list(thread_id)
    assert [run["status"] for run in found] == ["interrupted"] * 3
    assert (await client.threads.get(asking))["status"] == "interrupted"
    with pytest.raises(NotFoundError):
        await client.runs.cancel_many(status="all")


async def test_who_goes_away_cancels(client: LangGraphClient, http: httpx.AsyncClient) -> None:
    """With `on_disconnect` a run is cancelled when the client that waits for it goes away."""
    thread_id = (await client.threads.create())["thread_id"]
    body = {"assistant_id": "steps", "input": LONG, "on_disconnect": "cancel"}

    async with http.stream("POST", f"/threads/{thread_id}/runs/wait", json=body) as answer:
        run_id = answer.headers["Content-Location"].rpartition("/")[2]
    await client.runs.join(thread_id, run_id)

    assert (await client.runs.get(thread_id, run_id))["status"] == "interrupted"


async def test_runs_are_listed(client: LangGraphClient, thread_id: str) -> None:
    """Runs are listed newest first, by status, in pages, and with the fields that are asked for."""
    for said in "abc":
        await client.runs.wait(thread_id, "echo", input={"said": said})
    newest = await client.runs.list(thread_id)

    assert [run["kwargs"]["input"]["said"] for run in newest] == ["c", "b", "a"]  # type: ignore[typeddict-item]  # the client's type lacks it
    assert await client.runs.list(thread_id, limit=1, offset=1) == newest[1:2]
    assert await client.runs.list(thread_id, status="error") == []
    assert len(await client.runs.list(thread_id, status="success")) == 3
    part: Any = await client.runs.list(thread_id, select=["run_id", "status"], limit=1)
    assert part == [{"run_id": newest[0]["run_id"], "status": "success"}]
    with pytest.raises(UnprocessableEntityError):
        await client.runs.list(thread_id, select=["nonsense"])  # type: ignore[list-item]  # it is refused


async def test_a_run_is_forgotten(client: LangGraphClient, thread_id: str) -> None:
    """A run that is deleted is gone, and its thread keeps its state; one at work is stopped before."""
    ended = await client.runs.create(thread_id, "echo", input={"said": "abc"})
    await client.runs.join(thread_id, ended["run_id"])
    at_work = (await client.threads.create())["thread_id"]
    running = await client.runs.create(at_work, "steps", input=LONG)

    await client.runs.delete(thread_id, ended["run_id"])
    await client.runs.delete(at_work, running["run_id"])

    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, ended["run_id"])
    assert await client.runs.list(at_work) == []
    state = await client.threads.get_state(thread_id)
    assert state["values"] == {"said": "abc", "answered": "cba"}


async def test_another_threads_run_is_not_found(client: LangGraphClient, thread_id: str) -> None:
    """A run is found under its own thread alone."""
    other = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "echo", input={"said": "abc"})

    with pytest.raises(NotFoundError):
        await client.runs.get(other, run["run_id"])
    with pytest.raises(NotFoundError):
        await client.runs.delete(other, run["run_id"])


async def test_a_run_begins_later(client: LangGraphClient, thread_id: str) -> None:
    """A run begins so many seconds after it was accepted, and not before."""
    begun = time.monotonic()

    output = await client.runs.wait(thread_id, "echo", input={"said": "a"}, after_seconds=1)

    assert output == {"said": "a", "answered": "a"}
    assert time.monotonic() - begun >= 1


async def test_one_key_is_one_run(client: LangGraphClient, thread_id: str) -> None:
    """Two requests under one idempotency key are one run, also when the first of them asks by then."""
    headers = {"Idempotency-Key": str(uuid4())}

    first = await client.runs.create(thread_id, "asks", input={"topic": "x"}, headers=headers)
    await client.runs.join(thread_id, first["run_id"])
    second = await client.runs.create(thread_id, "asks", input={"topic": "x"}, headers=headers)

    assert first["run_id"] == second["run_id"]
    assert (await client.threads.get(thread_id))["status"] == "interrupted"


async def test_a_thread_knows_its_assistant(client: LangGraphClient, thread_id: str) -> None:
    """A thread is found by the graph and the assistant of its latest run."""
    run = await client.runs.create(thread_id, "echo", input={"said": "abc"})
    await client.runs.join(thread_id, run["run_id"])

    found = await client.threads.search(metadata={"assistant_id": run["assistant_id"]}, limit=100)

    assert thread_id in [each["thread_id"] for each in found]


async def test_an_assistants_settings_are_its_runs(client: LangGraphClient) -> None:
    """What an assistant is configured with holds for its runs."""
    assistant = await client.assistants.create("steps", config={"recursion_limit": 2})
    thread_id = (await client.threads.create())["thread_id"]

    told: Any = await client.runs.wait(
        thread_id, assistant["assistant_id"], input={"count": 9}, raise_error=False
    )

    assert told["__error__"]["error"] == "LimitReached"


async def test_a_thread_that_several_make(client: LangGraphClient) -> None:
    """Runs at once on a thread that is not there make it once, and each has its turn."""
    thread_id = str(uuid4())
    run = client.runs.wait

    told = await asyncio.gather(
        *(run(thread_id, "echo", input={"said": "ab"}, if_not_exists="create") for _ in range(30))
    )

    assert told == [{"said": "ab", "answered": "ba"}] * 30


async def test_nodes_know_their_assistant(client: LangGraphClient, thread_id: str) -> None:
    """Their configuration names it, as LangGraph's server does, whatever the client says."""
    config: Any = {"configurable": {"assistant_id": "other", "x": 1}}
    assistant = await client.assistants.create("echo")

    told = [
        part.data
        async for part in client.runs.stream(
            thread_id,
            assistant["assistant_id"],
            input={"said": "x"},
            config=config,
            stream_mode="checkpoints",
        )
        if part.event == "checkpoints"
    ]

    seen = told[-1]["config"]["configurable"]
    assert (seen["assistant_id"], seen["graph_id"], seen["x"]) == (
        assistant["assistant_id"],
        "echo",
        1,
    )


async def test_a_state_that_cannot_be_read(client: LangGraphClient, thread_id: str) -> None:
    """Who waits for a run that broke its own state gets its error, and not a broken answer."""
    await client.runs.wait(thread_id, "steps", input={"count": 1})
    command: Any = {"update": [["count", 1], ["count", 2]], "goto": "step"}

    told: Any = await client.runs.wait(thread_id, "steps", command=command, raise_error=False)

    assert told["__error__"]["error"] == "InvalidUpdateError"


async def test_a_part_of_what_is_asked(client: LangGraphClient, thread_id: str) -> None:
    """Who answers one of two questions is told what is still asked, and not what was answered."""
    asked: Any = await client.runs.wait(thread_id, "both", input={"topic": "x"})
    first, second = asked["__interrupt__"]

    left: Any = await client.runs.wait(thread_id, "both", command={"resume": {first["id"]: "one"}})
    told = await client.runs.wait(thread_id, "both", command={"resume": {second["id"]: "two"}})

    assert [each["id"] for each in left["__interrupt__"]] == [second["id"]]
    assert told == {"topic": "x", "answers": ["one", "two"]}


async def test_an_input_at_a_breakpoint(client: LangGraphClient, thread_id: str) -> None:
    """A run with an input, or from an older step, takes the place of one that stopped at a breakpoint."""
    stops: Any = {"input": {"count": 2}, "interrupt_before": "*"}
    await client.runs.wait(thread_id, "steps", **stops)
    begun = (await client.threads.get_history(thread_id))[0]["checkpoint"]

    anew = await client.runs.wait(thread_id, "steps", **stops)
    older = await client.runs.wait(thread_id, "steps", checkpoint=begun)

    assert anew == {"count": 2, "done": []}
    assert older == {"count": 2, "done": [0, 1]}


async def test_who_waits_is_told(client: LangGraphClient, thread_id: str) -> None:
    """An answer comes when the run has ended, and not at the next look of a poll."""
    await client.runs.wait(thread_id, "echo", input={"said": "a"})

    seconds = []
    for _ in range(10):
        begun = time.perf_counter()
        await client.runs.wait(thread_id, "echo", input={"said": "a"})
        seconds.append(time.perf_counter() - begun)

    assert sorted(seconds)[5] < 0.5


async def _begun(client: LangGraphClient, thread_id: str, run_id: str) -> None:
    """Wait until a run has taken its input, and its first node is at work."""
    async with asyncio.timeout(20):
        async for part in client.runs.join_stream(thread_id, run_id):
            if part.event == "values":
                break
