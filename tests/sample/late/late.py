"""A graph with a synchronous node that pays when its run may have ended long ago, beside one that fails."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.sync import run_sync

SECONDS = 20.0
"""For how long it waits for its test."""


class State(TypedDict, total=False):
    """A folder in which the test and the nodes tell each other what they do."""

    folder: str
    paid: str


@action(name="late_pay", touches="the purse", reversible=True)
async def pay(folder: str) -> str:
    """Pay: a line in a file."""
    with Path(folder, "paid").open("a") as file:
        file.write("paid\n")
    return "paid"


def pays(state: State, runtime: Runtime[Any]) -> State:
    """Pay once the test says so, and say how that went."""
    folder, until = Path(state["folder"]), time.monotonic() + SECONDS
    while not (folder / "go").exists() and time.monotonic() < until:
        time.sleep(0.01)
    try:
        said = run_sync(act(runtime, pay, folder=state["folder"]))
    except Exception as error:
        said = str(error)
        raise
    finally:
        (folder / "said").write_text(said)
    return {"paid": said}


async def fails(state: State) -> State:
    """Fail until the test has mended it."""
    if not Path(state["folder"], "mended").exists():
        raise RuntimeError("not mended yet")
    return {}


builder = StateGraph(State)
builder.add_node("pays", pays)
builder.add_node("fails", fails)
builder.add_edge(START, "pays")
builder.add_edge(START, "fails")
graph = builder.compile(name="late")
