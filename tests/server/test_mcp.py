"""Graphs as tools, with the Model Context Protocol's own client."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent

from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.server.documents_runs import outward
from tests.server.conftest import serving
from tests.server.sample.graphs import ANSWER

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

ACCEPT = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def introduced(server: str) -> AsyncIterator[ClientSession]:
    """Give a client that has introduced itself; it must end in the task in which it began."""
    async with (
        streamable_http_client(f"{server}/mcp/") as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def test_each_graph_is_a_tool(server: str) -> None:
    """Its name is the graph's, and its arguments are the graph's input."""
    async with introduced(server) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}

    assert {"echo", "talker", "asks", "steps", "nested", "fails"} <= set(tools)
    assert set(tools["asks"].input_schema["properties"]) == {"topic", "answers"}
    assert tools["talker"].input_schema["required"] == ["messages"]


async def test_a_call_is_a_run(server: str) -> None:
    """The output of the graph comes back as text and as it is."""
    async with introduced(server) as session:
        came = await session.call_tool("echo", {"said": "abc"})

    assert not came.is_error
    assert came.structured_content == {"said": "abc", "answered": "cba"}
    assert json.loads(text_of(came)) == came.structured_content


def text_of(came: Any) -> str:  # the result of a call
    """Return what a call said."""
    assert [type(each) for each in came.content] == [TextContent]
    return str(came.content[0].text)


async def test_messages_come_back(server: str) -> None:
    """A conversation goes in and comes out as JSON."""
    async with introduced(server) as session:
        came = await session.call_tool("talker", {"messages": [{"role": "user", "content": "hi"}]})

    assert came.structured_content is not None
    assert came.structured_content["messages"][-1]["content"] == ANSWER


async def test_a_failure_is_an_error_of_the_tool(server: str) -> None:
    """It says what kind of error it was, and where more is told; what an exception says may hold anything."""
    async with introduced(server) as session:
        came = await session.call_tool("fails", {"said": "a secret"})

    assert came.is_error
    assert re.fullmatch(
        r"Run [0-9a-f-]{36} failed: ValueError\. What it says is shown where the run is\.",
        text_of(came),
    )


def test_an_error_of_ours_says_what_failed() -> None:
    """What Interlock itself refuses is told as it is."""
    failed = {"error": "LimitReached", "message": "The graph used up its 25 steps."}

    assert outward(failed, "r") == "LimitReached: The graph used up its 25 steps."


async def test_a_question_is_told_as_one(server: str, client: LangGraphClient) -> None:
    """It says what is asked and where, and the thread waits there for its answer."""
    async with introduced(server) as session:
        came = await session.call_tool("asks", {"topic": "tea"})

    told = came.structured_content
    assert told is not None
    assert not came.is_error
    assert told["status"] == "interrupted"
    assert [each["value"] for each in told["interrupts"]] == [{"question": "What of tea?"}]
    assert "What of tea?" in text_of(came)
    again: Any = await client.runs.wait(told["thread_id"], "asks", command={"resume": "green"})
    assert again["answers"] == ["green"]


async def test_what_is_no_input_is_an_error_of_the_tool(server: str) -> None:
    """The graph refuses it, and the model hears why."""
    async with introduced(server) as session:
        came = await session.call_tool("talker", {"messages": 7})

    assert came.is_error
    assert text_of(came)


async def test_a_tool_that_is_not_there(server: str) -> None:
    """Is an error of the protocol."""
    async with introduced(server) as session:
        with pytest.raises(MCPError, match="There is no tool 'nobody'"):
            await session.call_tool("nobody", {})


async def test_an_assistant_is_a_tool_of_its_own(server: str, client: LangGraphClient) -> None:
    """Its name is made of what a tool's name may have."""
    made = await client.assistants.create("echo", name="My echo!", description="Says it backwards.")
    name = f"My_echo_-{made['assistant_id'][:8]}"

    async with introduced(server) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        came = await session.call_tool(name, {"said": "ab"})

    assert tools[name].description == "Says it backwards."
    assert came.structured_content == {"said": "ab", "answered": "ba"}


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_it_is_there_with_and_without_a_slash(server: str, path: str) -> None:
    """A request stands alone: no session was begun."""
    answer = httpx.post(server + path, json=LIST, headers=ACCEPT)

    assert answer.status_code == 200
    assert len(answer.json()["result"]["tools"]) >= 6


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_are_no_sessions(server: str, method: str) -> None:
    """As the protocol has it for servers without."""
    answer = httpx.request(method, f"{server}/mcp/")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_it_takes_the_right_to_run(server_database: str) -> None:
    """Who may only look is refused, and who is unknown, too."""
    async with open_pool(server_database, size=1) as pool:
        viewer = (await KeyStore(pool).create("looks", ["viewer"])).secret
        operator = (await KeyStore(pool).create("runs", ["operator"])).secret
    with serving(server_database) as address:
        async with httpx.AsyncClient(base_url=address, headers=ACCEPT) as client:
            seen, run = [
                await client.post("/mcp/", json=LIST, headers={"x-api-key": key})
                for key in (viewer, operator)
            ]

    assert (seen.status_code, run.status_code) == (403, 200)
