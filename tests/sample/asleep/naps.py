"""Graphs whose nodes sleep, and note outside what they do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from langgraph.constants import END, START
from langgraph.graph import StateGraph
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, interrupt
from typing_extensions import TypedDict

from interlock.core.actions import action
from interlock.core.gate import Question, ask_person
from interlock.core.sleeping import sleep


def joined(left: list[str], right: list[str]) -> list[str]:
    return left + right


class State(TypedDict, total=False):
    folder: str
    seconds: float
    later: float
    said: Annotated[list[str], joined]


def note(state: State, line: str) -> None:
    with (Path(state["folder"]) / "log").open("a") as log:
        log.write(f"{line}\n")


async def before(state: State) -> State:
    note(state, "before")
    return {"said": ["before"]}


async def rest(state: State) -> State:
    note(state, "rest begins")
    await sleep(timedelta(seconds=state["seconds"]))
    note(state, "rest ends")
    return {"said": ["rested"]}


async def rest_longer(state: State) -> State:
    note(state, "longer begins")
    await sleep(state["later"])
    note(state, "longer ends")
    return {"said": ["rested longer"]}


async def rest_twice(state: State) -> State:
    note(state, "begins")
    await sleep(state["seconds"])
    note(state, "between")
    await sleep(state["later"])
    note(state, "ends")
    return {"said": ["rested twice"]}


async def ask(state: State) -> State:
    answer = interrupt("Go on?")
    note(state, f"answered {answer}")
    return {"said": [f"answered {answer}"]}


async def catch(state: State) -> State:
    try:
        await sleep(state["seconds"])
    except Exception as error:  # as one does around what may fail
        note(state, f"caught {type(error).__name__}")
    return {"said": ["rested"]}


async def catch_all(state: State) -> State:
    naps = [sleep(state["seconds"]), sleep(state["later"])]
    await asyncio.gather(*naps, return_exceptions=True)
    return {}


@action(name="naps_ring", touches="the bell", nodes=("catch_question",), reversible=False)
async def ring(loud: bool) -> str:
    """Ring it."""
    return "rang"


async def catch_question(state: State, runtime: Runtime[None]) -> State:
    with suppress(Exception):
        await ask_person(runtime, Question(action=ring, arguments={"loud": True}, summary="Ring?"))
    return {"said": ["rang"]}


failures: dict[str, int] = {}


async def rest_then_fail(state: State) -> State:
    note(state, "begins")
    await sleep(state["seconds"])
    failures[state["folder"]] = failures.get(state["folder"], 0) + 1
    if failures[state["folder"]] < 3:
        raise ConnectionError("not yet")
    note(state, "ends")
    return {"said": ["rested"]}


def line_of(*nodes: Any) -> StateGraph[State]:  # functions of nodes
    graph = StateGraph(State)
    graph.add_sequence(list(nodes))
    graph.add_edge(START, nodes[0].__name__)
    graph.add_edge(nodes[-1].__name__, END)
    return graph


def fan_of(*nodes: Any) -> StateGraph[State]:  # functions of nodes
    graph = StateGraph(State)
    graph.add_node(before)
    graph.add_edge(START, "before")
    for node in nodes:
        graph.add_node(node)
        graph.add_edge("before", node.__name__)
        graph.add_edge(node.__name__, END)
    return graph


async def after(state: State) -> State:
    note(state, "after")
    return {"said": ["after"]}


nap = line_of(before, rest, after).compile(name="nap")
twice = line_of(rest_twice).compile(name="twice")
catches = line_of(before, catch, after).compile(name="catches")
catches_question = line_of(before, catch_question, after).compile(name="catches_question")
catches_all = line_of(before, catch_all, after).compile(name="catches_all")
branches = fan_of(rest, rest_longer).compile(name="branches")
beside = fan_of(rest, ask).compile(name="beside")

_outer = StateGraph(State)
_outer.add_node("inner", line_of(rest_twice).compile(name="inner"))
_outer.add_node(after)
_outer.add_edge(START, "inner")
_outer.add_edge("inner", "after")
nested = _outer.compile(name="nested")

_flaky = StateGraph(State)
_flaky.add_node(
    "rest_then_fail",
    rest_then_fail,
    retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False),
)
_flaky.add_edge(START, "rest_then_fail")
flaky = _flaky.compile(name="flaky")
