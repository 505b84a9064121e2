"""Graphs that remember across threads: `visits` counts in the store that it is given, `own` in one that it brought."""

from __future__ import annotations

from typing import Any

from langgraph.config import get_store
from langgraph.graph import END, START, StateGraph
from langgraph.store.memory import InMemoryStore
from typing_extensions import TypedDict


class Visit(TypedDict, total=False):
    """Who comes, and what is known of them."""

    name: str
    known: str


async def _count(state: Visit) -> dict[str, Any]:
    store, namespace = get_store(), ("visits", state["name"])
    before = await store.aget(namespace, "count")
    await store.aput(namespace, "count", {"times": (before.value["times"] if before else 0) + 1})
    return {}


def _recall(state: Visit) -> dict[str, Any]:  # synchronous: LangGraph runs it beside the loop
    found = get_store().get(("visits", state["name"]), "count")
    return {"known": f"visit {found.value['times'] if found else 0}"}


_graph = (
    StateGraph(Visit)
    .add_node("count", _count)
    .add_node("recall", _recall)
    .add_edge(START, "count")
    .add_edge("count", "recall")
    .add_edge("recall", END)
)
visits = _graph.compile()
own = _graph.compile(store=InMemoryStore())
