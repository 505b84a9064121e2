"""A cyclic graph that counts to a goal; each node notes its run in a file outside, so that a test can count."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send
from pydantic import Field
from typing_extensions import TypedDict

from interlock.core.context import Context
from interlock.core.sync import sync_too


class CounterInput(TypedDict):
    """What the counter is given."""

    goal: Annotated[int, Field(description="Count up to this.", ge=0)]
    log: Annotated[
        str,
        Field(description="File that notes each node's run.", json_schema_extra={"format": "path"}),
    ]


class CounterState(TypedDict, total=False):
    """Everything the counter knows."""

    goal: int
    log: str
    count: int
    seen: Annotated[list[str], operator.add]
    slow: float
    fail_at: int


class CounterOutput(TypedDict, total=False):
    """What the counter returns."""

    count: int


def note(state: CounterState, line: str) -> None:
    """Append a line to the outside log."""
    with Path(state["log"]).open("a") as file:
        file.write(line + "\n")


async def begin(state: CounterState, runtime: Runtime[Context]) -> CounterState:
    """Start at nought."""
    note(state, "begin")
    return {"count": 0, "seen": ["begin"]}


async def step(state: CounterState, runtime: Runtime[Context]) -> CounterState:
    """Count one up."""
    if state.get("fail_at") == state["count"]:
        raise RuntimeError("the counter was told to fail")
    await asyncio.sleep(state.get("slow", 0))
    runtime.stream_writer({"event": "count", "count": state["count"] + 1})
    note(state, f"step {state['count'] + 1}")
    return {"count": state["count"] + 1, "seen": ["step"]}


async def branch(state: CounterState) -> CounterState:
    """Do one of two things side by side."""
    note(state, "branch")
    return {"seen": ["branch"]}


async def end(state: CounterState) -> CounterState:
    """Say goodbye."""
    note(state, "end")
    return {"seen": ["end"]}


def after_step(state: CounterState) -> list[Send] | Literal["step"]:
    """Count on, or branch out."""
    if state["count"] < state["goal"]:
        return "step"
    return [Send("branch", {"log": state["log"]}) for _ in range(2)]


def build() -> StateGraph[CounterState, Context, CounterInput, CounterOutput]:
    """Return the counter's shape."""
    builder = StateGraph(
        CounterState, context_schema=Context, input_schema=CounterInput, output_schema=CounterOutput
    )
    builder.add_node("begin", begin)
    builder.add_node("step", step)
    builder.add_node("branch", branch)
    builder.add_node("end", end)
    builder.add_edge(START, "begin")
    builder.add_edge("begin", "step")
    builder.add_conditional_edges("step", after_step, ["step", "branch"])
    builder.add_edge("branch", "end")
    builder.add_edge("end", END)
    return builder


graph = sync_too(build()).compile(name="counter").with_config(recursion_limit=30)
