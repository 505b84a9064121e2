"""Ask a critic whether the draft answers the question."""

from __future__ import annotations

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context
from interlock.core.structured import ask
from nodes.research.progress import tell
from nodes.research.questions import Critique, CritiqueRequest
from nodes.research.write import open_tasks
from state.research import REVISIONS, ROUNDS, Draft, Fault, Finding, Outcome, Task

OBJECTION = "objection"
"""The kind of a critic's fault that nobody may mend any more; the approver reads it."""


class CritiqueInput(TypedDict):
    """What the critic reads."""

    question: str
    plan: list[Task]
    outcomes: dict[str, Outcome]
    draft: Draft
    findings: list[Finding]
    faults: list[Fault]
    revision: int
    round: int


class Criticised(TypedDict):
    """The critic's faults beside those of persons; its kind says who mends it."""

    faults: list[Fault]
    revision: int


async def critique(state: CritiqueInput, runtime: Runtime[Context]) -> Criticised:
    """Ask for a verdict; at the limit of revisions the reasons become objections."""
    request = CritiqueRequest(
        question=state["question"],
        plan=state["plan"],
        open_tasks=open_tasks(state["plan"], state["outcomes"]),
        draft=state["draft"],
        findings=state["findings"],
    )
    answer = await ask(runtime, request, Critique)
    tell(
        runtime,
        {"event": "critique", "verdict": answer.verdict, "reasons": answer.reasons},
    )
    faults = _faults(answer, _kind(answer, state["revision"], state["round"]))
    sent_back = any(fault["kind"] != OBJECTION for fault in faults)
    wishes = [fault for fault in state["faults"] if fault["by"] == "person"]
    return {"faults": [*wishes, *faults], "revision": state["revision"] + sent_back}


def _kind(answer: Critique, revision: int, number: int) -> str:
    if revision >= REVISIONS:
        return OBJECTION
    return "research" if answer.verdict == "research" and number < ROUNDS else "revise"


def _faults(answer: Critique, kind: str) -> list[Fault]:
    if answer.verdict == "accept":
        return []
    reasons = [reason for reason in answer.reasons if reason.strip()]
    return [Fault(by="critic", kind=kind, sentence="", reason=reason) for reason in reasons]
