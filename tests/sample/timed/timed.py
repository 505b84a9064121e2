"""Graphs that take time: two nodes side by side, one of which waits for a file."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits


class Given(TypedDict, total=False):
    """The file that lets it end, and seconds that the other node takes."""

    go: str
    takes: float


class Said(TypedDict, total=False):
    """What came of it."""

    said: Annotated[list[str], operator.add]


class State(Given, Said):
    """All of it."""


async def beside(state: State) -> Said:
    """Take a while."""
    await asyncio.sleep(state.get("takes", 0.0))
    return {"said": ["beside"]}


async def wait(state: State) -> Said:
    """Take a while, and wait for the file."""
    await asyncio.sleep(state.get("takes", 0.0))
    while not Path(state["go"]).exists():  # noqa: ASYNC110  # nobody tells of it
        await asyncio.sleep(0.01)
    return {"said": ["waited"]}


async def ask(state: State) -> Said:
    """Ask a person."""
    return {"said": [str(interrupt("May I?"))]}


async def land(state: State) -> Said:
    """Deliver what there is."""
    return {"said": ["landed"]}


def build(*nodes: Any) -> StateGraph[State, None, Given, Said]:
    """Return the shape: the nodes side by side, and a landing."""
    builder = StateGraph(State, input_schema=Given, output_schema=Said)
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
        builder.add_edge(node.__name__, END)
    builder.add_node("land", land)
    builder.add_edge("land", END)
    return builder


slow = bounded(build(beside, wait), Declaration(steps=5), name="slow")
asks = bounded(build(ask), Declaration(steps=5), name="asks")
lands = bounded(
    build(beside, wait),
    Declaration(steps=5, limits=Limits(seconds=0.8, landing=0.5), land="land"),
    name="lands",
)
foreign = build(beside, wait).compile(name="foreign")
