"""Who looks on at a thread is told when its state is written from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import UnprocessableEntityError


async def told(
    client: LangGraphClient, thread_id: str, mode: Any, after: str | None = "-"
) -> AsyncIterator[Any]:
    """Return what the client is told of a thread."""
    return await client.threads.join_stream(thread_id, stream_mode=mode, last_event_id=after)


async def first(parts: AsyncIterator[Any], event: str) -> Any:
    """Return the first part of a name."""
    async with asyncio.timeout(20):
        async for part in parts:
            if part.event == event:
                return part
    raise AssertionError("it ended")


async def test_a_written_state_is_told(client: LangGraphClient) -> None:
    """Each write of a state is told once, with the state as it was then, in the order of the writes."""
    thread_id = (await client.threads.create(graph_id="echo"))["thread_id"]
    for said in ("a", "b"):
        await client.threads.update_state(thread_id, {"said": said}, as_node="__start__")

    parts = await told(client, thread_id, "state_update")
    found = [await first(parts, "state_update") for _ in range(2)]

    states = [each.data["state"] for each in found]
    assert [each["values"] for each in states] == [{"said": "a"}, {"said": "b"}]
    assert [each["next"] for each in states] == [["echo"], ["echo"]]
    assert states[1]["parent_checkpoint_id"] == states[0]["checkpoint_id"]
    assert {each.data["thread_id"] for each in found} == {thread_id}
    assert found[0].id < found[1].id


async def test_it_is_told_at_once(client: LangGraphClient) -> None:
    """Who looks on from now on is told when it happens, also on a thread whose name has spaces."""
    for name in (None, "a thread of ours"):
        made = await client.threads.create(graph_id="echo", thread_id=name, if_exists="do_nothing")
        parts = await told(client, made["thread_id"], ["state_update", "run_modes"], None)
        waiting = asyncio.create_task(first(parts, "state_update"))
        await asyncio.sleep(0.3)  # until it listens
        async with asyncio.timeout(5):
            await client.threads.update_state(
                made["thread_id"], {"said": "now"}, as_node="__start__"
            )
            part = await waiting

        assert part.data["state"]["values"] == {"said": "now"}


async def test_only_who_asked_is_told(client: LangGraphClient) -> None:
    """Without the mode a write is not told, and with it alone nothing else is."""
    thread_id = (await client.threads.create(graph_id="echo"))["thread_id"]
    await client.threads.update_state(thread_id, {"said": "a"}, as_node="__start__")
    run = await client.runs.create(thread_id, "echo", input={"said": "b"})
    await client.runs.join(thread_id, run["run_id"])
    await client.threads.update_state(thread_id, {"said": "c"}, as_node="__start__")

    seen: dict[str, list[str]] = {"run_modes": [], "state_update": []}
    for mode, events in seen.items():
        async with asyncio.timeout(20):
            async for part in await told(client, thread_id, mode):
                events.append(part.event)
                if len(events) == (2 if mode == "state_update" else 3):
                    break

    assert seen["state_update"] == ["state_update", "state_update"]
    assert "state_update" not in seen["run_modes"]


async def test_a_mode_of_the_other_protocol(client: LangGraphClient) -> None:
    """`lifecycle` is refused where it would tell nothing: only thread streams of version 3 have it."""
    mode: Any = "lifecycle"
    with pytest.raises(UnprocessableEntityError, match="stream_mode"):
        await client.runs.create(None, "echo", input={}, stream_mode=mode)
    with pytest.raises(UnprocessableEntityError, match="stream_mode"):
        await client.crons.create("echo", schedule="0 0 1 1 *", input={}, stream_mode=mode)
