"""Agent Protocol's own paths, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

ECHO = "046b5dc7-2108-582c-9c6c-31d556d138f0"


@pytest.fixture
async def http(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the protocol."""
    async with httpx.AsyncClient(base_url=server, timeout=30) as http:
        yield http


async def test_agents_are_assistants(http: httpx.AsyncClient) -> None:
    """Agents are found, by name and by id, with what they can."""
    found = (await http.post("/agents/search", json={"limit": 100})).json()
    named = (await http.post("/agents/search", json={"name": "talk"})).json()
    echo = (await http.get(f"/agents/{ECHO}")).json()

    assert {each["name"] for each in found} >= {"echo", "talker", "asks"}
    assert [each["capabilities"]["ap.io.messages"] for each in named] == [True]
    assert (echo["agent_id"], echo["name"]) == (ECHO, "echo")
    assert echo["capabilities"]["ap.io.messages"] is False
    assert (await http.get("/agents/nonsense")).status_code == 404


async def test_an_agent_has_schemas(http: httpx.AsyncClient) -> None:
    """What goes in and comes out of an agent is described."""
    described = (await http.get("/agents/echo/schemas")).json()

    assert described["agent_id"] == ECHO
    assert set(described["input_schema"]["properties"]) == {"said", "answered"}
    assert set(described["output_schema"]["properties"]) == {"said", "answered"}


async def test_an_agent_is_waited_for(http: httpx.AsyncClient) -> None:
    """Who waits for an agent gets the run, its values and its messages."""
    body = {
        "agent_id": "talker",
        "messages": [{"role": "user", "content": "Is all well?"}],
        "on_completion": "keep",
    }

    came = (await http.post("/runs/wait", json=body)).json()

    assert came["run"]["status"] == "success"
    assert [(each["role"], each["content"]) for each in came["messages"]] == [
        ("user", "Is all well?"),
        ("assistant", "All is well that ends well."),
    ]
    assert len(came["values"]["messages"]) == 2


async def test_a_run_is_found_by_its_id(http: httpx.AsyncClient) -> None:
    """A run is made, got, waited for, searched for, streamed and deleted by its id alone."""
    body = {"agent_id": "echo", "input": {"said": "abc"}, "metadata": {"who": "ap"}}
    body["on_completion"] = "keep"

    made = (await http.post("/runs", json=body)).json()
    at = f"/runs/{made['run_id']}"
    came = (await http.get(f"{at}/wait")).json()
    got = (await http.get(at)).json()
    found = (await http.post("/runs/search", json={"metadata": {"who": "ap"}})).json()
    streamed = await http.get(f"{at}/stream")
    deleted = await http.delete(at)

    assert made["agent_id"] == ECHO
    assert came["values"] == {"said": "abc", "answered": "cba"}
    assert came["run"] == got
    assert [each["run_id"] for each in found] == [made["run_id"]]
    assert "cba" in streamed.text
    assert deleted.status_code == 204
    assert (await http.get(at)).status_code == 404


async def test_a_run_is_cancelled_by_its_id(http: httpx.AsyncClient) -> None:
    """A run is stopped by its id, and cannot be stopped again."""
    body = {"agent_id": "steps", "input": {"count": 100, "seconds": 0.1}, "on_completion": "keep"}
    at = f"/runs/{(await http.post('/runs', json=body)).json()['run_id']}"

    stopped = await http.post(f"{at}/cancel", params={"wait": True})

    assert stopped.status_code == 200
    assert (await http.get(at)).json()["status"] == "interrupted"
    assert (await http.post(f"{at}/cancel")).status_code == 404


async def test_a_run_streams_on_its_thread(http: httpx.AsyncClient) -> None:
    """A run that names its thread in its body is one of that thread."""
    thread_id = (await http.post("/threads", json={})).json()["thread_id"]
    body = {"agent_id": "echo", "input": {"said": "abc"}, "thread_id": thread_id}

    streamed = await http.post("/runs/stream", json=body)

    assert "cba" in streamed.text
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    assert state["values"] == {"said": "abc", "answered": "cba"}
