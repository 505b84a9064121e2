"""How a thread stands after a run of it was stopped, as LangGraph's server tells it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient


async def stands(client: LangGraphClient, thread_id: str) -> str:
    """Return a thread's status, which a search and a count must confirm."""
    status: Any = (await client.threads.get(thread_id))["status"]
    found = await client.threads.search(ids=[thread_id], status=status)
    assert [each["thread_id"] for each in found] == [thread_id]
    metadata = {"tag": thread_id}
    await client.threads.update(thread_id, metadata=metadata)
    assert await client.threads.count(metadata=metadata, status=status) == 1
    return str(status)


async def begun(client: LangGraphClient, thread_id: str) -> str:
    """Start a run of many steps, and return its id once it has made one."""
    given = {"count": 1000, "seconds": 0.05}
    run = await client.runs.create(thread_id, "steps", input=given, stream_mode="updates")
    async with asyncio.timeout(20):
        async for part in client.runs.join_stream(thread_id, run["run_id"]):
            if part.event == "updates":
                break
    return run["run_id"]


async def until_running(client: LangGraphClient, thread_id: str, run_id: str) -> None:
    """Return once a run is at work."""
    async with asyncio.timeout(20):
        while (await client.runs.get(thread_id, run_id))["status"] != "running":  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.05)


async def test_in_the_middle(client: LangGraphClient) -> None:
    """A thread whose run was stopped between two nodes is interrupted, and goes on from there."""
    thread_id = (await client.threads.create())["thread_id"]
    run_id = await begun(client, thread_id)

    await client.runs.cancel(thread_id, run_id, wait=True)

    assert await stands(client, thread_id) == "interrupted"
    state = await client.threads.get_state(thread_id)
    # `next` leaves it out where it was stopped between what the node wrote and the checkpoint.
    assert [each["name"] for each in state["tasks"]] == ["step"]
    await client.threads.update_state(thread_id, {"count": 1}, as_node="__start__")
    await client.runs.wait(thread_id, "steps", input=None)
    assert await stands(client, thread_id) == "idle"


async def test_before_it_began(client: LangGraphClient) -> None:
    """A run that had not begun leaves its thread as it was."""
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "echo", input={"said": "a"}, after_seconds=600)

    await client.runs.cancel(thread_id, run["run_id"])

    assert await stands(client, thread_id) == "idle"


async def test_undone(client: LangGraphClient) -> None:
    """What was rolled back leaves nothing that is to run."""
    thread_id = (await client.threads.create())["thread_id"]
    run_id = await begun(client, thread_id)

    await client.runs.cancel(thread_id, run_id, wait=True, action="rollback")

    assert await stands(client, thread_id) == "idle"


async def test_in_another_one_s_place(client: LangGraphClient) -> None:
    """A run that stopped another and came to its end leaves nothing that is to run."""
    thread_id = (await client.threads.create())["thread_id"]
    await begun(client, thread_id)

    await client.runs.wait(
        thread_id, "steps", input={"count": 1, "seconds": 0.0}, multitask_strategy="interrupt"
    )

    assert await stands(client, thread_id) == "idle"


async def test_while_it_asked(client: LangGraphClient) -> None:
    """A thread whose question was withdrawn is interrupted still: what goes on asks anew."""
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks", input={"topic": "x"})
    (run,) = await client.runs.list(thread_id)

    await client.runs.cancel(thread_id, run["run_id"])

    assert await stands(client, thread_id) == "interrupted"
    asked: Any = await client.runs.wait(thread_id, "asks", input=None)
    assert asked["__interrupt__"][0]["value"] == {"question": "What of x?"}


@pytest.mark.parametrize("writes", [False, True])
async def test_where_it_only_went_on(client: LangGraphClient, writes: bool) -> None:
    """A run without an input that is stopped before it made a checkpoint leaves what it was to run."""
    thread_id = (await client.threads.create())["thread_id"]
    first = await begun(client, thread_id)
    await client.runs.cancel(thread_id, first, wait=True)
    if writes:
        await client.threads.update_state(thread_id, {"seconds": 30.0})

    run = await client.runs.create(thread_id, "steps", input=None)
    await until_running(client, thread_id, run["run_id"])
    await client.runs.cancel(thread_id, run["run_id"], wait=True)

    assert await stands(client, thread_id) == "interrupted"
    found = await client.threads.search(ids=[thread_id], status="interrupted")
    assert [each["thread_id"] for each in found] == [thread_id]
