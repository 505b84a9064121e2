"""Deliver what there is when a budget is spent: the draft so far, or the findings as they stand, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.allowance import landing_here
from interlock.core.context import Context
from nodes.research.progress import tell
from state.research import Draft, Finding, Outcome, Section, Sentence, Status, Task


class LandInput(TypedDict, total=False):
    """What is there; a run may be cut off before it has any of it."""

    question: str
    plan: list[Task]
    findings: list[Finding]
    outcomes: dict[str, Outcome]
    draft: Draft


class Delivered(TypedDict):
    """The end of a run whose budget was spent."""

    draft: Draft
    status: Status
    message: str


async def land(state: LandInput, runtime: Runtime[Context]) -> Delivered:
    """End the run with what was found so far; nothing is published."""
    written = bool(state.get("draft", _EMPTY)["sections"])
    draft = _marked(state["draft"]) if written else _from_findings(state)
    landed = landing_here()
    why = landed.reason if landed else "A budget is spent."
    count = len(state.get("findings", ()))
    what = "a draft that was not checked to its end" if written else "the quotations alone"
    message = f"Partial, and not published: {what}, {count} findings. {why}"
    tell(runtime, {"event": "landed", "message": message})
    return {"draft": draft, "status": "partial", "message": message}


def _from_findings(state: LandInput) -> Draft:
    """Return the findings word for word, under the questions of their tasks."""
    plan, findings = state.get("plan", []), state.get("findings", [])
    sections = [_section(task, findings) for task in plan]
    return {
        "title": f"{state.get('question', '').strip()} (partial)",
        "sections": [each for each in sections if each["sentences"]],
        "unknown": _unknown(plan, state.get("outcomes", {})),
        "disagreements": [],
    }


def _section(task: Task, findings: Sequence[Finding]) -> Section:
    own = [each for each in findings if each["task"] == task["id"]]
    sentences = [Sentence(text=f"“{each['quote']}”", citations=[each["id"]]) for each in own]
    return {"heading": task["question"], "sentences": sentences}


def _unknown(plan: Sequence[Task], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return the questions that were not answered to the end."""
    met = {name for name, each in outcomes.items() if each["status"] == "met"}
    return [task["question"] for task in plan if task["id"] not in met]


def _marked(draft: Draft) -> Draft:
    return {**draft, "title": f"{draft['title']} (partial)"}


_EMPTY: Draft = {"title": "", "sections": [], "unknown": [], "disagreements": []}
