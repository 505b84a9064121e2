"""Nodes that call tasks of LangGraph's functional interface: each call is noted in a file, and some ask or fail."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any

from langgraph.func import task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action


class State(TypedDict, total=False):
    """Where calls are noted, and what they returned."""

    folder: str
    said: Annotated[list[str], operator.add]


@action(name="called_pay", touches="an account", reversible=False)
async def pay(folder: str, amount: int) -> str:
    """Pay: a line in a file."""
    _note(folder, f"paid {amount}")
    return f"paid {amount}"


def _note(folder: str, line: str) -> None:
    with (Path(folder) / "log").open("a") as log:
        log.write(f"{line}\n")


@task
async def fetch(folder: str, name: str) -> str:
    """Note that it ran."""
    _note(folder, name)
    return name


@task
async def ask(question: str) -> str:
    """Ask somebody."""
    return str(interrupt(question))


@task
async def settle(folder: str, amount: int) -> str:
    """Pay, through a task that it calls itself."""
    await fetch(folder, f"settles {amount}")
    return await act(get_runtime(), pay, folder=folder, amount=amount)


async def _asks(state: State) -> State:
    said = [await fetch(state["folder"], "a"), str(interrupt("go on?"))]
    return {"said": [*said, await fetch(state["folder"], "b")]}


async def _asked(state: State) -> State:
    await fetch(state["folder"], "a")
    calls: list[Any] = [ask("first?"), ask("second?")]
    return {"said": list(await asyncio.gather(*calls))}


async def _fails(state: State, runtime: Runtime[None]) -> State:
    said = [await settle(state["folder"], 1), await settle(state["folder"], 2)]
    trap = Path(state["folder"]) / "trap"
    if trap.exists():
        trap.unlink()
        raise ConnectionError("not now")
    return {"said": said}


def _built(name: str, node: Any) -> Any:  # a compiled graph
    builder = StateGraph(State)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder.compile()


asks = _built("desk", _asks)
asked = _built("desk", _asked)
fails = _built("desk", _fails)
renamed = _built("office", _fails)
