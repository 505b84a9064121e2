"""The shop after two changes: money in cents, lines as entries, crates in place of boxes, and other names of nodes."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded

migrated: list[int] = []
"""Which migrations of the order ran."""


class Entry(TypedDict):
    """A line."""

    text: str


class Box(TypedDict, total=False):
    """What the packers know."""

    boxes: list[str]
    log: str


class Order(TypedDict, total=False):
    """What the shop knows."""

    cents: int
    currency: str
    entries: Annotated[list[Entry], operator.add]
    boxes: list[str]
    fails: str
    log: str


def note(log: str, line: str) -> None:
    """Write down that a node ran."""
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


def to_second(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let go of the customer, count in cents; break where a test has said so."""
    migrated.append(1)
    if Path(f"{values['fails']}.migration").exists():
        raise ValueError("an amount cannot be read")
    kept = {key: values[key] for key in values if key not in ("customer", "amount", "asks")}
    return kept | {"cents": values["amount"] * 100}


def to_third(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make entries of lines, and list boxes."""
    migrated.append(2)
    entries = [{"text": line} for line in values.get("lines", [])]
    boxes = ["box"] * values.get("boxes", 0)
    kept = {key: values[key] for key in values if key != "lines"}
    return kept | {"entries": entries, "currency": "EUR", "boxes": boxes}


def boxes_to_list(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """List boxes."""
    return {**values, "boxes": ["box"] * values.get("boxes", 0)}


async def told(fails: str) -> None:
    """Wait until a test says that it is time to fail."""
    while not Path(f"{fails}.now").exists():  # noqa: ASYNC110  # told from another process, perhaps
        await asyncio.sleep(0.01)


async def collect(state: Order) -> Order:
    """Begin."""
    note(state["log"], "collect")
    return {"entries": [{"text": "begun"}]}


async def quote(state: Order) -> Order:
    """Price it: `price` before."""
    if Path(state["fails"]).exists():
        await told(state["fails"])
        raise RuntimeError("no quote today")
    note(state["log"], "quote")
    return {"cents": state["cents"] + 1}


async def stock(state: Order) -> Order:
    """Look whether it is there."""
    if Path(f"{state['fails']}.stock").exists():
        raise RuntimeError("no stock today")
    note(state["log"], "stock")
    return {"entries": [{"text": "stocked"}]}


async def gather(state: Order) -> Order:
    """Wait for both."""
    note(state["log"], "gather")
    return {}


async def close(state: Box) -> Box:
    """Ask, inside the packing: `seal` before."""
    note(state["log"], f"closed {interrupt('Seal?')}")
    return {"boxes": [*state["boxes"], "crate"]}


async def send(state: Order) -> Order:
    """Ask, and end: `ship` before."""
    note(state["log"], f"sent {interrupt('Ship?')}")
    return {"entries": [{"text": "sent"}]}


def packing() -> StateGraph[Box]:
    """Return the inner graph."""
    return StateGraph(Box).add_node("close", close).add_edge(START, "close")


def build() -> StateGraph[Order]:
    """Return the shop."""
    builder = StateGraph(Order)
    inner = Declaration(
        steps=5, version=2, migrations={1: boxes_to_list}, renamed_nodes={"seal": "close"}
    )
    builder.add_node("collect", collect)
    builder.add_node("quote", quote)
    builder.add_node("stock", stock)
    builder.add_node("gather", gather)
    builder.add_node("pack", bounded(packing(), inner, name="packing"))
    builder.add_node("send", send)
    builder.add_edge(START, "collect")
    builder.add_edge("collect", "quote")
    builder.add_edge("collect", "stock")
    builder.add_edge(["quote", "stock"], "gather")
    builder.add_edge("gather", "pack")
    builder.add_edge("pack", "send")
    return builder


DECLARED = Declaration(
    steps=20,
    version=3,
    migrations={1: to_second, 2: to_third},
    renamed_nodes={"price": "quote", "ship": "dispatch", "dispatch": "send"},
)

graph = bounded(build(), DECLARED, name="order")
unmigrated = bounded(build(), Declaration(steps=20, version=3), name="order")
renamed = bounded(
    build(), Declaration(steps=20, version=3, migrations={1: to_second, 2: to_third}), name="order"
)
