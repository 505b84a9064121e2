"""Somebody else's LangGraph application: synchronous nodes, messages, a plain interrupt, nothing of Interlock."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict


class Place(BaseModel):
    """A type of the application's own."""

    name: str


class State(TypedDict, total=False):
    """A chat."""

    messages: Annotated[list[AnyMessage], add_messages]
    place: Place


def answer(state: State) -> dict[str, Any]:
    """Ask where, and say so."""
    where = interrupt("Where?")
    return {"messages": [AIMessage(f"In {where}.")], "place": Place(name=where)}


graph = (
    StateGraph(State)
    .add_node("answer", answer)
    .add_edge(START, "answer")
    .add_edge("answer", END)
    .compile(name="foreign")
)
