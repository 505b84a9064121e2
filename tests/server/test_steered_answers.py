"""Answers that come with a command: what they open, and what asks then."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError


async def asked(client: LangGraphClient, thread_id: str) -> tuple[list[Any], list[str]]:
    """Return what a thread asks, and where it is to go on."""
    state = await client.threads.get_state(thread_id)
    return [each["value"] for each in state["interrupts"]], list(state["next"])


async def test_a_goto_to_a_node_that_asks(client: LangGraphClient) -> None:
    """An answer that leads to a node which asks opens its own question alone; the node's is asked then."""
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks", input={"topic": "x"})
    await client.runs.wait(thread_id, "asks", command={"resume": "a"})

    came: Any = await client.runs.wait(
        thread_id, "asks", command={"resume": "b", "goto": "ask", "update": {"topic": "y"}}
    )

    assert [each["value"] for each in came["__interrupt__"]] == [{"question": "What of y?"}]
    assert (await client.threads.get(thread_id))["status"] == "interrupted"
    assert await asked(client, thread_id) == ([{"question": "What of y?"}], ["ask"])
    went: Any = await client.runs.wait(thread_id, "asks", command={"resume": "c"})
    assert went["__interrupt__"][0]["value"] == "And now?"
    ended: Any = await client.runs.wait(thread_id, "asks", command={"resume": "d"})
    assert sorted(ended["answers"]) == ["a", "b", "c", "d"]
    assert (await client.threads.get(thread_id))["status"] == "idle"


async def test_an_answer_to_a_checkpoint(client: LangGraphClient) -> None:
    """A bare answer that names the checkpoint it was asked at is refused once the thread stands elsewhere."""
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks", input={"topic": "x"})
    first = (await client.threads.get_state(thread_id))["checkpoint"]
    await client.runs.wait(thread_id, "asks", command={"resume": "a"})

    for late in ({"checkpoint": first}, {"checkpoint_id": first["checkpoint_id"]}):
        with pytest.raises(ConflictError, match="gone on from the checkpoint"):
            await client.runs.create(thread_id, "asks", command={"resume": "late"}, **late)

    second = (await client.threads.get_state(thread_id))["checkpoint"]
    ended: Any = await client.runs.wait(
        thread_id, "asks", command={"resume": "b"}, checkpoint=second
    )
    assert ended["answers"] == ["a", "b"]
