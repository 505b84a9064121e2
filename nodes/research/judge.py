"""A researcher's last steps: judge what was found, and report how the task stands."""

from __future__ import annotations

from typing import NotRequired

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context
from interlock.core.corpus import Passage
from interlock.core.structured import ask
from nodes.research.progress import tell
from nodes.research.questions import Judgement, JudgeRequest
from state.research import Finding, Outcome, Strategy, Task


class JudgeInput(TypedDict):
    """What is judged, and by what."""

    task: Task
    passages: list[Passage]
    findings: NotRequired[list[Finding]]
    unmet: NotRequired[list[str]]


class ConcludeInput(TypedDict):
    """What the report of a task is made of."""

    task: Task
    strategy: Strategy
    attempt: int
    queries: list[str]
    unmet: list[str]
    findings: NotRequired[list[Finding]]


class Judged(TypedDict):
    """The criteria that are not met yet."""

    unmet: list[str]


class Concluded(TypedDict):
    """How the task stands."""

    outcomes: dict[str, Outcome]


async def judge(state: JudgeInput, runtime: Runtime[Context]) -> Judged:
    """Ask whether the findings meet the task's criteria; where nothing was found, nothing changed."""
    task, findings = state["task"], state.get("findings", [])
    unmet = state.get("unmet", task["criteria"])
    if findings and state["passages"]:
        request = JudgeRequest(task=task, findings=findings)
        unmet = (await ask(runtime, request, Judgement)).unmet
    tell(runtime, {"event": "judged", "task": task["id"], "unmet": unmet})
    return {"unmet": unmet}


async def conclude(state: ConcludeInput, runtime: Runtime[Context]) -> Concluded:
    """Report how the task stands after the last search."""
    outcome = _outcome(state)
    tell(
        runtime,
        {
            "event": "task",
            "task": outcome["task"],
            "status": outcome["status"],
            "reason": outcome["reason"],
        },
    )
    return {"outcomes": {outcome["task"]: outcome}}


def _outcome(state: ConcludeInput) -> Outcome:
    outcome = Outcome(
        task=state["task"]["id"],
        status="met",
        attempts=state["attempt"],
        strategy=state["strategy"],
        queries=state["queries"],
        unmet=state["unmet"],
        reason="",
    )
    if not state.get("findings"):
        return outcome | {"status": "open", "reason": "the sources say nothing about it"}
    if state["unmet"]:
        return outcome | {"status": "partial", "reason": f"not met: {'; '.join(state['unmet'])}"}
    return outcome
