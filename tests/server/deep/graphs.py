"""A graph with two subgraphs, one of which has one of its own: for pictures of it."""

from __future__ import annotations

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class Said(TypedDict, total=False):
    """What was said."""

    said: str


def _say(state: Said) -> Said:
    return {"said": state.get("said", "") + "."}


_read = (
    StateGraph(Said)
    .add_node("open", _say)
    .add_node("quote", _say)
    .add_edge(START, "open")
    .add_edge("open", "quote")
    .compile()
)
_research = (
    StateGraph(Said)
    .add_node("search", _say)
    .add_node("read", _read)
    .add_edge(START, "search")
    .add_edge("search", "read")
    .compile()
)
_write = StateGraph(Said).add_node("draft", _say).add_edge(START, "draft").compile()
deep = (
    StateGraph(Said)
    .add_node("research", _research)
    .add_node("write", _write)
    .add_edge(START, "research")
    .add_edge("research", "write")
    .compile()
)
