"""Three desks side by side, each a subgraph with a subgraph in it; each node notes its run in a file outside."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.sync import sync_too


class Stamp(BaseModel):
    """A type that only the inner graph's state names."""

    by: str


class DraftState(TypedDict, total=False):
    """A letter, in the making; the innermost state."""

    desk: str
    log: str
    text: str
    stamp: Stamp
    fail_at: str


class DeskInput(TypedDict, total=False):
    """What a desk is given."""

    desk: str
    log: str
    fail_at: str


class DeskState(DeskInput, total=False):
    """What a desk knows."""

    tone: str
    text: str
    letters: Annotated[list[str], operator.add]


class DeskOutput(TypedDict, total=False):
    """What a desk hands back."""

    letters: Annotated[list[str], operator.add]


class OfficeInput(TypedDict, total=False):
    """Which desks there are."""

    desks: list[str]
    log: str
    fail_at: str


class OfficeState(OfficeInput, total=False):
    """What the office knows."""

    letters: Annotated[list[str], operator.add]
    sent: str


def note(state: DraftState | DeskState | OfficeState, line: str) -> None:
    """Append a line to the outside log, or fail where told."""
    if state.get("fail_at") == line:
        raise RuntimeError(f"{line} was told to fail")
    with Path(state["log"]).open("a") as file:
        file.write(line + "\n")


async def draft(state: DraftState) -> DraftState:
    """Write."""
    note(state, f"draft {state['desk']}")
    return {"text": f"{state['text']} draft"}


async def stamp(state: DraftState) -> DraftState:
    """Stamp."""
    note(state, f"stamp {state['desk']}")
    return {"stamp": Stamp(by=state["desk"])}


async def polish(state: DraftState) -> DraftState:
    """Polish what was stamped."""
    note(state, f"polish {state['desk']}")
    return {"text": f"{state['text']} by {state['stamp'].by}"}


async def greet(state: DeskState) -> DeskState:
    """Begin a letter."""
    note(state, f"greet {state['desk']}")
    return {"text": f"{state.get('tone', 'dear')}"}


async def close(state: DeskState) -> DeskState:
    """End a letter."""
    note(state, f"close {state['desk']}")
    return {"letters": [f"{state['desk']}: {state['text']}"]}


async def plan(state: OfficeState) -> OfficeState:
    """Open the office."""
    note(state, "plan")
    return {}


async def post(state: OfficeState) -> OfficeState:
    """Send all letters."""
    note(state, "post")
    return {"sent": " / ".join(state["letters"])}


def desks(state: OfficeState) -> list[Send]:
    """Give each desk its work."""
    given = {"log": state["log"], "fail_at": state.get("fail_at", "")}
    return [Send("desk", {"desk": name, **given}) for name in state["desks"]]


def build_letter() -> StateGraph[DraftState, None, DraftState, DraftState]:
    """Return the innermost graph."""
    builder = StateGraph(DraftState)
    builder.add_sequence([("draft", draft), ("stamp", stamp), ("polish", polish)])
    builder.add_edge(START, "draft")
    return builder


def build_desk() -> StateGraph[DeskState, None, DeskInput, DeskOutput]:
    """Return a desk."""
    builder = StateGraph(DeskState, input_schema=DeskInput, output_schema=DeskOutput)
    builder.add_node("greet", greet)
    builder.add_node("letter", sync_too(build_letter()).compile())
    builder.add_node("close", close)
    builder.add_edge(START, "greet")
    builder.add_edge("greet", "letter")
    builder.add_edge("letter", "close")
    builder.add_edge("close", END)
    return builder


def build() -> StateGraph[OfficeState, None, OfficeInput, OfficeState]:
    """Return the office."""
    builder = StateGraph(OfficeState, input_schema=OfficeInput)
    builder.add_node("plan", plan)
    builder.add_node("desk", sync_too(build_desk()).compile())
    builder.add_node("post", post)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", desks, ["desk"])
    builder.add_edge("desk", "post")
    builder.add_edge("post", END)
    return builder


graph = sync_too(build()).compile(name="office")
