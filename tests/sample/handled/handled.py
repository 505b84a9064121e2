"""Nodes that fail and have error handlers which ask, pay or sleep: alone, side by side, and in a subgraph."""

from __future__ import annotations

import operator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from langgraph.errors import NodeError
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.sleeping import sleep


class State(TypedDict, total=False):
    """Where it is noted what ran, and what was said."""

    folder: str
    said: Annotated[list[str], operator.add]


@action(name="handled_refund", touches="an account", reversible=False)
async def refund(folder: str) -> str:
    """Give money back: a line in a file."""
    _note(folder, "refunded")
    return "refunded"


def _note(folder: str, line: str) -> None:
    with (Path(folder) / "log").open("a") as log:
        log.write(f"{line}\n")


async def _first(state: State) -> State:
    _note(state["folder"], "first")
    raise ValueError("first")


async def _second(state: State) -> State:
    _note(state["folder"], "second")
    raise ValueError("second")


async def _third(state: State) -> State:
    return {"said": [f"third {interrupt('third?')}"]}


async def _asks(state: State, error: NodeError) -> State:
    answers = [interrupt(f"{error.node}?"), interrupt(f"{error.node} again?")]
    return {"said": [f"{error.node} {' '.join(answers)}"]}


async def _refunds(state: State, runtime: Runtime[None]) -> State:
    return {"said": [await act(runtime, refund, folder=state["folder"])]}


async def _sleeps(state: State) -> State:
    await sleep(timedelta(hours=1))
    return {"said": ["slept"]}


def _built(handler: Any) -> Any:  # a compiled graph
    builder = StateGraph(State)
    builder.add_node("first", _first, error_handler=handler)
    builder.add_edge(START, "first")
    return builder.compile()


def _beside() -> Any:  # a compiled graph
    builder = StateGraph(State)
    builder.add_node("first", _first, error_handler=_asks)
    builder.add_node("second", _second, error_handler=_asks)
    builder.add_node("third", _third)
    for name in ("first", "second", "third"):
        builder.add_edge(START, name)
    return builder.compile()


def _around() -> Any:  # a compiled graph
    builder = StateGraph(State)
    builder.add_node("inner", asks)
    builder.add_edge(START, "inner")
    return builder.compile()


asks = _built(_asks)
refunds = _built(_refunds)
sleeps = _built(_sleeps)
beside = _beside()
around = _around()
