"""A graph that pays once a person agrees, and asks twice: before the payment and before the receipt."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context
from interlock.core.gate import Decision, Question, ask_person
from interlock.core.sync import sync_too


class PaymentInput(TypedDict):
    """Who gets how much."""

    payee: str
    amount: int
    ledger: str


class PaymentState(TypedDict, total=False):
    """Everything about the payment."""

    payee: str
    amount: int
    ledger: str
    decision: Decision
    receipt: Decision
    paid: str


@action(name="pay", touches="the bank account", nodes=("pay",), reversible=False)
async def pay_action(payee: str, amount: int, ledger: str) -> str:
    """Pay: append a line to a file; then die, once, where a test has laid a file that says so."""
    with Path(ledger).open("a") as file:
        file.write(f"{payee} {amount}\n")
    if (trap := Path(f"{ledger}.trap")).exists():
        trap.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{payee} has {amount}"


async def ask(state: PaymentState, runtime: Runtime[Context]) -> PaymentState:
    """Ask whether to pay."""
    arguments = {"payee": state["payee"], "amount": state["amount"], "ledger": state["ledger"]}
    question = Question(action=pay_action, arguments=arguments, summary="Pay?")
    return {"decision": await ask_person(runtime, question)}


async def pay(state: PaymentState, runtime: Runtime[Context]) -> PaymentState:
    """Pay what was agreed."""
    agreed = state["decision"]
    return {"paid": await act(runtime, pay_action, approval=agreed, **agreed["arguments"])}


async def confirm(state: PaymentState, runtime: Runtime[Context]) -> PaymentState:
    """Ask whether the receipt may go out."""
    arguments = {"payee": state["payee"], "amount": 0, "ledger": state["ledger"]}
    question = Question(
        action=pay_action,
        arguments=arguments,
        summary="Send the receipt?",
        decisions=("approve", "reject"),
    )
    return {"receipt": await ask_person(runtime, question)}


def after_ask(state: PaymentState) -> Literal["pay", "__end__"]:
    """Pay only what was agreed."""
    return "pay" if state["decision"]["type"] in ("approve", "edit") else "__end__"


def build() -> StateGraph[PaymentState, Context, PaymentInput, PaymentState]:
    """Return the payment's shape."""
    builder = StateGraph(PaymentState, context_schema=Context, input_schema=PaymentInput)
    builder.add_node("ask", ask)
    builder.add_node("pay", pay)
    builder.add_node("confirm", confirm)
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", after_ask)
    builder.add_edge("pay", "confirm")
    builder.add_edge("confirm", END)
    return builder


graph = sync_too(build()).compile(name="payment")
