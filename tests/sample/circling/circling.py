"""An agent that loops in the old way: it makes the same call again because its own messages say that it must."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context
from interlock.core.loops import Loops


class Circling(TypedDict, total=False):
    """What the agent knows; `stubborn`: how many notes it needs until it goes another way."""

    messages: Annotated[list[AnyMessage], add_messages]
    notes: list[str]
    stubborn: int
    page: str
    answer: str
    log: str
    fee: int


@action(name="circling_fee", touches="the purse", reversible=False)
async def pay_fee(amount: int, log: str) -> str:
    """Pay for a search."""
    with Path(log).open("a") as file:
        file.write(f"fee {amount}\n")
    return "paid"


async def agent(state: Circling) -> Circling:
    """Search for the same again, until the notes say that it was tried."""
    if len(state.get("notes", [])) > state.get("stubborn", 0):
        return {"messages": [AIMessage("It is not known.")], "answer": "not known"}
    number = len(state["messages"])
    call = {"name": "search", "args": {"query": "who built it"}, "id": f"call-{number}"}
    return {"messages": [AIMessage("I should look once more.", tool_calls=[call])]}


async def tools(state: Circling, runtime: Runtime[Context]) -> Circling:
    """Find nothing, for a fee if there is one."""
    if fee := state.get("fee"):
        await act(runtime, pay_fee, amount=fee, log=state["log"])
    call = state["messages"][-1].tool_calls[0]  # type: ignore[union-attr]  # an agent's message
    found = ToolMessage("No results.", name="search", tool_call_id=call["id"])
    return {"messages": [found], "page": "an empty page"}


async def land(state: Circling) -> Circling:
    """Deliver what there is."""
    return {"answer": "partial"}


def after_agent(state: Circling) -> Literal["tools", "__end__"]:
    """Call the tools while there are calls."""
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"


def build() -> StateGraph[Circling, Context, Circling, Circling]:
    """Return the agent's shape."""
    builder = StateGraph(Circling, context_schema=Context)
    builder.add_node("agent", agent)
    builder.add_node("tools", tools)
    builder.add_node("land", land)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", after_agent)
    builder.add_edge("tools", "agent")
    builder.add_edge("land", END)
    return builder


def build_around() -> StateGraph[Circling, Context, Circling, Circling]:
    """Return a graph that runs the agent as a subgraph."""
    builder = StateGraph(Circling, context_schema=Context)
    builder.add_node("inner", bounded(build(), DECLARED, name="circling"))
    builder.add_edge(START, "inner")
    builder.add_edge("inner", END)
    return builder


LOOPS = Loops(memory=("messages",), notes="notes")
DECLARED = Declaration(steps=60, loops=LOOPS)

graph = bounded(build(), DECLARED, name="circling")
around = bounded(build_around(), Declaration(steps=10), name="around")
unlimited = build().compile(name="unlimited")
