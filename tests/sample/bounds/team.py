"""Graphs that spend: a team whose members call a model in a subgraph, a bare loop, and one that asks a person."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from interlock.core.allowance import landing_here
from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits
from interlock.core.context import Context, context_of
from interlock.errors import BudgetSpent


class Work(TypedDict, total=False):
    """What is to be said how often, and what was said."""

    members: int
    calls: int
    said: Annotated[list[str], operator.add]
    number: int


class Said(TypedDict, total=False):
    """What was said."""

    said: Annotated[list[str], operator.add]


async def say(runtime: Runtime[Context], text: str) -> str:
    """Ask the run's model."""
    context = context_of(runtime)
    model = context.ports.models.model(context.model)
    return (await model.ainvoke([HumanMessage(text)])).text


async def plan(state: Work) -> dict[str, Any]:
    """Begin."""
    return {"said": ["plan"]}


def members(state: Work) -> list[Send]:
    """Send out each member."""
    return [Send("member", {**state, "number": n, "said": []}) for n in range(state["members"])]


async def speak(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call the model as often as was asked."""
    said = [
        await say(runtime, f"{state.get('number', 0)}.{turn}") for turn in range(state["calls"])
    ]
    return {"said": said}


async def aside(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call the model with callbacks of its own, as those do that trace their calls."""
    context = context_of(runtime)
    model = context.ports.models.model(context.model)
    said = [(await model.ainvoke(str(n), {"callbacks": []})).text for n in range(state["calls"])]
    return {"said": said}


async def report(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Say that all was done, with one more call."""
    return {"said": [f"report: {await say(runtime, 'report')}"]}


async def attempt(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call the model once, and say whether that was refused."""
    try:
        return {"said": [await say(runtime, str(state["number"]))]}
    except BudgetSpent:
        return {"said": ["refused"]}


async def block(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call the model synchronously, in threads that this waits for, so that the event loop stands still."""
    context = context_of(runtime)
    model = context.ports.models.model(context.model)
    with ContextThreadPoolExecutor() as pool:
        said = list(pool.map(lambda n: model.invoke(str(n)).text, range(state["calls"])))
    return {"said": [*said, model.invoke("last").text]}


async def land(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Deliver what there is, with one call out of the share that was kept."""
    why = landing_here()
    said = await say(runtime, "land") if why else "nothing kept"
    return {"said": [f"partial ({why.unit if why else ''}): {said}"]}


async def ask(state: Work, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call the model, ask a person, and call it again."""
    first = await say(runtime, "before")
    answer = interrupt("go on?")
    return {"said": [first, str(answer), await say(runtime, "after")]}


def build_team() -> StateGraph[Work, Context, Work, Work]:
    """Return the team's shape."""
    inner: StateGraph[Work, Context, Work, Said] = StateGraph(Work, Context, output_schema=Said)
    inner.add_node("speak", speak)
    inner.add_edge(START, "speak")
    outer: StateGraph[Work, Context, Work, Work] = StateGraph(Work, Context)
    outer.add_node("plan", plan)
    outer.add_node("member", inner.compile(name="member"))
    outer.add_node("report", report)
    outer.add_node("land", land)
    outer.add_edge(START, "plan")
    outer.add_conditional_edges("plan", members, ["member"])
    outer.add_edge("member", "report")
    outer.add_edge("report", END)
    outer.add_edge("land", END)
    return outer


def build_bare(node: Any, name: str) -> StateGraph[Work, Context, Work, Work]:  # a node
    """Return one node."""
    builder: StateGraph[Work, Context, Work, Work] = StateGraph(Work, Context)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder


def build_wide() -> StateGraph[Work, Context, Work, Work]:
    """Return branches side by side that try to call the model, and go on where they may not."""
    builder: StateGraph[Work, Context, Work, Work] = StateGraph(Work, Context)
    builder.add_node("member", attempt)
    builder.add_conditional_edges(START, members, ["member"])
    return builder


team = bounded(
    build_team(), Declaration(steps=20, limits=Limits(landing=0.25), land="land"), name="team"
)
bare = build_bare(speak, "speak").compile(name="bare")
traced = build_bare(aside, "aside").compile(name="traced")
wide = build_wide().compile(name="wide")
blocking = build_bare(block, "block").compile(name="blocking")
asking = bounded(build_bare(ask, "ask"), Declaration(steps=20), name="asking")
