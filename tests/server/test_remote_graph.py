"""`RemoteGraph`, LangGraph's own class for a graph behind a server: alone, and as a node of another graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command, StreamMode
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from tests.server.sample.graphs import ANSWER, Asked, Echo, Talk


@pytest.fixture
def config() -> RunnableConfig:
    """A thread of its own, which the first run makes."""
    return {"configurable": {"thread_id": str(uuid4())}}


Remote = Callable[[str], RemoteGraph]


@pytest.fixture
def remote(client: LangGraphClient, sync_client: SyncLangGraphClient) -> Remote:
    """Return what gives a graph that the server runs."""
    return partial(RemoteGraph, client=client, sync_client=sync_client)


async def test_it_is_invoked(remote: Remote) -> None:
    """Both ways, without a thread: the output of the graph comes back."""
    graph = remote("echo")

    assert await graph.ainvoke({"said": "abc"}) == {"said": "abc", "answered": "cba"}


def test_it_is_invoked_without_asyncio(remote: Remote) -> None:
    """As above."""
    assert remote("echo").invoke({"said": "abc"}) == {"said": "abc", "answered": "cba"}


async def test_it_streams_modes_and_subgraphs(remote: Remote) -> None:
    """Each part has its path, its mode and its data, as a local graph gives them."""
    modes: list[StreamMode] = ["values", "updates", "custom"]
    parts = [
        part
        async for part in remote("nested").astream({"count": 1}, stream_mode=modes, subgraphs=True)
    ]

    told = [(tuple(name.partition(":")[0] for name in path), mode) for path, mode, _ in parts]
    assert ((), "values") in told
    assert (("inner",), "custom") in told
    assert (("inner",), "updates") in told
    assert parts[-1] == ((), "values", {"count": 1, "done": [0, 1]})


async def test_it_streams_messages(remote: Remote) -> None:
    """A model's words come one by one."""
    said: list[Any] = [  # messages, each with what is known about it
        part
        async for part in remote("talker").astream(
            {"messages": [{"role": "user", "content": "hi"}]}, stream_mode="messages"
        )
    ]

    assert "".join(message["content"] for message, _ in said) == ANSWER
    assert len(said) > 5


async def test_it_tells_its_state(
    remote: Remote, client: LangGraphClient, config: RunnableConfig
) -> None:
    """State and history are snapshots; state can be changed, and is read at an earlier checkpoint."""
    await made(client, config)
    graph = remote("echo")
    await graph.ainvoke({"said": "abc"}, config)
    before = await graph.aget_state(config)

    await graph.aupdate_state(config, {"answered": "other"}, as_node="echo")

    after = await graph.aget_state(config)
    history = [each async for each in graph.aget_state_history(config)]
    assert before.values == {"said": "abc", "answered": "cba"}
    assert before.next == ()
    assert after.values["answered"] == "other"
    assert [each.values.get("answered") for each in history][:2] == ["other", "cba"]
    assert (await graph.aget_state(before.config)).values == before.values


async def made(client: LangGraphClient, config: RunnableConfig) -> None:
    """Make the thread that a config names."""
    await client.threads.create(thread_id=config["configurable"]["thread_id"])


async def test_it_asks_and_is_answered(
    remote: Remote, client: LangGraphClient, config: RunnableConfig
) -> None:
    """An interrupt is told as a local graph tells it, and a command answers it."""
    await made(client, config)
    graph = remote("asks")

    asked = await graph.ainvoke({"topic": "tea"}, config)
    waiting = await graph.aget_state(config)
    again = await graph.ainvoke(Command(resume="green"), config)
    done = await graph.ainvoke(Command(resume="black"), config)

    assert [each["value"] for each in asked["__interrupt__"]] == [{"question": "What of tea?"}]
    assert waiting.next == ("ask",)
    assert [each.value for each in waiting.tasks[0].interrupts] == [{"question": "What of tea?"}]
    assert [each["value"] for each in again["__interrupt__"]] == ["And now?"]
    assert done["answers"] == ["green", "black"]


async def test_what_fails_raises(remote: Remote) -> None:
    """The error says what failed."""
    with pytest.raises(RemoteException, match="cannot answer 'q'"):
        await remote("fails").ainvoke({"said": "q"})


async def test_it_is_a_node_of_another_graph(remote: Remote) -> None:
    """What the outer graph hands in comes back in its state, and what the remote says is heard outside."""
    outer = (
        StateGraph(Talk)
        .add_node("far", remote("talker"))
        .add_edge(START, "far")
        .add_edge("far", END)
        .compile()
    )

    parts: list[Any] = [  # paths and values
        part
        async for part in outer.astream(
            {"messages": [HumanMessage("hi")]}, stream_mode="values", subgraphs=True
        )
    ]

    assert parts[-1][0] == ()
    assert [message.content for message in parts[-1][1]["messages"]] == ["hi", ANSWER]


def test_it_is_a_node_without_asyncio(remote: Remote) -> None:
    """As above."""
    outer = StateGraph(Echo).add_node("far", remote("echo")).add_edge(START, "far").compile()

    assert outer.invoke({"said": "abc"}) == {"said": "abc", "answered": "cba"}


async def test_its_question_is_the_outer_graphs(
    remote: Remote, client: LangGraphClient, config: RunnableConfig
) -> None:
    """As a node it stops the outer graph with its question, and the outer graph's answer reaches it."""
    await made(client, config)
    outer = (
        StateGraph(Asked)
        .add_node("far", remote("asks"))
        .add_edge(START, "far")
        .compile(checkpointer=InMemorySaver())
    )

    asked = await outer.ainvoke({"topic": "tea"}, config)

    assert [each.value for each in asked["__interrupt__"]] == [{"question": "What of tea?"}]


async def test_its_shape_is_drawn(remote: Remote) -> None:
    """The nodes of the graph are there to be drawn."""
    drawn = await remote("asks").aget_graph()

    assert {"ask", "ask_again"} <= set(drawn.nodes)
