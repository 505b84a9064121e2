"""A graph that asks a person at once, and notes when it goes on."""

from __future__ import annotations

import time
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Asking(TypedDict, total=False):
    """What is asked, what was answered, and when the node went on, by the machine's clock."""

    question: str
    answer: str
    went_on: float


async def ask(state: Asking) -> dict[str, Any]:
    """Ask, and say when the answer came."""
    answer = interrupt({"question": state.get("question", "Go on?")})
    return {"answer": str(answer), "went_on": time.time()}


graph = (
    StateGraph(Asking)
    .add_node("ask", ask)
    .add_edge(START, "ask")
    .add_edge("ask", END)
    .compile(name="waiting")
)
