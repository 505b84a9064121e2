"""Graphs that act, and then fail in the way and as often as a test says; each node notes in a file that it ran."""

from __future__ import annotations

import operator
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits
from interlock.core.context import Context
from interlock.core.failures import Backoff, FailureKind
from interlock.core.structured import Request, ask

RETRIES: Mapping[FailureKind, Backoff] = {
    "transient": Backoff(times=3, first=0.02),
    "rate_limit": Backoff(times=3, first=0.02),
}


class State(TypedDict, total=False):
    """How a node fails, and what came of it."""

    how: str
    log: str
    said: Annotated[list[str], operator.add]


class Limited(Exception):
    """As clients of providers raise it."""

    class response:  # noqa: N801  # an attribute of theirs
        """What a provider answered."""

        status_code = 429
        headers: Mapping[str, str] = {"Retry-After": "0.05"}


class Mute(Exception):
    """It cannot say what happened."""

    def __str__(self) -> str:
        """Fail again."""
        raise ValueError("no words")


class Panic(BaseException):
    """As libraries in Rust raise it."""


class Wish(Request):
    """Asks for a number."""

    prompt = "failing/wish"
    role = "planner"

    text: str

    def messages(self, pins: Mapping[str, str]) -> list[BaseMessage]:
        """Return the question."""
        return [HumanMessage(self.text)]


class Number(BaseModel):
    """A number."""

    value: int = Field(ge=0)


@action(name="failing_send", touches="the log", reversible=True)
async def send(path: str, text: str) -> str:
    """Send something: a line in the log."""
    note(path, text)
    return f"sent {text}"


def note(path: str, line: str) -> None:
    """Append a line to the log."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def left(log: str) -> bool:
    """Say whether it is to fail once more: a test writes how often into a file."""
    file = Path(f"{log}.left")
    times = int(file.read_text()) if file.exists() else 0
    file.write_text(str(max(times - 1, 0)))
    return times > 0


async def begin(state: State, runtime: Runtime[Any]) -> State:
    """Act, and leave it behind."""
    return {"said": [await act(runtime, send, path=state["log"], text="begin")]}


async def fail(state: State, runtime: Runtime[Any]) -> State:
    """Act again, and fail."""
    said = await act(runtime, send, path=state["log"], text="act")
    if left(state["log"]):
        note(state["log"], "fail")
        await _fail(state["how"], runtime)
    return {"said": [said]}


async def _fail(how: str, runtime: Runtime[Any]) -> None:
    match how:
        case "network":
            raise ConnectionResetError("the line to postgresql://me:hunter2hunter2@host/db is down")
        case "limited":
            raise Limited("asked too often")
        case "invalid":
            await ask(runtime, Wish(text="A number, please."), Number)
        case "mute":
            raise Mute
        case "panic":
            raise Panic("panicked")
        case "round":
            error = ValueError("of itself")
            raise error from error
        case "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise KeyError("a bug")


async def inner(state: State) -> State:
    """Fail inside a subgraph."""
    if left(state["log"]):
        raise ZeroDivisionError("inside")
    return {}


async def spend(state: State) -> State:
    """Go round for ever."""
    return {"said": ["round"]}


async def end(state: State) -> State:
    """Say goodbye, once that works."""
    if left(f"{state['log']}.end"):
        raise TimeoutError("no answer")
    note(state["log"], "end")
    return {"said": ["end"]}


def build() -> StateGraph[State, Context]:
    """Return three nodes in a row; the second fails."""
    builder = StateGraph(State, context_schema=Context)
    builder.add_node("begin", begin)
    builder.add_node("fail", fail)
    builder.add_node("end", end)
    builder.add_edge(START, "begin")
    builder.add_edge("begin", "fail")
    builder.add_edge("fail", "end")
    return builder


def outer() -> StateGraph[State]:
    """Return a graph whose node is a graph that fails."""
    within = StateGraph(State).add_node("deep", inner).add_edge(START, "deep").compile()
    return StateGraph(State).add_node("whole", within).add_edge(START, "whole")


def endless() -> StateGraph[State]:
    """Return a graph that takes more steps than it may."""
    builder = StateGraph(State).add_node("spend", spend)
    return builder.add_edge(START, "spend").add_edge("spend", "spend")


graph = bounded(build(), Declaration(steps=10, retries=RETRIES), name="fails")
holding = bounded(
    build(), Declaration(steps=10, retries=RETRIES, holds_when_dead=True), name="holds"
)
nested = bounded(outer(), Declaration(steps=10), name="nested")
spending = bounded(endless(), Declaration(steps=9, limits=Limits(steps=3)), name="spends")
rounds = bounded(endless(), Declaration(steps=4), name="rounds")
