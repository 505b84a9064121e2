"""Runs on threads of their own, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError
from langgraph_sdk.schema import RunCreateMetadata


@pytest.fixture
async def http(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows statuses and headers."""
    async with httpx.AsyncClient(base_url=server, timeout=30) as http:
        yield http


async def test_a_run_needs_no_thread(client: LangGraphClient) -> None:
    """A run without a thread gets one of its own, and returns its output."""
    output = await client.runs.wait(None, "echo", input={"said": "abc"})

    assert output == {"said": "abc", "answered": "cba"}


def test_the_synchronous_client_needs_none(sync_client: SyncLangGraphClient) -> None:
    """The synchronous client runs without a thread, too."""
    output = sync_client.runs.wait(None, "echo", input={"said": "abc"})

    assert output == {"said": "abc", "answered": "cba"}


async def test_it_leaves_nothing_behind(client: LangGraphClient) -> None:
    """The thread of a run without one is removed when it has ended."""
    run = await client.runs.create(None, "echo", input={"said": "abc"})
    await client.runs.join(run["thread_id"], run["run_id"])

    await _gone(client, run["thread_id"])


async def test_it_is_kept_when_asked_to(client: LangGraphClient) -> None:
    """With `on_completion` its thread stays, with its state."""
    told: list[RunCreateMetadata] = []

    await client.runs.wait(
        None, "echo", input={"said": "abc"}, on_completion="keep", on_run_created=told.append
    )
    thread_id = told[0]["thread_id"]

    assert thread_id is not None
    state = await client.threads.get_state(thread_id)
    assert state["values"] == {"said": "abc", "answered": "cba"}


async def test_its_address_names_no_thread(http: httpx.AsyncClient) -> None:
    """A run that is made without a thread says where it is without one."""
    answer = await http.post("/runs", json={"assistant_id": "echo", "input": {"said": "abc"}})

    assert answer.headers["Content-Location"] == f"/runs/{answer.json()['run_id']}"


async def test_a_batch_is_made_in_its_order(client: LangGraphClient) -> None:
    """Several runs are made by one request, each on a thread of its own."""
    asked: Any = [{"assistant_id": "echo", "input": {"said": each}} for each in "abc"]

    runs: Any = await client.runs.create_batch(asked)

    assert [run["kwargs"]["input"]["said"] for run in runs] == ["a", "b", "c"]
    assert len({run["thread_id"] for run in runs}) == 3


async def test_a_batch_is_made_whole_or_not_at_all(client: LangGraphClient) -> None:
    """When one request of a batch means nothing, none of it is accepted."""
    thread_id = (await client.threads.create())["thread_id"]
    asked: Any = [
        {"assistant_id": "echo", "input": {}, "thread_id": thread_id},
        {"assistant_id": "nonsense", "input": {}},
    ]

    with pytest.raises(NotFoundError):
        await client.runs.create_batch(asked)

    assert await client.runs.list(thread_id) == []


async def test_there_is_nothing_to_resume(http: httpx.AsyncClient) -> None:
    """A run without a thread can answer nothing."""
    body = {"assistant_id": "asks", "command": {"resume": "yes"}}

    answer = await http.post("/runs/wait", json=body)

    assert answer.status_code == 422


async def test_a_question_keeps_its_thread(client: LangGraphClient) -> None:
    """The thread of a run that asks a person stays until it was answered and the run has ended."""
    told: list[RunCreateMetadata] = []
    await client.runs.wait(None, "asks", input={"topic": "x"}, on_run_created=told.append)
    thread_id = told[0]["thread_id"]
    assert thread_id is not None

    await client.runs.wait(thread_id, "asks", command={"resume": "a"})
    ended = await client.runs.wait(thread_id, "asks", command={"resume": "b"})

    assert ended == {"topic": "x", "answers": ["a", "b"]}
    with pytest.raises(ConflictError):
        await client.runs.create(thread_id, "asks", command={"resume": "c"})
    await _gone(client, thread_id)


async def _gone(client: LangGraphClient, thread_id: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.threads.get(thread_id)
            except NotFoundError:
                return
            await asyncio.sleep(0.2)  # the server tells nobody of it
