"""Agent Chat UI and Agent Inbox: the requests that these applications send, in the order in which they do.

Both are pages that use LangGraph's JavaScript client; what is sent here is what that client makes of their calls.
"""

from __future__ import annotations

import json
from ast import literal_eval
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.server.sample.graphs import ANSWER

PAGE = {"origin": "http://localhost:3000"}


@pytest.fixture
async def page(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """What a page sends that this machine serves."""
    async with httpx.AsyncClient(base_url=server, headers=PAGE, timeout=20) as http:
        yield http


async def streamed(page: httpx.AsyncClient, thread_id: str, body: Any) -> list[tuple[str, Any]]:
    """Return the events of a run that a page streams."""
    answer = await page.post(f"/threads/{thread_id}/runs/stream", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-location"].startswith(f"/threads/{thread_id}/runs/")
    found, event = [], ""
    for line in answer.text.splitlines():
        name, _, rest = line.partition(": ")
        if name == "event":
            event = rest
        elif name == "data":
            found.append((event, json.loads(rest)))
    return found


async def thread(page: httpx.AsyncClient) -> str:
    """Return a thread that a page made."""
    return str((await page.post("/threads", json={"metadata": {}})).json()["thread_id"])


async def test_a_page_may_call(page: httpx.AsyncClient) -> None:
    """The browser asks first; it may read where a run is."""
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    allowed = await page.options("/threads", headers=asked)
    answer = await page.get("/info")

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] in ("*", PAGE["origin"])
    assert "content-location" in answer.headers["access-control-expose-headers"].lower()


async def test_a_chat(page: httpx.AsyncClient) -> None:
    """Agent Chat UI streams a turn, lists the threads of its graph, and reads the history of one that is opened."""
    thread_id = await thread(page)
    message = {"id": "m1", "type": "human", "content": [{"type": "text", "text": "hi"}]}

    told = await streamed(
        page,
        thread_id,
        {
            "input": {"messages": [message]},
            "assistant_id": "talker",
            "stream_mode": ["values", "messages-tuple", "custom"],
            "stream_subgraphs": True,
            "stream_resumable": True,
            "on_disconnect": "continue",
        },
    )
    listed = await page.post(
        "/threads/search", json={"metadata": {"graph_id": "talker"}, "limit": 100, "offset": 0}
    )
    history = await page.post(f"/threads/{thread_id}/history", json={"limit": 100})

    events = [event for event, _ in told]
    said = [data[0]["content"] for event, data in told if event == "messages"]
    assert events[0] == "metadata"
    assert "".join(said) == ANSWER
    assert told[-1][1] is None or told[-1][0] == "values"
    mine = next(each for each in listed.json() if each["thread_id"] == thread_id)
    assert mine["values"]["messages"][0]["content"] == message["content"]
    assert history.json()[0]["values"]["messages"][-1]["content"] == ANSWER
    assert history.json()[0]["checkpoint"]["checkpoint_id"]


async def test_a_chat_that_is_edited(page: httpx.AsyncClient) -> None:
    """Agent Chat UI sends a changed message from the checkpoint before it: the other branch stays in the history."""
    thread_id = await thread(page)
    body: dict[str, Any] = {"assistant_id": "talker", "stream_mode": ["values"]}
    await streamed(page, thread_id, {**body, "input": {"messages": [said("one")]}})
    history = (await page.post(f"/threads/{thread_id}/history", json={"limit": 10})).json()
    first = next(each for each in history if len(each["values"]["messages"]) == 1)

    await streamed(
        page,
        thread_id,
        {
            **body,
            "input": {"messages": [said("other")]},
            "checkpoint": first["parent_checkpoint"],
        },
    )

    state = (await page.get(f"/threads/{thread_id}/state")).json()
    assert [each["content"] for each in state["values"]["messages"]] == ["other", ANSWER]


def said(text: str) -> dict[str, str]:
    """Return what a person says."""
    return {"type": "human", "content": text}


async def test_an_interrupt_in_a_chat(page: httpx.AsyncClient) -> None:
    """Agent Chat UI finds the interrupt in the state, and resumes with whatever the person said."""
    thread_id = await thread(page)
    body = {"assistant_id": "asks", "stream_mode": ["values"]}

    told = await streamed(page, thread_id, {**body, "input": {"topic": "tea"}})
    state = (await page.get(f"/threads/{thread_id}/state")).json()
    again = await streamed(page, thread_id, {**body, "command": {"resume": "green"}})

    assert [each for event, each in told if event == "values"][-1]["__interrupt__"][0]["value"] == {
        "question": "What of tea?"
    }
    assert state["next"] == ["ask"]
    assert state["tasks"][0]["interrupts"][0]["value"] == {"question": "What of tea?"}
    assert [each for event, each in again if event == "values"][-1]["answers"] == ["green"]


async def test_an_inbox(page: httpx.AsyncClient, client: LangGraphClient) -> None:
    """Agent Inbox lists what waits, with its interrupts, and answers with a list, as it does for each thread."""
    thread_id = await thread(page)
    await client.runs.wait(thread_id, "asks", input={"topic": "tea"})

    listed = await page.post(
        "/threads/search",
        json={
            "status": "interrupted",
            "metadata": {"graph_id": "asks"},
            "limit": 100,
            "offset": 0,
        },
    )
    mine = next(each for each in listed.json() if each["thread_id"] == thread_id)
    answer = await page.post(
        f"/threads/{thread_id}/runs",
        json={
            "assistant_id": "asks",
            "command": {"resume": [{"type": "response", "args": "green"}]},
        },
    )
    await page.get(f"/threads/{thread_id}/runs/{answer.json()['run_id']}/join")

    [interrupts] = mine["interrupts"].values()
    assert mine["status"] == "interrupted"
    assert interrupts[0]["value"] == {"question": "What of tea?"}
    state = (await page.get(f"/threads/{thread_id}/state")).json()
    assert [literal_eval(each) for each in state["values"]["answers"]] == [
        [{"type": "response", "args": "green"}]
    ]


async def test_an_inbox_ignores_a_thread(page: httpx.AsyncClient, client: LangGraphClient) -> None:
    """Agent Inbox ends a thread by writing nothing as its end: it asks no more."""
    thread_id = await thread(page)
    await client.runs.wait(thread_id, "asks", input={"topic": "tea"})

    answer = await page.post(
        f"/threads/{thread_id}/state", json={"values": None, "as_node": "__end__"}
    )

    state = (await page.get(f"/threads/{thread_id}/state")).json()
    found = (await page.get(f"/threads/{thread_id}")).json()
    assert answer.status_code == 200
    assert state["next"] == []
    assert found["status"] == "idle"
    assert found["interrupts"] == {}
