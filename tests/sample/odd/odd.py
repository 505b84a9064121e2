"""Graphs that do what is odd but allowed: values, errors and questions of every kind, asked side by side."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context
from interlock.core.sync import sync_too


class Place(BaseModel):
    """A type of the application's own."""

    name: str


class Said(TypedDict, total=False):
    """What a team returns."""

    said: Annotated[list[str], operator.add]


class State(Said, total=False):
    """What the odd graphs know."""

    do: str
    name: str
    text: str
    ratio: float
    array: Any  # numpy's
    place: Place


def odd(state: State) -> State:
    """Do what the input says."""
    return _DEEDS[state["do"]]()


def after(state: State) -> State:
    """Do nothing more."""
    return {"said": ["after"]}


def _fail() -> State:
    raise RuntimeError("broken by a\0b and \udcff, at length: " + "x" * 1_000_000)


def _ask_object() -> State:
    return {"said": [str(interrupt({"when": datetime(2026, 1, 1, tzinfo=UTC), "text": "a\0b"}))]}


def _ask_twice() -> State:
    first = interrupt({"question": "Which?"})
    second = interrupt({"question": "Which?"})
    return {"said": [f"{first}, {second}"]}


def _ask_about_two() -> State:
    requests: list[dict[str, Any]] = [
        {"name": name, "args": {}, "description": name} for name in ("a", "b")
    ]
    configs = [{"action_name": name, "allowed_decisions": ["approve"]} for name in ("a", "b")]
    answer = interrupt({"action_requests": requests, "review_configs": configs})
    return {"said": [each["type"] for each in answer["decisions"]]}


_DEEDS = {
    "nothing": lambda: State(said=["nothing"]),
    "numbers": lambda: State(array={"rows": np.array([1, 2, 3])}),
    "text": lambda: State(text="a\0b", ratio=float("inf")),
    "fail": _fail,
    "ask an object": _ask_object,
    "ask twice": _ask_twice,
    "ask about two": _ask_about_two,
}


def left(state: State) -> State:
    """Ask whether to go left."""
    return {"said": [f"left {interrupt('Left?')}"]}


def right(state: State) -> State:
    """Ask whether to go right."""
    return {"said": [f"right {interrupt('Right?')}"]}


def go(state: State) -> State:
    """Ask whether a team may go."""
    return {"said": [f"{state['name']} goes: {interrupt(state['name'] + ' go?')}"]}


def stay(state: State) -> State:
    """Ask whether a team may stay."""
    return {"said": [f"{state['name']} stays: {interrupt(state['name'] + ' stay?')}"]}


def send(state: State) -> list[Send]:
    """Send two teams out."""
    return [Send("team", {"name": name}) for name in ("ann", "bob")]


@action(name="odd_deed", touches="a file", nodes=("deed",), reversible=True)
async def odd_deed(log: str) -> tuple[str, float]:
    """Note the deed in a file."""
    with Path(log).open("a") as file:
        file.write("done\n")
    return "a\0b", float("inf")


async def deed(state: State, runtime: Runtime[Context]) -> State:
    """Act; then fail as long as a file is there."""
    text, ratio = await act(runtime, odd_deed, log=state["text"])
    if Path(f"{state['text']}.trap").exists():
        raise RuntimeError("the node was told to fail")
    return {"said": [text], "ratio": ratio}


def route(state: State) -> str:
    """Go on, unless a file says that the way cannot be found."""
    if Path(f"{state['text']}.trap").exists():
        raise RuntimeError("the router was told to fail")
    return "after"


def build() -> StateGraph[State]:
    """Return the shape of the odd graph."""
    return (
        StateGraph(State)
        .add_node("odd", odd)
        .add_node("after", after)
        .add_edge(START, "odd")
        .add_edge("odd", "after")
        .add_edge("after", END)
    )


def make(config: RunnableConfig) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Make a graph for a configuration, as LangGraph's server allows."""
    return build().compile(name="made")


async def promise() -> CompiledStateGraph[Any, Any, Any, Any]:
    """Make a graph some time."""
    return build().compile(name="promised")


graph = build().compile(name="odd")
stops = build().compile(name="stops", interrupt_before=["after"])
gates = (
    StateGraph(State)
    .add_node("left", left)
    .add_node("right", right)
    .add_node("after", after)
    .add_edge(START, "left")
    .add_edge(START, "right")
    .add_edge(["left", "right"], "after")
    .add_edge("after", END)
    .compile(name="gates")
)
routed = (
    StateGraph(State)
    .add_node("odd", odd)
    .add_node("after", after)
    .add_edge(START, "odd")
    .add_conditional_edges("odd", route, ["after"])
    .compile(name="routed")
)
team = (
    StateGraph(State, output_schema=Said)
    .add_node("go", go)
    .add_node("stay", stay)
    .add_edge(START, "go")
    .add_edge("go", "stay")
    .compile(name="team")
)
teams = (
    StateGraph(State)
    .add_node("team", team)
    .add_conditional_edges(START, send, ["team"])
    .compile(name="teams")
)
deeds = sync_too(
    StateGraph(State, context_schema=Context).add_node("deed", deed).add_edge(START, "deed")
).compile(name="deeds")
