"""Assistants, as LangGraph's client makes, changes, finds and reads them."""

from __future__ import annotations

from langgraph_sdk.client import LangGraphClient

ECHO = "046b5dc7-2108-582c-9c6c-31d556d138f0"
"""What LangGraph's server calls the assistant of a graph named `echo`."""


async def test_each_graph_has_the_assistant_that_langgraph_gives_it(
    client: LangGraphClient,
) -> None:
    """Ids of default assistants that a client has stored stay true, and the graph's name is one of them."""
    by_id, by_name = await client.assistants.get(ECHO), await client.assistants.get("echo")

    assert by_id == by_name
    assert by_id["graph_id"] == by_id["name"] == "echo"
    assert by_id["metadata"] == {"created_by": "system"}
    assert by_id["version"] == 1
