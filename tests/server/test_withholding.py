"""What a client may not set, reach, or make the server read."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from interlock.postgres.assistants import Assistant
from interlock.server.calling import call
from interlock.server.hooks import Policy
from interlock.server.mounting import Withheld
from interlock.server.orders import order
from interlock.server.requests import RunCreate

USER = {"langgraph_auth_user": {"identity": "root"}}


class Said(TypedDict):
    """What is said."""

    said: str


@pytest.mark.parametrize(
    ("said", "config"),
    [({"context": USER}, {}), ({"config": {"configurable": USER}}, {}), ({}, USER)],
)
def test_who_calls_is_nothing_that_a_client_says(
    said: dict[str, Any], config: dict[str, Any]
) -> None:
    """A graph that looks there for its caller finds nobody whom the caller chose."""
    graph = StateGraph(Said).add_node("echo", lambda state: state)
    compiled = graph.add_edge(START, "echo").add_edge("echo", END).compile()
    assistant = Assistant(
        assistant_id=uuid4(), graph="echo", config={"configurable": config}, context=config
    )
    request = RunCreate.model_validate({"assistant_id": "echo", "input": {"said": "x"}, **said})

    told = order(request, assistant, compiled).driving.configurable
    assert told.keys() == {"assistant_id", "graph_id"}


@pytest.mark.parametrize("how", ["", "/wait", "/stream"])
def test_a_thread_of_any_name(server: str, how: str) -> None:
    """A run says where it is also on a thread whose name no header could hold as it is."""
    body = {"assistant_id": "echo", "input": {"said": "x"}, "if_not_exists": "create"}

    begun = httpx.post(f"{server}/threads/%E2%82%AC%205/runs{how}", json=body)

    assert begun.status_code == 200
    assert begun.headers["content-location"].startswith("/threads/%E2%82%AC%205/runs/")


async def test_an_answer_without_end_is_not_read() -> None:
    """Who is told of a run's end is asked for a status; what it says behind that is left where it is."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx")
        await writer.drain()
        await reader.read()  # until the caller goes
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(5):
            await call(url, b"{}", {}, Policy(loopback=True), "")
            await gone.wait()


async def test_what_is_withheld_opens_no_websocket() -> None:
    """A path that is not served is not served over a WebSocket either."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it was opened")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/threads/x/stream/events", "headers": []}
    await Withheld(app, re.compile("/threads(/|$)"))(scope, receive, send)

    assert [each["type"] for each in sent] == ["websocket.close"]
