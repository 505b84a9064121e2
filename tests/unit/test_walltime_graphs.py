"""Limits on wall time in plain LangGraph: what is under way is interrupted, and the graph lands."""

from __future__ import annotations

import asyncio
import operator
import time
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits
from interlock.errors import BudgetSpent


class State(TypedDict, total=False):
    """What was said."""

    said: Annotated[list[str], operator.add]


async def hang(state: State) -> State:
    """Wait for ever."""
    await asyncio.Event().wait()
    return {"said": ["hung"]}


async def quick(state: State) -> State:
    """End at once."""
    return {"said": ["quick"]}


async def land(state: State) -> State:
    """Deliver what there is."""
    return {"said": ["landed"]}


def graph_of(*nodes: Any, limits: Limits, lands: bool = False) -> Any:  # a compiled graph
    """The nodes side by side, and a landing."""
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
        builder.add_edge(node.__name__, END)
    builder.add_node("land", land)
    builder.add_edge("land", END)
    declaration = Declaration(steps=10, limits=limits, land="land" if lands else "")
    return bounded(builder, declaration, name="timed").copy({"checkpointer": InMemorySaver()})


def thread(name: str = "t") -> Any:  # LangGraph's configuration
    return {"configurable": {"thread_id": name}}


async def test_a_node_that_takes_too_long_is_interrupted() -> None:
    """The run fails with what was spent; what ended beside it is kept."""
    graph = graph_of(quick, hang, limits=Limits(seconds=0.2))

    began = time.monotonic()
    with pytest.raises(BudgetSpent, match="time at work of run") as raised:
        await graph.ainvoke({}, thread())

    assert raised.value.unit == "seconds"
    assert 0.2 <= time.monotonic() - began < 1
    assert (await graph.aget_state(thread())).next == ("hang",)


def test_a_synchronous_invoke_is_interrupted_too() -> None:
    """The caller waits in `graph.invoke`."""
    with pytest.raises(BudgetSpent):
        graph_of(hang, limits=Limits(seconds=0.1)).invoke({}, thread())


async def test_a_run_out_of_time_lands() -> None:
    """The part that is kept back is left for the landing, which delivers what there is."""
    graph = graph_of(quick, hang, limits=Limits(seconds=0.4, landing=0.5), lands=True)

    began = time.monotonic()
    state = await graph.ainvoke({}, thread())

    assert state["said"] == ["quick", "landed"]
    assert time.monotonic() - began >= 0.2


async def test_branches_take_the_same_time_once() -> None:
    """Many at a time do not use it up faster."""

    async def first(state: State) -> State:
        await asyncio.sleep(0.15)
        return {"said": ["first"]}

    async def second(state: State) -> State:
        await asyncio.sleep(0.15)
        return {"said": ["second"]}

    state = await graph_of(first, second, limits=Limits(seconds=0.25)).ainvoke({}, thread())
    assert state["said"] == ["first", "second"]


async def test_a_graph_inside_another_one_has_its_own_time() -> None:
    """The graph around it is not interrupted, and sees the error of the one inside."""
    inner = graph_of(hang, limits=Limits(seconds=0.1))
    said: list[str] = []

    async def outer(state: State) -> State:
        try:
            await inner.ainvoke({}, thread("inner"))
        except BudgetSpent as spent:
            said.append(spent.unit)
        return {"said": ["outer"]}

    state = await graph_of(outer, limits=Limits(seconds=5)).ainvoke({}, thread())
    assert (state["said"], said) == (["outer"], ["seconds"])
