"""Clerks side by side, each a subgraph that pays; each node and each payment is noted in a file outside."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context
from interlock.core.sync import sync_too


class ClerkInput(TypedDict, total=False):
    """What a clerk is given."""

    who: str
    log: str


class ClerkState(ClerkInput, total=False):
    """What a clerk knows."""

    amount: int
    paid: Annotated[list[str], operator.add]


class ClerkOutput(TypedDict, total=False):
    """What a clerk hands back."""

    paid: Annotated[list[str], operator.add]


class OfficeInput(TypedDict, total=False):
    """Which clerks there are."""

    clerks: list[str]
    log: str


class OfficeState(OfficeInput, total=False):
    """What was paid."""

    paid: Annotated[list[str], operator.add]


def note(log: str, line: str) -> None:
    """Append a line to the outside log."""
    with Path(log).open("a") as file:
        file.write(line + "\n")


@action(name="clerk_pay", touches="the till", reversible=True)
async def pay_action(who: str, amount: int, log: str) -> str:
    """Take money out of the till."""
    note(log, f"paid {who} {amount}")
    return f"{who} has {amount}"


async def reckon(state: ClerkState) -> ClerkState:
    """Say how much."""
    note(state["log"], f"reckon {state['who']}")
    return {"amount": 5}


async def pay(state: ClerkState, runtime: Runtime[Context]) -> ClerkState:
    """Pay; where a test has laid a file that says so, fail once that is done and clerk a closes."""
    note(state["log"], f"pay {state['who']}")
    paid = await act(
        runtime, pay_action, who=state["who"], amount=state["amount"], log=state["log"]
    )
    if Path(f"{state['log']}.{state['who']}").exists():
        while "close a" not in Path(state["log"]).read_text():  # noqa: ASYNC110  # another subgraph's word
            await asyncio.sleep(0.01)
        raise RuntimeError(f"{state['who']} was told to fail")
    return {"paid": [paid]}


async def close(state: ClerkState) -> ClerkState:
    """Close the till."""
    note(state["log"], f"close {state['who']}")
    return {}


async def lock(state: OfficeState) -> OfficeState:
    """Close the office."""
    note(state["log"], "lock")
    return {}


def clerks(state: OfficeState) -> list[Send]:
    """Give each clerk its work."""
    return [Send("clerk", {"who": who, "log": state["log"]}) for who in state["clerks"]]


def build_clerk() -> StateGraph[ClerkState, Context, ClerkInput, ClerkOutput]:
    """Return a clerk."""
    builder = StateGraph(
        ClerkState, context_schema=Context, input_schema=ClerkInput, output_schema=ClerkOutput
    )
    builder.add_node("reckon", reckon)
    builder.add_node("pay", pay)
    builder.add_node("close", close)
    builder.add_edge(START, "reckon")
    builder.add_edge("reckon", "pay")
    builder.add_edge("pay", "close")
    return builder


def build() -> StateGraph[OfficeState, Context, OfficeInput, OfficeState]:
    """Return the office."""
    builder = StateGraph(OfficeState, context_schema=Context, input_schema=OfficeInput)
    builder.add_node("clerk", sync_too(build_clerk()).compile())
    builder.add_node("lock", lock)
    builder.add_conditional_edges(START, clerks, ["clerk"])
    builder.add_edge("clerk", "lock")
    return builder


graph = sync_too(build()).compile(name="clerks")
