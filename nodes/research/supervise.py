"""Look at what was found, and add tasks for what is missing."""

from __future__ import annotations

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context
from interlock.core.structured import ask
from interlock.errors import LimitReached
from nodes.research.plan import revised
from nodes.research.progress import tell
from nodes.research.questions import SuperviseRequest, Supervision
from state.research import (
    ATTEMPTS,
    ROUNDS,
    Fault,
    Finding,
    Outcome,
    ResearcherState,
    ResearchState,
    Strategy,
    Task,
    ready_tasks,
)


class SuperviseInput(TypedDict):
    """What the supervisor reads."""

    question: str
    plan: list[Task]
    outcomes: dict[str, Outcome]
    findings: list[Finding]
    faults: list[Fault]
    round: int


class Supervised(TypedDict, total=False):
    """The plan, revised for what is missing; empty when it stays as it is."""

    plan: list[Task]
    round: int


async def supervise(state: SuperviseInput, runtime: Runtime[Context]) -> Supervised:
    """Give out tasks that are ready; when all have ended, ask once what is missing."""
    if ready := ready_tasks(state["plan"], state["outcomes"]):
        return _go_on(runtime, state["round"], ready)
    _refuse_total_failure(state)
    if not state["findings"] or state["round"] >= ROUNDS:
        return _go_on(runtime, state["round"], [])
    request = SuperviseRequest(
        question=state["question"],
        plan=state["plan"],
        outcomes=list(state["outcomes"].values()),
        findings=state["findings"],
        faults=state["faults"],
        rounds_left=ROUNDS - state["round"],
    )
    answer = await ask(runtime, request, Supervision)
    plan = revised(state["plan"], answer.tasks)
    new = plan[len(state["plan"]) :]
    number = state["round"] + 1 if new else state["round"]
    tell(
        runtime,
        {"event": "supervise", "round": number, "missing": answer.missing, "tasks": new},
    )
    return {"plan": plan, "round": number}


def _go_on(runtime: Runtime[Context], number: int, tasks: list[Task]) -> Supervised:
    tell(runtime, {"event": "supervise", "round": number, "missing": "", "tasks": tasks})
    return {}


def _refuse_total_failure(state: SuperviseInput) -> None:
    """Raise `LimitReached` when no researcher could even search: that is not an answer."""
    outcomes = state["outcomes"].values()
    if not any(outcome["queries"] for outcome in outcomes):
        reasons = "; ".join(sorted({outcome["reason"] for outcome in outcomes}))
        raise LimitReached(
            f"None of {len(outcomes)} tasks could be worked on, {ATTEMPTS} attempts each: {reasons}.",
            hint="Mend the cause, and fork the thread before its researchers.",
        )


def assignments(state: ResearchState) -> list[ResearcherState]:
    """Return what each researcher of the next wave is given."""
    return [_assignment(state, task) for task in ready_tasks(state["plan"], state["outcomes"])]


def _assignment(state: ResearchState, task: Task) -> ResearcherState:
    before = state["outcomes"].get(task["id"])
    return {
        "question": state["question"],
        "sources": state["sources"],
        "collection": state["library"]["collection"],
        "task": task,
        "strategy": _other(before["strategy"]) if before else "focused",
        "attempt": before["attempts"] + 1 if before else 1,
        "known": [each["claim"] for each in state["findings"] if each["task"] in task["needs"]],
    }


def _other(strategy: Strategy) -> Strategy:
    return "broad" if strategy == "focused" else "focused"
