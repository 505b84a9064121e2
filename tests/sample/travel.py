"""Somebody else's graph with a context of its own, read before and after a question."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict


@dataclass
class Trip:
    """What this application passes to its nodes."""

    city: str
    nights: int = 1


class State(TypedDict, total=False):
    """Where to, and how long."""

    asked: str
    booked: str


def ask(state: State, runtime: Runtime[Trip]) -> State:
    """Ask whether to go."""
    return {"asked": str(interrupt(f"To {runtime.context.city}?"))}


def book(state: State, runtime: Runtime[Trip]) -> State:
    """Book what the context says."""
    return {"booked": f"{runtime.context.city}, {runtime.context.nights + 1} days"}


graph = (
    StateGraph(State, context_schema=Trip)
    .add_node("ask", ask)
    .add_node("book", book)
    .add_edge(START, "ask")
    .add_edge("ask", "book")
    .add_edge("book", END)
    .compile(name="travel")
)
