"""A graph as it is deployed: it asks, and has in its state what newer code may stumble over."""

from __future__ import annotations

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context
from interlock.core.gate import Question, ask_person


class Place(BaseModel):
    """A class of the application."""

    name: str


class State(TypedDict, total=False):
    """What the graph knows."""

    number: int
    word: str
    place: Place


@action(name="check_kept", touches="nothing")
async def kept(to: str) -> str:
    """Do what newer code does, too."""
    return to


@action(name="check_gone", touches="nothing")
async def gone(to: str) -> str:
    """Do what newer code no longer does."""
    return to


@action(name="check_narrow", touches="nothing")
async def narrow(to: str) -> str:
    """Do what newer code does with a number."""
    return to


@action(name="check_wide", touches="nothing")
async def wide(to: str) -> str:
    """Do what newer code does with one argument more."""
    return to


ACTIONS = {"gone": gone, "narrow": narrow, "wide": wide}


async def begin(state: State) -> State:
    """Have a place in the state, where the word says so."""
    return {"place": Place(name="Rome")} if state["word"] == "class" else {}


async def ask(state: State, runtime: Runtime[Context]) -> State:
    """Ask about the action that the word names."""
    asked = ACTIONS.get(state["word"], kept)
    await ask_person(runtime, Question(action=asked, arguments={"to": "ann"}, summary="Go?"))
    return {}


def build() -> StateGraph[State, Context]:
    """Return the graph."""
    builder = StateGraph(State, context_schema=Context)
    builder.add_node("begin", begin)
    builder.add_node("ask", ask)
    builder.add_edge(START, "begin")
    builder.add_edge("begin", "ask")
    return builder


graph = bounded(build(), Declaration(steps=9), name="check")
