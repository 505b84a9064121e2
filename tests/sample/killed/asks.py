"""A graph that asks a model, as many kinds of code do: awaited, streamed, in a thread, holding up the event loop."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context
from interlock.errors import Killed, RunCancelled


class Given(TypedDict, total=False):
    """How the model is asked, and where nodes note that they ran."""

    how: str
    log: str


class State(Given, total=False):
    """What was given, and what came of it."""

    said: Annotated[list[str], operator.add]


@action(name="killed_send", touches="a file", reversible=True)
async def send(path: str) -> str:
    """Note that something is sent, and wait for ever for its receipt."""
    _note(path, "sending")
    await asyncio.Event().wait()
    return "sent"


def _note(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def _model(runtime: Runtime[Context]) -> Any:  # LangChain's chat models
    return runtime.context.ports.models.model(runtime.context.model)


async def beside(state: State) -> State:
    """Finish at once, beside the node that asks."""
    _note(state["log"], "beside")
    return {"said": ["beside"]}


async def ask(state: State, runtime: Runtime[Context]) -> State:
    """Ask a model, or a person, or act."""
    _note(state["log"], "ask")
    match state.get("how"):
        case "person":
            return {"said": [str(interrupt("May I?"))]}
        case "act":
            return {"said": [await act(runtime, send, path=state["log"])]}
        case "thread":
            return {"said": [await asyncio.to_thread(_asked_twice, state, runtime)]}
        case "hold":
            return {"said": [_asked_twice(state, runtime)]}
        case how:
            return {"said": await _asked(how or "", _model(runtime))}


async def _asked(how: str, model: Any) -> list[str]:  # LangChain's chat models
    """Ask asynchronously: as a stream, once, or twice."""
    if how == "stream":
        return ["".join([part.text async for part in model.astream("Hello?")])]
    asked = ["Hello?", "And now?"] if how == "twice" else ["Hello?"]
    return [(await model.ainvoke(each)).text for each in asked]


def _asked_twice(state: State, runtime: Runtime[Context]) -> str:
    """Ask synchronously, one call after the other."""
    model = _model(runtime)
    model.invoke("Hello?")
    try:
        return str(model.invoke("And now?").text)
    except (Killed, RunCancelled):
        _note(state["log"], "refused")
        raise


async def end(state: State) -> State:
    """Say goodbye."""
    _note(state["log"], "end")
    return {"said": ["end"]}


def build() -> StateGraph[State, Context, Given, State]:
    """Return its shape: two nodes side by side, and one after them."""
    builder = StateGraph(State, context_schema=Context, input_schema=Given, output_schema=State)
    builder.add_node("beside", beside)
    builder.add_node("ask", ask)
    builder.add_node("end", end)
    builder.add_edge(START, "beside")
    builder.add_edge(START, "ask")
    builder.add_edge(["beside", "ask"], "end")
    builder.add_edge("end", END)
    return builder


graph = build().compile(name="asks")
other = build().compile(name="other")
