"""What might be deployed in place of `old.py`: one graph for each way to break its threads, and one that does not."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context


class State(TypedDict, total=False):
    """As it was."""

    number: int
    word: str
    place: Any


class Typed(TypedDict, total=False):
    """A number became a list."""

    number: list[str]
    word: str
    place: Any


class Removed(TypedDict, total=False):
    """The word is gone."""

    number: int
    place: Any


class Given(TypedDict):
    """What each run is given by now."""

    number: int
    urgent: bool


class Modelled(BaseModel):
    """The state as a model, with a key that must be there."""

    number: int
    word: str
    colour: str


@action(name="check_kept", touches="nothing")
async def kept(to: str) -> str:
    """Do what newer code does, too."""
    return to


@action(name="check_narrow", touches="nothing")
async def narrow(to: int) -> int:
    """Take a number."""
    return to


@action(name="check_wide", touches="nothing")
async def wide(to: str, copy: str = "bob") -> str:
    """Take one argument more."""
    return to + copy


async def step(state: Any) -> dict[str, Any]:
    """Do nothing."""
    return {}


def build(schema: Any, *nodes: str, **more: Any) -> Any:
    """Return a graph of nodes in a row."""
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(schema, context_schema=Context, **more)
    builder.add_sequence([(name, step) for name in nodes])
    builder.add_edge(START, nodes[0])
    return bounded(builder, Declaration(steps=9), name="check")


same = build(State, "begin", "ask")
renamed = build(State, "begin", "question")
typed = build(Typed, "begin", "ask")
removed = build(Removed, "begin", "ask")
required = build(State, "begin", "ask", input_schema=Given)
modelled = build(Modelled, "begin", "ask")
