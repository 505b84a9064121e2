"""A graph of three steps that says who ran them, and stays in the second one for as long as it is told to."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.sleeping import sleep


class Given(TypedDict, total=False):
    """Who runs, what the second step does, and a file that it looks for or writes to."""

    name: str
    how: str
    file: str


class State(Given, total=False):
    """What was given, and who took which step."""

    said: Annotated[list[str], operator.add]


@action(name="submitted_write", touches="a file", reversible=True)
async def write(path: str, line: str) -> str:
    """Write a line."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


async def first(state: State) -> State:
    """Say who begins."""
    return {"said": [f"{state['name']} first"]}


async def second(state: State, runtime: Runtime[None]) -> State:
    """Do as told: wait for a file, ask, sleep, act and wait for ever, or go on."""
    match state.get("how", ""):
        case "hold":
            await _there(state["file"])
        case "person":
            return {"said": [f"{state['name']} was told {interrupt('May I?')}"]}
        case "sleep":
            await sleep(3600)
        case "act":
            await act(runtime, write, path=state["file"], line=state["name"])
            await asyncio.Event().wait()
        case "fail":
            raise ValueError("no")
        case _:
            pass
    return {"said": [f"{state['name']} second"]}


async def last(state: State) -> State:
    """Say who ends."""
    return {"said": [f"{state['name']} last"]}


async def _there(path: str) -> None:
    while not Path(path).exists():  # noqa: ASYNC110  # another process may write it
        await asyncio.sleep(0.005)


builder = StateGraph(State, input_schema=Given)
builder.add_node("first", first)
builder.add_node("second", second)
builder.add_node("last", last)
builder.add_edge(START, "first")
builder.add_edge("first", "second")
builder.add_edge("second", "last")
builder.add_edge("last", END)
graph = builder.compile(name="steps")
