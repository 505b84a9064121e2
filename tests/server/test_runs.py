"""Runs as LangGraph's client makes and follows them, against a real server."""

from __future__ import annotations

from langgraph_sdk.client import LangGraphClient


async def test_wait_returns_the_output(client: LangGraphClient) -> None:
    """Who waits for a run gets its output."""
    thread = await client.threads.create()

    output = await client.runs.wait(thread["thread_id"], "echo", input={"said": "abc"})

    assert output == {"said": "abc", "answered": "cba"}
