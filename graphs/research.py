"""The research team: plan, research in parallel, supervise, write, verify, criticise, approve, publish.

Every cycle has a limit in `state.research`, and says there what happens when it is reached.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy, Send

import nodes.research.offline  # noqa: F401 - registers the rules of the offline mode
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context
from interlock.core.transient import is_transient
from nodes.research.approve import approve
from nodes.research.critique import critique
from nodes.research.decline import decline
from nodes.research.extract import extract
from nodes.research.failures import surviving
from nodes.research.gather import gather
from nodes.research.judge import conclude, judge
from nodes.research.land import land
from nodes.research.plan import plan
from nodes.research.publish import publish
from nodes.research.search import query, search
from nodes.research.supervise import assignments, supervise
from nodes.research.verify import verify
from nodes.research.write import write
from state.research import (
    RESEARCHER_STEPS,
    SEARCHES,
    STEPS,
    ResearcherOutput,
    ResearcherState,
    ResearchInput,
    ResearchOutput,
    ResearchState,
)

RETRY = RetryPolicy(
    max_attempts=3,
    initial_interval=0.2,
    backoff_factor=2.0,
    max_interval=2.0,
    retry_on=is_transient,
)
"""For what the provider's own client gave up on; its retries honour `Retry-After`, and come first."""

Ways = dict[Hashable, str]
"""What a router may say, and the node that comes then: the labels of the drawing."""

Builder = StateGraph[ResearchState, Context, ResearchInput, ResearchOutput]
ResearcherBuilder = StateGraph[ResearcherState, Context, ResearcherState, ResearcherOutput]


def build() -> Builder:
    """Return the team's graph, without a checkpointer."""
    team: Builder = StateGraph(
        ResearchState, Context, input_schema=ResearchInput, output_schema=ResearchOutput
    )
    team.set_node_defaults(retry_policy=RETRY)
    team.add_node("gather", gather)
    team.add_node("plan", plan)
    declared = Declaration(steps=RESEARCHER_STEPS)
    researcher = bounded(build_researcher(), declared, name="researcher")
    team.add_node("researcher", surviving(researcher))
    for node in (supervise, write, verify, critique, approve, publish, decline, land):
        team.add_node(node)
    team.add_edge(START, "gather")
    team.add_edge("gather", "plan")
    team.add_conditional_edges("plan", after_plan, ["researcher"])
    team.add_edge("researcher", "supervise")
    team.add_conditional_edges("supervise", after_supervise, AFTER_SUPERVISE)
    team.add_edge("write", "verify")
    team.add_conditional_edges("verify", after_verify, AFTER_VERIFY)
    team.add_conditional_edges("critique", after_critique, AFTER_CRITIQUE)
    team.add_conditional_edges("approve", after_approve, AFTER_APPROVE)
    team.add_edge("publish", END)
    team.add_edge("decline", END)
    team.add_edge("land", END)
    return team


def build_researcher() -> ResearcherBuilder:
    """Return one researcher's graph: it searches, reads and judges until its criteria are met."""
    one: ResearcherBuilder = StateGraph(ResearcherState, Context, output_schema=ResearcherOutput)
    one.set_node_defaults(retry_policy=RETRY)
    for node in (query, search, extract, judge, conclude):
        one.add_node(node)
    one.add_edge(START, "query")
    one.add_conditional_edges("query", after_query, AFTER_QUERY)
    one.add_edge("search", "extract")
    one.add_edge("extract", "judge")
    one.add_conditional_edges("judge", after_judge, AFTER_JUDGE)
    one.add_edge("conclude", END)
    return one


def after_plan(state: ResearchState) -> list[Send]:
    """Send out a researcher for each task that needs no other."""
    return [Send("researcher", each) for each in assignments(state)]


AFTER_SUPERVISE: Ways = {"next wave": "researcher", "enough": "write", "nothing found": "decline"}


def after_supervise(state: ResearchState) -> list[Send] | Literal["enough", "nothing found"]:
    """Send out the next wave; when all tasks have ended, write, unless nothing was found."""
    if wave := assignments(state):
        return [Send("researcher", each) for each in wave]
    return "enough" if state["findings"] else "nothing found"


AFTER_QUERY: Ways = {"new": "search", "repeated": "conclude"}


def after_query(state: ResearcherState) -> Literal["new", "repeated"]:
    """Search in new words; the same words again would find the same."""
    *tried, now = [" ".join(each.casefold().split()) for each in state["queries"]]
    return "repeated" if now in tried else "new"


AFTER_JUDGE: Ways = {"not met": "query", "done": "conclude"}


def after_judge(state: ResearcherState) -> Literal["not met", "done"]:
    """Search again while criteria are not met, up to the limit."""
    return "not met" if state["unmet"] and len(state["queries"]) < SEARCHES else "done"


AFTER_VERIFY: Ways = {"faults": "write", "sound": "critique"}


def after_verify(state: ResearchState) -> Literal["faults", "sound"]:
    """Back to the writer with what does not stand in the sources."""
    return "faults" if any(fault["by"] == "verifier" for fault in state["faults"]) else "sound"


AFTER_CRITIQUE: Ways = {"good": "approve", "revise": "write", "research": "supervise"}


def after_critique(state: ResearchState) -> Literal["good", "revise", "research"]:
    """Back to whoever can mend the critic's faults; on when it has none, or nobody may any more."""
    kinds = {fault["kind"] for fault in state["faults"] if fault["by"] == "critic"}
    if "research" in kinds:
        return "research"
    return "revise" if "revise" in kinds else "good"


AFTER_APPROVE: Ways = {"approved": "publish", "wish": "write", "rejected": END}


def after_approve(state: ResearchState) -> Literal["approved", "wish", "rejected"]:
    """Do what the person decided."""
    if state["status"] == "rejected":
        return "rejected"
    return "approved" if state["approval"]["type"] in ("approve", "edit") else "wish"


Graph = CompiledStateGraph[ResearchState, Context, ResearchInput, ResearchOutput]

graph: Graph = bounded(build(), Declaration(steps=STEPS, land="land"), name="research")
