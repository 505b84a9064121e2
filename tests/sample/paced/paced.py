"""Graphs that ask models in the ways in which nodes do: side by side, synchronously, in pieces, and for a schema."""

import asyncio
import operator
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.context import Context, context_of

MODEL = "openai:gpt-5"


class State(TypedDict, total=False):
    """What is asked and said."""

    calls: int
    said: Annotated[list[str], operator.add]


class City(BaseModel):
    """A capital."""

    name: str


def model_of(runtime: Runtime[Context]) -> Any:  # a chat model
    """The model that all nodes ask."""
    return context_of(runtime).ports.models.model(MODEL)


async def ask(state: State, runtime: Runtime[Context]) -> State:
    """Ask several times side by side."""
    model, calls = model_of(runtime), state.get("calls", 1)
    answers = await asyncio.gather(*[model.ainvoke(f"question {n}") for n in range(calls)])
    return {"said": [each.text for each in answers]}


def block(state: State, runtime: Runtime[Context]) -> State:
    """Ask one after the other, synchronously."""
    model = model_of(runtime)
    return {"said": [model.invoke(f"question {n}").text for n in range(state.get("calls", 1))]}


async def stream(state: State, runtime: Runtime[Context]) -> State:
    """Ask for an answer in pieces."""
    model = model_of(runtime)
    answers = ["".join([each.text async for each in model.astream("q")])]
    return {"said": [*answers, "".join(each.text for each in model.stream("q"))]}


async def type_(state: State, runtime: Runtime[Context]) -> State:
    """Ask for a city."""
    city = await model_of(runtime).with_structured_output(City).ainvoke("the capital?")
    return {"said": [f"{type(city).__name__} {city.name}"]}


def graph(node: Any) -> Any:
    """A graph of one node."""
    builder = StateGraph(State, context_schema=Context)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile()


asks, blocks, streams, typed = graph(ask), graph(block), graph(stream), graph(type_)
