"""Graphs that do as good as nothing, which each server reads from this file: it imports nothing of ours.

Annotations are not put off to later: Aegra loads a file in a way that they would not be found then.
"""

import asyncio
from typing import Annotated, Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

WORDS = "All is well that ends well."
LONG = 3600.0


class Number(TypedDict, total=False):
    """A number that each node makes larger."""

    number: int


class Talk(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


async def one_more(state: Number) -> Number:
    """Add one."""
    return {"number": state.get("number", 0) + 1}


async def talk(state: Talk) -> dict[str, Any]:
    """Answer in words that a model streams at once."""
    model = GenericFakeChatModel(messages=iter([AIMessage(WORDS)]))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def rest(state: Number) -> Number:
    """Take so long that nothing happens meanwhile."""
    await asyncio.sleep(LONG)
    return state


three = (
    StateGraph(Number)
    .add_node("first", one_more)
    .add_node("second", one_more)
    .add_node("third", one_more)
    .add_edge(START, "first")
    .add_edge("first", "second")
    .add_edge("second", "third")
    .add_edge("third", END)
    .compile()
)
one = StateGraph(Number).add_node("only", one_more).add_edge(START, "only").compile()
words = StateGraph(Talk).add_node("talk", talk).add_edge(START, "talk").compile()
idle = StateGraph(Number).add_node("rest", rest).add_edge(START, "rest").compile()
