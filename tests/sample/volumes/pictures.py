"""Keeps pictures as blobs, and names the newest one in its state."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.blobs import BlobRef
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context, around_of


class Pictures(TypedDict, total=False):
    """What was drawn.

    Attributes:
        given: a picture that was there before.
        shown: the newest one.
        asks: whether to ask a person before the last one.
    """

    names: list[str]
    asks: bool
    given: BlobRef
    shown: BlobRef


async def drawn(name: str) -> AsyncIterator[bytes]:
    """Return a picture in parts."""
    for _ in range(3):
        yield name.encode() * 1000


async def draw(state: Pictures, runtime: Runtime[Context]) -> Pictures:
    """Draw the next picture, or bring one that a file names."""
    name, *others = state["names"]
    if name.startswith("@"):
        return {"names": others, "shown": json.loads(Path(name[1:]).read_text())}
    shown = await around_of(runtime).ports.blobs.put(drawn(name))
    return {"names": others, "shown": shown}


async def ask(state: Pictures) -> Pictures:
    """Ask whether to go on."""
    interrupt("Go on?")
    return {"asks": False}


def after_draw(state: Pictures) -> Literal["draw", "ask", "__end__"]:
    """Go on while names are left."""
    if len(state["names"]) == 1 and state.get("asks"):
        return "ask"
    return "draw" if state["names"] else "__end__"


def build() -> StateGraph[Pictures, Context, Pictures, Pictures]:
    """Return the graph."""
    builder = StateGraph(Pictures, context_schema=Context)
    builder.add_node("draw", draw)
    builder.add_node("ask", ask)
    builder.add_edge(START, "draw")
    builder.add_conditional_edges("draw", after_draw)
    builder.add_edge("ask", "draw")
    return builder


graph = bounded(build(), Declaration(steps=100), name="pictures")
