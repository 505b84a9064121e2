"""A shop's orders, as they were first written; `second.py` is the same shop after two changes of the schema."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded


class Box(TypedDict, total=False):
    """What the packers know."""

    boxes: int
    log: str


class Order(TypedDict, total=False):
    """What the shop knows."""

    customer: str
    amount: int
    lines: Annotated[list[str], operator.add]
    boxes: int
    asks: str
    fails: str
    log: str


def note(log: str, line: str) -> None:
    """Write down that a node ran."""
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


async def told(fails: str) -> None:
    """Wait until a test says that it is time to fail."""
    while not Path(f"{fails}.now").exists():  # noqa: ASYNC110  # told from another process, perhaps
        await asyncio.sleep(0.01)


async def collect(state: Order) -> Order:
    """Begin."""
    note(state["log"], "collect")
    return {"lines": [f"for {state['customer']}"]}


async def price(state: Order) -> Order:
    """Price it, beside the stock."""
    if Path(state["fails"]).exists():
        await told(state["fails"])
        raise RuntimeError("no price today")
    note(state["log"], "price")
    return {"amount": state["amount"] + 1}


async def stock(state: Order) -> Order:
    """Look whether it is there."""
    if Path(f"{state['fails']}.stock").exists():
        raise RuntimeError("no stock today")
    note(state["log"], "stock")
    return {"lines": ["in stock"]}


async def gather(state: Order) -> Order:
    """Wait for both."""
    note(state["log"], "gather")
    return {}


async def seal(state: Box) -> Box:
    """Ask, inside the packing."""
    note(state["log"], f"sealed {interrupt('Seal?')}")
    return {"boxes": state["boxes"] + 1}


async def ship(state: Order) -> Order:
    """Ask, and end."""
    note(state["log"], f"shipped {interrupt('Ship?')}")
    return {"lines": ["shipped"]}


def packing() -> StateGraph[Box]:
    """Return the inner graph."""
    return StateGraph(Box).add_node("seal", seal).add_edge(START, "seal")


def build() -> StateGraph[Order]:
    """Return the shop."""
    builder = StateGraph(Order)
    builder.add_node("collect", collect)
    builder.add_node("price", price)
    builder.add_node("stock", stock)
    builder.add_node("gather", gather)
    builder.add_node("pack", bounded(packing(), Declaration(steps=5), name="packing"))
    builder.add_node("ship", ship)
    builder.add_edge(START, "collect")
    builder.add_edge("collect", "price")
    builder.add_edge("collect", "stock")
    builder.add_edge(["price", "stock"], "gather")
    builder.add_edge("gather", "pack")
    builder.add_edge("pack", "ship")
    return builder


graph = bounded(build(), Declaration(steps=20), name="order")
