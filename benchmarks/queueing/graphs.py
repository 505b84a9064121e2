"""Graphs that do as good as nothing: what is measured is what lies around them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

NOTES = "BENCHMARK_NOTES"
"""The variable that names the file in which nodes note when they begin; without it they do not."""

LONG = 60.0
"""Seconds that the middle node of `slow` takes: it is there to be killed."""


class Number(TypedDict, total=False):
    """A number that each node makes larger, and the name of the run."""

    name: str
    number: int


class Asked(TypedDict, total=False):
    """What was answered, and the name of the run."""

    name: str
    answer: str


def note(state: Any, node: str) -> None:  # either state
    """Note when a node begins; all processes add to one file."""
    if path := os.environ.get(NOTES):
        line = f"{state.get('name', '')} {node} {os.getpid()} {time.time():.6f}\n"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, line.encode())
        os.close(file)


def begun(path: Path, node: str = "first") -> dict[str, list[float]]:
    """Return when a node began, by the machine's clock, for each run by its name."""
    found: dict[str, list[float]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        name, which, _, at = line.split(" ")
        if which == node:
            found.setdefault(name, []).append(float(at))
    return found


async def first(state: Number) -> Number:
    """Note the beginning, and add one."""
    note(state, "first")
    return {"number": state.get("number", 0) + 1}


async def one_more(state: Number) -> Number:
    """Add one."""
    return {"number": state["number"] + 1}


async def linger(state: Number) -> Number:
    """Note the beginning, and take long."""
    note(state, "linger")
    await asyncio.sleep(LONG)
    return {"number": state["number"] + 1}


async def ask(state: Asked) -> dict[str, Any]:
    """Ask a person, and note when that has answered."""
    answer = interrupt("Go on?")
    note(state, "answered")
    return {"answer": str(answer)}


def three_nodes(middle: Any) -> StateGraph[Number, None, Number, Number]:  # a node
    """Return a graph of three nodes in a row."""
    builder = StateGraph(Number)
    builder.add_node("first", first)
    builder.add_node("second", middle)
    builder.add_node("third", one_more)
    for before, after in ((START, "first"), ("first", "second"), ("second", "third")):
        builder.add_edge(before, after)
    builder.add_edge("third", END)
    return builder


three = three_nodes(one_more).compile(name="three")
slow = three_nodes(linger).compile(name="slow")
asking = (
    StateGraph(Asked)
    .add_node("ask", ask)
    .add_edge(START, "ask")
    .add_edge("ask", END)
    .compile(name="asking")
)


def application(folder: Path) -> Path:
    """Write a langgraph.json that names these graphs, and return its path."""
    folder.mkdir()
    path = folder / "langgraph.json"
    names = {name: f"{__name__}:{name}" for name in ("three", "slow", "asking")}
    path.write_text(json.dumps({"graphs": names}))
    return path
