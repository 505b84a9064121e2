"""Write the report from the findings, or mend what was found wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context, context_of
from interlock.core.structured import ask
from nodes.research.progress import tell
from nodes.research.questions import Report, WriteRequest
from state.research import Draft, Fault, Finding, Outcome, Task


class WriteInput(TypedDict):
    """What the writer reads."""

    question: str
    plan: list[Task]
    findings: list[Finding]
    outcomes: dict[str, Outcome]
    draft: Draft
    faults: list[Fault]
    revision: int


class Written(TypedDict):
    """A draft that nobody has checked yet."""

    draft: Draft
    dropped: list[Fault]
    models: list[str]


async def write(state: WriteInput, runtime: Runtime[Context]) -> Written:
    """Ask the writer for a report whose every sentence cites findings."""
    request = WriteRequest(
        question=state["question"],
        plan=state["plan"],
        findings=state["findings"],
        open_tasks=open_tasks(state["plan"], state["outcomes"]),
        draft=state["draft"] if state["draft"]["sections"] else None,
        faults=state["faults"],
    )
    report = await ask(runtime, request, Report)
    draft = cast("Draft", report.model_dump())
    tell(
        runtime,
        {
            "event": "draft",
            "revision": state["revision"],
            "sections": len(draft["sections"]),
            "sentences": sum(len(section["sentences"]) for section in draft["sections"]),
        },
    )
    return {"draft": draft, "dropped": [], "models": models_of(context_of(runtime))}


def open_tasks(plan: Sequence[Task], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return what could not be found out, with the reason, one line a task."""
    ended = [(task, outcomes[task["id"]]) for task in plan if task["id"] in outcomes]
    return [
        f"{task['question']} ({outcome['reason']})"
        for task, outcome in ended
        if outcome["status"] != "met"
    ]


def models_of(context: Context) -> list[str]:
    """Return the names of the models that play the roles, the main one first."""
    return list(dict.fromkeys([context.model, *context.role_models.values()]))
