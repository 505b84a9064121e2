"""Steps that a test holds up, blocks, or lets die, by files in a folder; each notes which process began it."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action


class State(TypedDict, total=False):
    """How far it has come."""

    folder: str
    steps: int
    acts: bool
    done: Annotated[int, operator.add]


class Output(TypedDict):
    """How many steps were done."""

    done: int


@action(name="note_down", touches="a file", reversible=True)
def note_down(folder: str, what: str) -> str:
    """Write a line to a file outside."""
    _append(Path(folder) / "effects", what)
    return what


async def step(state: State, runtime: Runtime[Any]) -> State:
    """Do the next step, as the files in the folder say."""
    folder, number = Path(state["folder"]), state.get("done", 0) + 1
    _append(folder / "log", f"begin {number} {os.getpid()}")
    while (folder / f"hold-{number}").exists():  # noqa: ASYNC110  # a test, elsewhere, takes it away
        await asyncio.sleep(0.005)
    if (block := folder / f"block-{number}").exists():
        time.sleep(float(block.read_text()))  # noqa: ASYNC251  # what no node should do
    if (folder / f"die-{number}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (folder / f"exit-{number}").exists():
        sys.exit(3)
    if (folder / f"interrupt-{number}").exists():
        raise KeyboardInterrupt
    if state.get("acts"):
        await act(runtime, note_down, folder=str(folder), what=f"act {number}")
    _append(folder / "log", f"end {number} {os.getpid()}")
    return {"done": 1}


def stuck(state: State) -> State:
    """Do a step in a thread that nobody can cancel."""
    _append(Path(state["folder"]) / "log", f"begin 1 {os.getpid()}")
    time.sleep(60)
    return {"done": 1}


def after_step(state: State) -> str:
    """Go on until all is done."""
    return "step" if state.get("done", 0) < state["steps"] else END


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")


builder = StateGraph(State, output_schema=Output)
builder.add_node("step", step)
builder.add_edge(START, "step")
builder.add_conditional_edges("step", after_step, ["step", END])
graph = builder.compile(name="working")

holding = StateGraph(State, output_schema=Output)
holding.add_node("stuck", stuck)
holding.add_edge(START, "stuck")
holding.add_edge("stuck", END)
stuck_graph = holding.compile(name="stuck")
