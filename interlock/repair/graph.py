"""The shape of a repair: read, diagnose, propose, try, judge, ask, promote; with two circles, both bounded."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy

from interlock.core import prompts
from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits
from interlock.core.context import Context
from interlock.core.repairs import GRAPH, Trial
from interlock.core.transient import is_transient
from interlock.repair import rules  # noqa: F401 - its rules stand in where there is no model
from interlock.repair.nodes import ask, diagnose, judge, promote_, propose, read, try_
from interlock.repair.state import PROPOSALS, STEPS, RepairInput, RepairOutput, RepairState

prompts.register("repair", Path(__file__).parent / "prompts")

LIMITS = Limits(model_calls=100, seconds=1800)
"""What one repair may take with its trials, unless its caller says otherwise: not every model has known prices."""

RETRY = RetryPolicy(
    max_attempts=3,
    initial_interval=0.2,
    backoff_factor=2.0,
    max_interval=2.0,
    retry_on=is_transient,
)

Ways = dict[Hashable, str]
"""What a router may say, and the node that comes then."""

Builder = StateGraph[RepairState, Context, RepairInput, RepairOutput]

AFTER_READ: Ways = {"open": "diagnose", "over": END}
AFTER_PROPOSE: Ways = {"change": "try", "none": "ask"}
AFTER_JUDGE: Ways = {"better": "ask", "again": "propose", "enough": "ask"}
AFTER_ASK: Ways = {"approved": "promote", "hint": "propose", "rejected": END}


def build() -> Builder:
    """Return the graph, without a checkpointer."""
    repair: Builder = StateGraph(
        RepairState, Context, input_schema=RepairInput, output_schema=RepairOutput
    )
    repair.set_node_defaults(retry_policy=RETRY)
    for node in (read, diagnose, propose, judge, ask):
        repair.add_node(node)
    repair.add_node("try", try_)
    repair.add_node("promote", promote_)
    repair.add_edge(START, "read")
    repair.add_conditional_edges("read", after_read, AFTER_READ)
    repair.add_edge("diagnose", "propose")
    repair.add_conditional_edges("propose", after_propose, AFTER_PROPOSE)
    repair.add_edge("try", "judge")
    repair.add_conditional_edges("judge", after_judge, AFTER_JUDGE)
    repair.add_conditional_edges("ask", after_ask, AFTER_ASK)
    repair.add_edge("promote", END)
    return repair


def after_read(state: RepairState) -> Literal["open", "over"]:
    """Go on when the letter is open and something can be tried."""
    return "over" if state.get("status") else "open"


def after_propose(state: RepairState) -> Literal["change", "none"]:
    """Try the change; without one, ask for help."""
    return "change" if state.get("change") else "none"


def after_judge(state: RepairState) -> Literal["better", "again", "enough"]:
    """Ask once a trial came further; look for another change until there were enough."""
    if Trial.model_validate(state["tried"][-1]["trial"]).good:
        return "better"
    return "again" if state["since"] < PROPOSALS else "enough"


def after_ask(state: RepairState) -> Literal["approved", "hint", "rejected"]:
    """Do as the person says."""
    if state.get("status"):
        return "rejected"
    return "hint" if state["approval"]["type"] == "respond" else "approved"


graph = bounded(build(), Declaration(steps=STEPS, limits=LIMITS), name=GRAPH)
