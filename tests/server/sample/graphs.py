"""Graphs as an application has them that knows nothing of Interlock, for tests of the server.

`echo` answers at once; `talker` streams a scripted model's words; `asks` asks a person twice, and `both` at once;
`steps` takes many steps, each as long as it is told; `nested` has a subgraph; `fails` raises.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typing_extensions import TypedDict

ANSWER = "All is well that ends well."


class Echo(TypedDict, total=False):
    """What is said, and what was answered."""

    said: str
    answered: str


class Talk(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


class Asked(TypedDict, total=False):
    """What people said."""

    topic: str
    answers: Annotated[list[str], operator.add]


class Stepping(TypedDict, total=False):
    """How many steps to take, how long each is, and what was done."""

    count: int
    seconds: float
    done: Annotated[list[int], operator.add]


def _echo(state: Echo) -> dict[str, Any]:
    return {"answered": state.get("said", "")[::-1]}


async def _talk(state: Talk) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage(ANSWER)]))
    return {"messages": [await model.ainvoke(state["messages"])]}


def _ask(state: Asked) -> dict[str, Any]:
    return {"answers": [str(interrupt({"question": f"What of {state.get('topic')}?"}))]}


def _ask_again(state: Asked) -> dict[str, Any]:
    return {"answers": [str(interrupt("And now?"))]}


def _tell(state: Asked) -> dict[str, Any]:
    told = {"question": "Refund it?", "amount": 20, "customer": {"name": "Ada"}}
    return {"answers": [str(interrupt(told))]}


async def _step(state: Stepping) -> dict[str, Any]:
    number = len(state.get("done", []))
    get_stream_writer()({"step": number})
    await asyncio.sleep(state.get("seconds", 0.0))
    return {"done": [number]}


def _again(state: Stepping) -> str:
    return "step" if len(state["done"]) < state.get("count", 1) else END


def _fail(state: Echo) -> dict[str, Any]:
    raise ValueError(f"cannot answer {state.get('said')!r}")


echo = StateGraph(Echo).add_node("echo", _echo).add_edge(START, "echo").compile()
talker = StateGraph(Talk).add_node("talk", _talk).add_edge(START, "talk").compile()
asks = (
    StateGraph(Asked)
    .add_node("ask", _ask)
    .add_node("ask_again", _ask_again)
    .add_edge(START, "ask")
    .add_edge("ask", "ask_again")
    .compile()
)
both = (
    StateGraph(Asked)
    .add_node("ask", _ask)
    .add_node("ask_again", _ask_again)
    .add_edge(START, "ask")
    .add_edge(START, "ask_again")
    .compile()
)
tells = StateGraph(Asked).add_node("tell", _tell).add_edge(START, "tell").compile()
steps = (
    StateGraph(Stepping)
    .add_node("step", _step)
    .add_edge(START, "step")
    .add_conditional_edges("step", _again)
    .compile()
)
nested = (
    StateGraph(Stepping)
    .add_node("inner", steps)
    .add_node("after", _step)
    .add_edge(START, "inner")
    .add_edge("inner", "after")
    .compile()
)
fails = StateGraph(Echo).add_node("fail", _fail).add_edge(START, "fail").compile()
