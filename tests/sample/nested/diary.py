"""A subgraph that remembers what it was told before on its thread; each node notes its run in a file outside."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Literal

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from interlock.core.sync import sync_too


class DiaryState(TypedDict, total=False):
    """What was told so far, and what is said of it."""

    day: int
    log: str
    told: Annotated[list[str], operator.add]
    said: str


class WeekInput(TypedDict, total=False):
    """How many days there are."""

    days: int
    log: str


class WeekState(WeekInput, total=False):
    """The day it is, and what the diary said last."""

    day: int
    said: str


def note(state: DiaryState | WeekState, line: str) -> None:
    """Append a line to the outside log."""
    with Path(state["log"]).open("a") as file:
        file.write(line + "\n")


async def tell(state: DiaryState) -> DiaryState:
    """Tell of the day."""
    note(state, f"tell {state['day']}")
    return {"told": [f"day {state['day']}"]}


async def say(state: DiaryState) -> DiaryState:
    """Say all that is remembered."""
    note(state, f"say {state['day']}")
    return {"said": ", ".join(state["told"])}


async def wake(state: WeekState) -> WeekState:
    """Begin a day."""
    note(state, f"wake {state.get('day', 0) + 1}")
    return {"day": state.get("day", 0) + 1}


def after_diary(state: WeekState) -> Literal["wake", "__end__"]:
    """Live another day, or not."""
    return "wake" if state["day"] < state["days"] else "__end__"


def build_diary() -> StateGraph[DiaryState, None, DiaryState, DiaryState]:
    """Return the diary."""
    builder = StateGraph(DiaryState)
    builder.add_sequence([("tell", tell), ("say", say)])
    builder.add_edge(START, "tell")
    return builder


def build() -> StateGraph[WeekState, None, WeekInput, WeekState]:
    """Return the week."""
    builder = StateGraph(WeekState, input_schema=WeekInput)
    builder.add_node("wake", wake)
    builder.add_node("diary", sync_too(build_diary()).compile(checkpointer=True))
    builder.add_edge(START, "wake")
    builder.add_edge("wake", "diary")
    builder.add_conditional_edges("diary", after_diary)
    return builder


graph = sync_too(build()).compile(name="week")
