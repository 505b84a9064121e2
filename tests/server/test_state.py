"""The states of threads, as LangGraph's client reads and writes them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import (
    BadRequestError,
    NotFoundError,
    UnprocessableEntityError,
)

import interlock
from tests.server.conftest import SAMPLE

Client = Any  # LangGraph's: its types know less of states than servers tell

EMPTY: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


async def asked(client: Client) -> str:
    """Return a thread that waits for its first answer."""
    thread: str = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "asks", input={"topic": "rain"})
    return thread


async def test_no_state_yet(client: Client) -> None:
    """A thread that has made no step has an empty state and no history, whether its graph is known or not."""
    for graph in ("asks", None):
        thread = (await client.threads.create(graph_id=graph))["thread_id"]

        assert await client.threads.get_state(thread) == EMPTY
        assert await client.threads.get_history(thread) == []


async def test_a_graph_that_there_is_not(client: Client) -> None:
    """A thread of a graph that this server does not have has a state that cannot be read; it is listed all the same."""
    thread = (await client.threads.create(graph_id="nothing"))["thread_id"]

    with pytest.raises(NotFoundError):
        await client.threads.get_state(thread)
    assert (await client.threads.get(thread))["metadata"] == {"graph_id": "nothing"}
    [found] = await client.threads.search(ids=[thread])
    assert found["thread_id"] == thread


async def test_a_state(client: Client) -> None:
    """A state says what is known, what comes next, what is asked, and where it stands."""
    thread = await asked(client)
    state = await client.threads.get_state(thread)
    [task] = state["tasks"]
    question = {"id": task["interrupts"][0]["id"], "value": {"question": "What of rain?"}}

    assert (state["values"], state["next"]) == ({"topic": "rain", "answers": []}, ["ask"])
    assert state["interrupts"] == [question]
    assert task == {
        "id": task["id"],
        "name": "ask",
        "path": ["__pregel_pull", "ask"],
        "error": None,
        "interrupts": [question],
        "checkpoint": None,
        "state": None,
        "result": None,
    }
    assert state["checkpoint"] == {
        "thread_id": thread,
        "checkpoint_ns": "",
        "checkpoint_id": state["checkpoint_id"],
    }
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"]
    assert (state["metadata"]["source"], state["metadata"]["step"]) == ("loop", 0)


async def test_a_failed_task(client: Client) -> None:
    """A task that failed says with what."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "fails", input={"said": "x"}, raise_error=False)

    [task] = (await client.threads.get_state(thread))["tasks"]

    assert task["error"] == "ValueError(\"cannot answer 'x'\")"


async def test_a_state_of_the_past(client: Client) -> None:
    """A state is read at a checkpoint, by either way to ask; a checkpoint that names none means the latest."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"count": 3})
    history = await client.threads.get_history(thread)
    second = history[2]

    by_id = await client.threads.get_state(thread, checkpoint_id=second["checkpoint_id"])
    by_place = await client.threads.get_state(thread, checkpoint=second["checkpoint"])
    latest = await client.threads.get_state(
        thread,
        checkpoint={"thread_id": thread, "checkpoint_ns": ""},
    )

    assert second["values"] == {"count": 3, "done": [0]}
    assert by_id == by_place == second
    assert latest == history[0]


async def test_a_checkpoint_of_another_thread(client: Client) -> None:
    """A checkpoint is looked for on the thread of the path, whatever thread it says it is of."""
    mine, other = await asked(client), await asked(client)
    theirs = (await client.threads.get_state(other))["checkpoint"]

    state = await client.threads.get_state(mine, checkpoint=theirs)

    assert (state["values"], state["checkpoint"]["thread_id"]) == ({}, mine)


async def test_a_checkpoint_that_there_is_not(client: Client) -> None:
    """A state at a checkpoint that is not there is empty, as LangGraph's server has it."""
    thread = await asked(client)

    state = await client.threads.get_state(thread, checkpoint_id="nothing")

    assert (state["values"], state["created_at"]) == ({}, None)


async def test_what_of_a_state_is_wanted(client: Client) -> None:
    """A client may ask for some fields, or for some values, alone."""
    thread = await asked(client)

    assert await client.threads.get_state(thread, select=["values.topic"]) == {
        "values": {"topic": "rain"}
    }
    assert await client.threads.get_state(thread, select=["next"]) == {"next": ["ask"]}
    [first] = await client.threads.get_history(thread, limit=1, select=["next", "values.no"])
    assert first == {"next": ["ask"], "values": {}}


async def test_subgraphs(client: Client) -> None:
    """A state shows what its subgraphs stand at, and their history is read by their namespace."""
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "nested", input={"count": 50, "seconds": 0.2})
    async with asyncio.timeout(10):
        while True:
            state = await client.threads.get_state(thread, subgraphs=True)
            if state["tasks"] and (inner := state["tasks"][0]["state"]) and inner["values"]:
                break
            await asyncio.sleep(0.05)
    namespace = inner["checkpoint"]["checkpoint_ns"]
    bare = await client.threads.get_state(thread)
    past = await client.threads.get_history(thread, checkpoint={"checkpoint_ns": namespace})
    at = await client.threads.get_state(thread, checkpoint=inner["checkpoint"])
    await client.runs.cancel(thread, run["run_id"], wait=True)

    assert namespace.startswith("inner:")
    assert (state["next"], inner["next"]) == (["inner"], ["step"])
    assert bare["tasks"][0]["state"] is None
    assert bare["tasks"][0]["checkpoint"] == {"thread_id": thread, "checkpoint_ns": namespace}
    assert {each["checkpoint"]["checkpoint_ns"] for each in past} == {namespace}
    assert at["values"] == inner["values"]


async def test_a_namespace_of_nothing(client: Client) -> None:
    """Nothing stands in a namespace that is of no subgraph, and nothing is written there."""
    thread = await asked(client)
    nowhere: Any = {"checkpoint_ns": "nowhere:1"}

    assert (await client.threads.get_state(thread, checkpoint=nowhere))["values"] == {}
    with pytest.raises(BadRequestError, match="nowhere"):
        await client.threads.update_state(thread, {"topic": "sun"}, checkpoint=nowhere)


async def test_history(client: Client) -> None:
    """A history comes newest first, in pages, from a checkpoint back, and by metadata."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"count": 4})

    async def steps(**given: Any) -> list[int]:
        found = await client.threads.get_history(thread, **given)
        return [each["metadata"]["step"] for each in found]

    history = await client.threads.get_history(thread)
    third = history[2]
    assert await steps() == [4, 3, 2, 1, 0, -1]
    assert await steps(limit=2) == [4, 3]
    assert await steps(limit=2, before=third["checkpoint"]) == [1, 0]
    assert await steps(before=third["checkpoint"]["checkpoint_id"]) == [1, 0, -1]
    assert await steps(metadata={"source": "input"}) == [-1]
    assert history[0]["parent_checkpoint"] == history[1]["checkpoint"]


def test_history_of_a_get(server: str, sync_client: Client) -> None:
    """A history is also read without a body."""
    thread = sync_client.threads.create()["thread_id"]
    sync_client.runs.wait(thread, "steps", input={"count": 2})
    first, second = sync_client.threads.get_history(thread)[:2]
    path = f"{server}/threads/{thread}/history"

    got = httpx.get(path, params={"limit": 1, "before": first["checkpoint"]["checkpoint_id"]})

    assert got.json() == [second]
    assert httpx.get(path, params={"limit": 0}).status_code == 422
    assert httpx.post(path, json={"limit": 1001}).status_code == 422


async def test_write(client: Client) -> None:
    """A written state is a checkpoint of its own, as if the node had written it; the thread goes on behind that."""
    thread = await asked(client)
    written = await client.threads.update_state(thread, {"answers": ["forced"]}, as_node="ask")
    state = await client.threads.get_state(thread)

    assert written["checkpoint"] == state["checkpoint"]
    assert (state["values"], state["next"]) == (
        {"topic": "rain", "answers": ["forced"]},
        ["ask_again"],
    )
    assert state["metadata"]["source"] == "update"
    last = await client.runs.wait(thread, "asks", input=None)
    assert last["__interrupt__"][0]["value"] == "And now?"


async def test_a_question_is_withdrawn(client: Client) -> None:
    """A question that waits was asked of another state: once the state is written it takes no answer."""
    thread = await asked(client)
    await client.threads.update_state(thread, {"topic": "sun"}, as_node="__start__")

    with pytest.raises(httpx.HTTPStatusError, match="409"):
        await client.runs.wait(thread, "asks", command={"resume": "old"})
    last = await client.runs.wait(thread, "asks", input=None)
    assert last["__interrupt__"][0]["value"] == {"question": "What of sun?"}


async def test_writes_at_once(client: Client) -> None:
    """Writes that come at once are made one after the other, and none is lost."""
    thread = (await client.threads.create(graph_id="steps"))["thread_id"]
    writes = [
        client.threads.update_state(thread, {"done": [number]}, as_node="step")
        for number in range(5)
    ]
    await asyncio.gather(*writes)

    assert sorted((await client.threads.get_state(thread))["values"]["done"]) == [0, 1, 2, 3, 4]


async def test_messages(client: Client) -> None:
    """Messages that are written as mappings become messages, each with an id."""
    thread = (await client.threads.create(graph_id="talker"))["thread_id"]
    said = {"messages": [{"role": "user", "content": "hello"}]}
    await client.threads.update_state(thread, said, as_node="__start__")
    [message] = (await client.threads.get_state(thread))["values"]["messages"]
    last = await client.runs.wait(thread, "talker", input=None)

    assert (message["type"], message["content"]) == ("human", "hello")
    assert message["id"]
    assert [each["type"] for each in last["messages"]] == ["human", "ai"]


async def test_the_end(client: Client) -> None:
    """`__end__` without values clears what was to run."""
    thread = await asked(client)
    await client.threads.update_state(thread, None, as_node="__end__")
    state = await client.threads.get_state(thread)

    assert (state["next"], state["interrupts"]) == ([], [])
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_a_copied_checkpoint(client: Client) -> None:
    """`__copy__` without values makes the latest checkpoint again, beside it."""
    thread = await asked(client)
    before = await client.threads.get_state(thread)
    await client.threads.update_state(thread, None, as_node="__copy__")
    after = await client.threads.get_state(thread)

    assert after["checkpoint_id"] != before["checkpoint_id"]
    assert after["parent_checkpoint"] == before["parent_checkpoint"]
    assert (after["values"], after["next"]) == (before["values"], before["next"])
    assert after["metadata"]["source"] == "fork"


async def test_write_to_the_past(client: Client) -> None:
    """What is written at an earlier checkpoint becomes the thread's latest state; what came later is not in it."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"count": 3})
    second = (await client.threads.get_history(thread))[2]

    await client.threads.update_state(
        thread, {"done": [7]}, as_node="step", checkpoint=second["checkpoint"]
    )
    by_place = await client.threads.get_state(thread)
    await client.threads.update_state(
        thread,
        {"done": [8]},
        as_node="step",
        checkpoint_id=second["checkpoint"]["checkpoint_id"],
    )
    by_id = await client.threads.get_state(thread)

    assert by_place["values"] == {"count": 3, "done": [0, 7]}
    assert by_place["parent_checkpoint"] == second["checkpoint"]
    assert by_id["values"] == {"count": 3, "done": [0, 8]}


async def test_go_on_from_the_past(client: Client) -> None:
    """A run without input goes on from the state that was written."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"count": 3})
    second = (await client.threads.get_history(thread))[2]
    await client.threads.update_state(
        thread, {"count": 2}, as_node="__start__", checkpoint=second["checkpoint"]
    )

    last = await client.runs.wait(thread, "steps", input=None)

    assert last == {"count": 2, "done": [0, 1]}


@pytest.mark.parametrize(
    ("values", "node", "why"),
    [
        ({"answers": ["x"]}, "nowhere", "nowhere"),
        ([{"topic": "sun"}], "ask", "Expected dict"),
        ({"answers": 7}, "ask", "can only concatenate list"),
        (None, "__input__", "no input writes"),
    ],
)
async def test_what_does_not_fit(client: Client, values: Any, node: str, why: str) -> None:
    """What the graph does not take is refused, and nothing is changed."""
    thread = await asked(client)
    before = await client.threads.get_state(thread)

    with pytest.raises(BadRequestError, match=why):
        await client.threads.update_state(thread, values, as_node=node)
    assert await client.threads.get_state(thread) == before


async def test_no_graph(client: Client) -> None:
    """A thread without a graph has no state to write; once its metadata names one it has."""
    thread = (await client.threads.create())["thread_id"]

    with pytest.raises(BadRequestError, match="has no graph yet"):
        await client.threads.update_state(thread, {"said": "x"})
    await client.threads.update(thread, metadata={"graph_id": "echo"})
    await client.threads.update_state(thread, {"said": "x"}, as_node="__start__")
    assert (await client.threads.get_state(thread))["values"] == {"said": "x"}


def test_a_state_that_is_none(server: str, sync_client: Client) -> None:
    """Values are an object, a list, or nothing."""
    thread = sync_client.threads.create(graph_id="echo")["thread_id"]

    with pytest.raises(UnprocessableEntityError):
        sync_client.threads.update_state(thread, "text")
    sync_client.threads.update_state(thread, {"said": "x"}, as_node="__start__")
    assert sync_client.threads.get_state(thread)["next"] == ["echo"]


async def test_a_failed_run_goes_on_from_what_was_written(
    client: Client, server_database: str
) -> None:
    """A run that failed is resumed from the state that was written since, and does not begin anew."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "fails", input={"said": "x"}, raise_error=False)
    await client.threads.update_state(thread, {"answered": "by hand"}, as_node="fail")

    async with interlock.aopen(server_database, config=SAMPLE) as il:
        run = await il.aresume(thread)

    assert (run.status, run.output) == ("succeeded", {"said": "x", "answered": "by hand"})
