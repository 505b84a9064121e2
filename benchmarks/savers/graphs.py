"""Graphs of one node that runs as often as it is told, and messages to fill them with."""

from __future__ import annotations

import base64
import operator
import random
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

Graph = CompiledStateGraph[Any, Any, Any, Any]  # each has a state of its own
Saver = BaseCheckpointSaver[str]
Message = dict[str, str]

KILOBYTE = 1024
MEGABYTE = KILOBYTE * KILOBYTE


class Ticking(TypedDict, total=False):
    """A small state: a number, and an object that changes at each step."""

    step: int
    until: int
    seen: dict[str, object]


def ticking(saver: Saver) -> Graph:
    """Return a graph that counts up to `until`, one task and one small object a step."""

    async def tick(state: Ticking) -> Ticking:
        step = state.get("step", 0) + 1
        return {"step": step, "seen": {"step": step, "note": "x" * 200, "open": [step, step + 1]}}

    return _looping(Ticking, tick, saver)


class Times(list[float]):
    """When each step began; filled by the node that is measured."""


def plain_list(saver: Saver, size: int, times: Times) -> Graph:
    """Return a graph whose state is a list that `operator.add` appends a message to at each step."""

    class Added(TypedDict, total=False):
        step: int
        until: int
        messages: Annotated[list[Message], operator.add]

    return _looping(Added, _appending(times, lambda step: as_dict(step, size)), saver)


def message_list(saver: Saver, size: int, times: Times) -> Graph:
    """Return the same with LangChain's messages and `add_messages`."""

    class Chat(TypedDict, total=False):
        step: int
        until: int
        messages: Annotated[list[AnyMessage], add_messages]

    return _looping(Chat, _appending(times, lambda step: as_message(step, size)), saver)


def delta_list(saver: Saver, size: int, times: Times) -> Graph:
    """Return the same with a `DeltaChannel`, which stores only what is appended and now and then all of it."""

    class Deltas(TypedDict, total=False):
        step: int
        until: int
        messages: Annotated[list[Message], DeltaChannel(_extend, list)]

    return _looping(Deltas, _appending(times, lambda step: as_dict(step, size)), saver)


class Paper(TypedDict, total=False):
    """A large document."""

    step: int
    until: int
    text: str


def document(saver: Saver, edit: Callable[[str, int], str] | None) -> Graph:
    """Return a graph that carries a large text, and edits it at each step or leaves it alone."""

    async def tick(state: Paper) -> Paper:
        step = state.get("step", 0) + 1
        return {"step": step, "text": edit(state["text"], step)} if edit else {"step": step}

    return _looping(Paper, tick, saver)


def overwritten(text: str, step: int) -> str:
    """Write some characters over others somewhere in a text."""
    place = random.Random(step).randrange(len(text) - 40)
    mark = f"[edited at step {step}]"
    return text[:place] + mark + text[place + len(mark) :]


def inserted(text: str, step: int) -> str:
    """Put some characters into a text, so that everything after them moves."""
    place = random.Random(step).randrange(len(text))
    return f"{text[:place]}[put in at step {step}]{text[place:]}"


def text_of(size: int, *, seed: object) -> str:
    """Return so many characters that do not compress to less than three quarters, the same for the same seed."""
    made = random.Random(f"{seed}").randbytes(size * 3 // 4 + 3)
    return base64.b64encode(made).decode()[:size]


def as_dict(step: int, size: int) -> Message:
    """Return a message as plain data."""
    return {"role": "user", "id": f"m{step}", "content": text_of(size, seed=step)}


def as_message(step: int, size: int) -> AnyMessage:
    """Return one of LangChain's messages."""
    return HumanMessage(text_of(size, seed=step), id=f"m{step}")


def _extend(state: list[Message], writes: Sequence[list[Message]]) -> list[Message]:
    return [*state, *(each for write in writes for each in write)]


def _appending(times: Times, message: Callable[[int], object]) -> Callable[[Any], Any]:  # any state
    async def append(state: Any) -> dict[str, object]:  # each list has a schema of its own
        times.append(time.perf_counter())
        step = state.get("step", 0) + 1
        return {"step": step, "messages": [message(step)]}

    return append


def _looping(schema: type[Any], node: Any, saver: Saver) -> Graph:  # whatever state it has
    builder = StateGraph(schema)
    builder.add_node("tick", node)
    builder.add_edge(START, "tick")
    builder.add_conditional_edges("tick", _after_tick, ["tick", END])
    return builder.compile(checkpointer=saver)


def _after_tick(state: Any) -> str:  # any of the states above
    return "tick" if state["step"] < state["until"] else END
