"""Graphs that are driven in every way: a line of three, a loop, some that ask, and one that takes fees.

Each node notes in a file that it ran; in one of them the process stays, once, until somebody kills it.
"""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action


class State(TypedDict, total=False):
    """Where it is noted, in which node the process is killed, how often a loop goes round, and what was said."""

    folder: str
    dies: str
    count: int
    said: Annotated[list[str], operator.add]
    told: dict[str, Any]


async def _ran(state: State, node: str) -> State:
    if folder := state.get("folder"):
        with (Path(folder) / "log").open("a") as log:
            log.write(f"{node}\n")
        died = Path(folder) / "died"
        if state.get("dies") == node and not died.exists():
            died.touch()
            await asyncio.Event().wait()
    return {"said": [node]}


async def _a(state: State, config: RunnableConfig) -> State:
    configurable = config.get("configurable", {})
    told = {key: configurable[key] for key in configurable if not key.startswith(("_", "checkp"))}
    told["tags"] = [each for each in config.get("tags") or [] if ":" not in each]
    return {**await _ran(state, "a"), "told": told}


async def _b(state: State) -> State:
    return await _ran(state, "b")


async def _c(state: State) -> State:
    return await _ran(state, "c")


def _again(state: State) -> str:
    return "b" if len(state["said"]) < state.get("count", 3) else END


async def _ask(state: State) -> State:
    answer = interrupt("What first?")
    await _ran(state, "ask")
    return {"said": [f"first {answer}"]}


async def _ask_again(state: State) -> State:
    return {"said": [f"then {interrupt('What then?')}"]}


@action(name="driven_fee", touches="an account", reversible=False)
async def fee(folder: str, amount: int) -> str:
    """Take a fee: a line in a file."""
    with (Path(folder) / "fees").open("a") as fees:
        fees.write(f"{amount}\n")
    return str(amount)


async def _charge(state: State, runtime: Runtime[None]) -> State:
    return {"said": [await act(runtime, fee, folder=state["folder"], amount=1)]}


async def _charge_again(state: State, runtime: Runtime[None]) -> State:
    return {"said": [await act(runtime, fee, folder=state["folder"], amount=2)]}


fees = (
    StateGraph(State)
    .add_node("charge", _charge)
    .add_node("ask", _ask)
    .add_node("charge_again", _charge_again)
    .add_edge(START, "charge")
    .add_edge("charge", "ask")
    .add_edge("ask", "charge_again")
    .compile()
)
line = (
    StateGraph(State)
    .add_node("a", _a)
    .add_node("b", _b)
    .add_node("c", _c)
    .add_edge(START, "a")
    .add_edge("a", "b")
    .add_edge("b", "c")
    .compile()
)
loop = (
    StateGraph(State)
    .add_node("b", _b)
    .add_edge(START, "b")
    .add_conditional_edges("b", _again)
    .compile()
)
asks = (
    StateGraph(State)
    .add_node("ask", _ask)
    .add_node("ask_again", _ask_again)
    .add_edge(START, "ask")
    .add_edge("ask", "ask_again")
    .compile()
)
asks_then = (
    StateGraph(State)
    .add_node("ask", _ask)
    .add_node("b", _b)
    .add_edge(START, "ask")
    .add_edge("ask", "b")
    .compile()
)
both = (
    StateGraph(State)
    .add_node("ask", _ask)
    .add_node("ask_again", _ask_again)
    .add_edge(START, "ask")
    .add_edge(START, "ask_again")
    .compile()
)
_inside = (
    StateGraph(State)
    .add_node("b", _b)
    .add_edge(START, "b")
    .compile(interrupt_before=["b"])  # it stops there, whoever runs it
)
stops_inside = (
    StateGraph(State)
    .add_node("a", _a)
    .add_node("inside", _inside)
    .add_edge(START, "a")
    .add_edge("a", "inside")
    .compile()
)
