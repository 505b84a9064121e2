"""A graph with twenty actions: in a row, side by side, in parallel branches, in a subgraph, as tools, and asked about.

Seven take an idempotency key, seven have a probe, and six have neither. The outside world is a recorder.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import Action, Happened, action
from tests.chaos import client

Receipts = Annotated[list[str], operator.add]


class State(TypedDict, total=False):
    """What was done, in the order in which the graph holds it."""

    receipts: Receipts
    inner: Receipts
    messages: Annotated[list[AnyMessage], add_messages]


class InnerState(TypedDict, total=False):
    """What the subgraph did."""

    inner: Receipts


def keyed(number: int) -> Action[str]:
    """Return an action that the world does once for each key."""
    name = f"keyed_{number}"

    @action(name=name, touches="the recorder")
    async def once(item: str, idempotency_key: str) -> str:
        """Have an effect once for each key."""
        return await client.ado("keyed", name, idempotency_key)

    return once


def probed(number: int) -> Action[str]:
    """Return an action that the world does each time, and tells about; its function is synchronous."""
    name = f"probed_{number}"

    async def look(key: str) -> Happened[str] | None:
        found = await client.aprobe(name, key)
        return None if found is None else Happened(found)

    @action(name=name, touches="the recorder", probe=look)
    def each_time(item: str, idempotency_key: str) -> str:
        """Have an effect, and leave the key where it can be found."""
        return client.do("probed", name, idempotency_key)

    return each_time


def plain(number: int) -> Action[str]:
    """Return an action that the world does each time, and tells nobody about."""
    name = f"plain_{number}"

    @action(name=name, touches="the recorder")
    async def each_time(item: str) -> str:
        """Have an effect."""
        return await client.ado("plain", name)

    return each_time


KEYED = {number: keyed(number) for number in range(1, 8)}
PROBED = {number: probed(number) for number in range(1, 8)}
PLAIN = {number: plain(number) for number in range(1, 7)}
TOOLS = (KEYED[5], PROBED[5], PLAIN[5])


async def in_a_row(runtime: Runtime[Any], *actions: Action[str]) -> list[str]:
    """Do one after another."""
    return [await act(runtime, each, item=each.name) for each in actions]


async def prepare(state: State, runtime: Runtime[Any]) -> State:
    """Do three in a row."""
    return {"receipts": await in_a_row(runtime, KEYED[1], PROBED[1], PLAIN[1])}


async def left(state: State, runtime: Runtime[Any]) -> State:
    """Do three side by side."""
    acts = (act(runtime, each, item="left") for each in (KEYED[2], PROBED[2], PLAIN[2]))
    return {"receipts": list(await asyncio.gather(*acts))}


async def right(state: State, runtime: Runtime[Any]) -> State:
    """Do three in a row, while the other branch works."""
    return {"receipts": await in_a_row(runtime, PROBED[3], PLAIN[3], KEYED[3])}


async def first(state: InnerState, runtime: Runtime[Any]) -> InnerState:
    """Do two in the subgraph."""
    return {"inner": await in_a_row(runtime, KEYED[4], PROBED[4])}


async def second(state: InnerState, runtime: Runtime[Any]) -> InnerState:
    """Do one in the subgraph."""
    return {"inner": await in_a_row(runtime, PLAIN[4])}


async def plan(state: State) -> State:
    """Call three tools at once, as a model would."""
    calls = [
        {"name": each.name, "args": {"item": "tool"}, "id": f"call {each.name}"} for each in TOOLS
    ]
    return {"messages": [AIMessage(content="", id="plan", tool_calls=calls)]}


async def settle(state: State, runtime: Runtime[Any]) -> State:
    """Do two that a person must agree to."""
    return {"receipts": await in_a_row(runtime, KEYED[6], PLAIN[6])}


async def close(state: State, runtime: Runtime[Any]) -> State:
    """Do the last three."""
    return {"receipts": await in_a_row(runtime, PROBED[6], PROBED[7], KEYED[7])}


def subgraph() -> StateGraph[InnerState, None, InnerState, InnerState]:
    """Return the shape of the subgraph."""
    builder = StateGraph(InnerState)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder


def build() -> StateGraph[State, None, State, State]:
    """Return the graph's shape."""
    builder = StateGraph(State)
    builder.add_node("prepare", prepare)
    builder.add_node("left", left)
    builder.add_node("right", right)
    builder.add_node("desk", subgraph().compile())
    builder.add_node("plan", plan)
    builder.add_node("tools", ToolNode(list(TOOLS)))
    builder.add_node("settle", settle)
    builder.add_node("close", close)
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "left")
    builder.add_edge("prepare", "right")
    builder.add_edge(["left", "right"], "desk")
    for before, after in (("desk", "plan"), ("plan", "tools"), ("tools", "settle")):
        builder.add_edge(before, after)
    builder.add_edge("settle", "close")
    builder.add_edge("close", END)
    return builder


graph = build().compile(name="chaos")
