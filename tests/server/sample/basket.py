"""A graph whose input has entries: what somebody buys, for tests of forms."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class Item(TypedDict):
    """Something that is bought."""

    name: str
    many: int


class Basket(TypedDict, total=False):
    """What is bought, and how much it is in all."""

    items: list[Item]
    total: int


def _count(state: Basket) -> dict[str, Any]:
    return {"total": sum(each["many"] for each in state["items"])}


basket = StateGraph(Basket).add_node("count", _count).add_edge(START, "count").compile()
