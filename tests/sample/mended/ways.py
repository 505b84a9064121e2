"""A parcel whose size is looked up, which fails; beside it stands a node that does not."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context


class Parcel(TypedDict, total=False):
    """What is sent, and how."""

    log: str
    pieces: int
    size: int
    heard: Annotated[list[str], operator.add]
    way: str


@action(name="mended_note", touches="the log", reversible=True)
async def note(path: str, line: str) -> str:
    """Write a line in the log."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


async def begin(state: Parcel) -> Parcel:
    """Do nothing yet."""
    return {"heard": ["begun"]}


async def look(state: Parcel, runtime: Runtime[Any]) -> Parcel:
    """Look its size up, which fails when the node beside it has ended: LangGraph would cut that off."""
    await act(runtime, note, path=state["log"], line="looked")
    while not _ended_beside(state).exists():  # noqa: ASYNC110  # it outlives this process
        await asyncio.sleep(0.005)
    raise ValueError("nobody knows this size")


async def beside(state: Parcel, runtime: Runtime[Any]) -> Parcel:
    """Work beside it, and succeed."""
    await act(runtime, note, path=state["log"], line="beside")
    _ended_beside(state).touch()
    return {"heard": ["beside"]}


def _ended_beside(state: Parcel) -> Path:
    return Path(f"{state['log']}.beside")


def after_look(state: Parcel) -> Literal["small", "large"]:
    """Go by the size."""
    return "large" if state.get("size", 0) > 3 else "small"


async def small(state: Parcel, runtime: Runtime[Any]) -> Parcel:
    """Send it by mail."""
    return {"way": await act(runtime, note, path=state["log"], line="mail")}


async def large(state: Parcel, runtime: Runtime[Any]) -> Parcel:
    """Send it by ship."""
    return {"way": await act(runtime, note, path=state["log"], line="ship")}


async def by_hand(state: Parcel, runtime: Runtime[Any]) -> Parcel:
    """Let a person carry it."""
    return {"way": await act(runtime, note, path=state["log"], line="hand")}


async def part(state: Parcel, runtime: Runtime[Any]) -> Parcel:
    """Look at one of several parts; the second is lost, and the third waits for it the first time."""
    number, waited = state.get("pieces", 0), Path(f"{state['log']}.waited")
    waits = number == 3 and not waited.exists()
    if waits:
        waited.touch()
    await act(runtime, note, path=state["log"], line=f"part {number}")
    if number == 2:
        raise ValueError("part 2 is lost")
    if waits:
        await asyncio.Event().wait()
    return {"heard": [f"part {number}"]}


def parts(state: Parcel) -> list[Send]:
    """Send each part on its own."""
    return [Send("part", {"log": state["log"], "pieces": each}) for each in (1, 2, 3)]


async def told(state: Parcel) -> Parcel:
    """Say what was heard."""
    return {"way": " and ".join(state["heard"])}


async def answered(state: Parcel) -> Parcel:
    """Ask for the size, and lose the answer."""
    raise ValueError(f"the answer {interrupt('How large?')} was lost")


def asking() -> StateGraph[Parcel, Context]:
    """Return one that fails behind an answer."""
    builder = StateGraph(Parcel, context_schema=Context)
    for node in (begin, answered, told):
        builder.add_node(node)
    return (
        builder.add_edge(START, "begin").add_edge("begin", "answered").add_edge("answered", "told")
    )


def build() -> StateGraph[Parcel, Context]:
    """Return the graph."""
    builder = StateGraph(Parcel, context_schema=Context)
    for node in (begin, beside, small, large, by_hand):
        builder.add_node(node)
    builder.add_node(look, destinations=("by_hand",))
    builder.add_edge(START, "begin").add_edge("begin", "look").add_edge("begin", "beside")
    return builder.add_conditional_edges("look", after_look)


def fan() -> StateGraph[Parcel, Context]:
    """Return one that looks at three parts at once."""
    builder = StateGraph(Parcel, context_schema=Context)
    for node in (begin, part, told):
        builder.add_node(node)
    builder.add_edge(START, "begin").add_edge("part", "told")
    return builder.add_conditional_edges("begin", parts, ["part"])


graph = bounded(build(), Declaration(steps=10), name="ways")
bare = build().compile(name="bare")
fanned = bounded(fan(), Declaration(steps=10), name="fanned")
lost = bounded(asking(), Declaration(steps=10), name="lost")
