"""Payments whose arguments are wrong: as tool calls of a model, and as acts of a node."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Send
from pydantic import Field
from typing_extensions import TypedDict

from interlock.core import actions
from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context
from interlock.errors import ActionRefused

LIMIT = 100


class Payment(TypedDict, total=False):
    """Who is paid, and how much."""

    log: str
    amount: int
    to: str
    messages: Annotated[list[AnyMessage], add_messages]
    paid: str


def within(state: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """Refuse more than the limit."""
    return f"more than {LIMIT}" if arguments["amount"] > LIMIT else None


@action(name="mended_wire", touches="the log", preconditions=(within,))
async def wire(path: str, amount: Annotated[int, Field(ge=1)], to: str) -> str:
    """Pay: a line in the log; nothing is paid to nobody."""
    if to == "nobody":
        raise ActionRefused("the bank knows no nobody")
    with Path(path).open("a") as file:
        file.write(f"wire {amount} to {to}\n")
    return f"{amount} to {to}"


@action(name="mended_shaky", touches="the log", reversible=True)
async def shaky(path: str, amount: Annotated[int, Field(ge=1)]) -> str:
    """Break before anybody knows whether it paid."""
    raise RuntimeError("the line broke")


@tool
def book(path: str, nights: int) -> str:
    """Book some nights."""
    if nights < 1:
        raise ValueError("nobody stays for no night")
    with Path(path).open("a") as file:
        file.write(f"book {nights}\n")
    return f"{nights} nights"


async def plan(state: Payment) -> Payment:
    """Ask for a payment, as a model does."""
    args = {"path": state["log"], "amount": state["amount"], "to": state["to"]}
    call = {"name": "mended_wire", "args": args, "id": "call_1", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


async def do(state: Payment, runtime: Runtime[Any]) -> Payment:
    """Do what is asked for."""
    (call,) = _last(state).tool_calls
    paid = await act(runtime, actions.find(call["name"]), **call["args"])
    return {"messages": [ToolMessage(paid, tool_call_id=call["id"])], "paid": paid}


async def plan_nights(state: Payment) -> Payment:
    """Ask for nights, as a model does."""
    nights = {"path": state["log"], "nights": state["amount"]}
    call = {"name": "book", "args": nights, "id": "call_2", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


def one_by_one(state: Payment) -> list[Send]:
    """Send each call on its own."""
    return [Send("tools", [each]) for each in _last(state).tool_calls]


async def pay(state: Payment, runtime: Runtime[Any]) -> Payment:
    """Pay what the state says."""
    paid = await act(runtime, wire, path=state["log"], amount=state["amount"], to=state["to"])
    return {"paid": paid}


async def pay_bob(state: Payment, runtime: Runtime[Any]) -> Payment:
    """Pay bob, whoever the state says."""
    return {"paid": await act(runtime, wire, path=state["log"], amount=state["amount"], to="bob")}


async def pay_double(state: Payment, runtime: Runtime[Any]) -> Payment:
    """Pay what comes of the state."""
    amount = state["amount"] * 2
    return {"paid": await act(runtime, wire, path=state["log"], amount=amount, to=state["to"])}


async def shake(state: Payment, runtime: Runtime[Any]) -> Payment:
    """Leave one act in doubt, and have the next refused."""
    with suppress(RuntimeError):
        await act(runtime, shaky, path=state["log"], amount=1)
    return {"paid": await act(runtime, shaky, path=state["log"], amount=state["amount"])}


def _last(state: Payment) -> AIMessage:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    return last


def begun(*nodes: Any) -> StateGraph[Payment, Context]:
    """Return nodes in a row."""
    return (
        StateGraph(Payment, context_schema=Context).add_sequence(nodes).add_edge(START, nodes[0][0])
    )


def sends() -> StateGraph[Payment, Context]:
    """Return a model's calls that are sent one by one."""
    builder = StateGraph(Payment, context_schema=Context)
    builder.add_node(plan_nights).add_node("tools", ToolNode([book]))
    return builder.add_edge(START, "plan_nights").add_conditional_edges(
        "plan_nights", one_by_one, ["tools"]
    )


FIVE = Declaration(steps=5)
called = bounded(begun(("plan", plan), ("do", do)), FIVE, name="called")
tools = begun(("plan", plan_nights), ("tools", ToolNode([book]))).compile(name="tools")
sent = sends().compile(name="sent")
asked = bounded(begun(("pay", pay)), FIVE, name="asked")
fixed = bounded(begun(("pay", pay_bob)), FIVE, name="fixed")
doubled = bounded(begun(("pay", pay_double)), FIVE, name="doubled")
shaken = bounded(begun(("shake", shake)), FIVE, name="shaken")
