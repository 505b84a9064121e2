"""Ask a person whether the report may be published; nothing else happens here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context, spent
from interlock.core.gate import Decision, DecisionType, Question, ask_person
from interlock.core.usage import in_words
from nodes.research.publish import approved_sha256, publish_report
from nodes.research.report import Reported
from state.research import REJECTIONS, Fault, Status

CONSEQUENCES: Mapping[DecisionType, str] = {
    "approve": "The report is written to the folder as Markdown and HTML.",
    "edit": "The same, with another title or folder.",
    "reject": "With a message the writer revises the report and asks again; without one the run ends.",
    "respond": "The writer revises the report as you say, and asks again.",
}


class ApproveInput(Reported):
    """What the person is shown, and where it would go."""

    output: str
    rejections: int


class Decided(TypedDict, total=False):
    """What the person decided, and what follows for the writer."""

    approval: Decision
    faults: list[Fault]
    revision: int
    rejections: int
    status: Status
    message: str


async def approve(state: ApproveInput, runtime: Runtime[Context]) -> Decided:
    """Wait for a person's decision on this very report."""
    decision = await ask_person(runtime, question(state, in_words(await spent(runtime))))
    if decision["type"] in ("approve", "edit"):
        return {"approval": decision}
    wish, rejections = decision["message"].strip(), state["rejections"] + 1
    rejected: Decided = {"approval": decision, "rejections": rejections}
    if not wish or rejections >= REJECTIONS:
        return {**rejected, "status": "rejected", "message": _ended(decision, rejections)}
    fault = Fault(by="person", kind=decision["type"], sentence="", reason=wish)
    return {**rejected, "faults": [*state["faults"], fault], "revision": 0}


def question(state: ApproveInput, spending: str) -> Question:
    """Return the question: what would be published where, and what supports it."""
    draft = state["draft"]
    sentences = sum(len(section["sentences"]) for section in draft["sections"])
    return Question(
        action=publish_report,
        arguments=_arguments(state),
        summary=(
            f"Publish “{draft['title']}” ({_count(len(draft['sections']), 'section')}, "
            f"{_count(sentences, 'sentence')}), "
            f"the answer to “{state['question']}”?"
        ),
        evidence=tuple(_evidence(state, spending)),
        consequences=CONSEQUENCES,
        fixed=("report_sha256",),
    )


def _arguments(state: ApproveInput) -> dict[str, Any]:  # JSON
    return {
        "title": state["draft"]["title"],
        "folder": state["output"],
        "report_sha256": approved_sha256(state),
    }


def _evidence(state: ApproveInput, spending: str) -> list[str]:
    outcomes = [state["outcomes"][task["id"]] for task in state["plan"]]
    criteria = sum(len(task["criteria"]) for task in state["plan"])
    unmet = sum(len(outcome["unmet"]) for outcome in outcomes)
    cited = {
        citation
        for section in state["draft"]["sections"]
        for sentence in section["sentences"]
        for citation in sentence["citations"]
    }
    lines = [
        f"{_count(len(cited), 'quotation')} cited, each found verbatim in its source",
        f"{max(0, criteria - unmet)} of {criteria} criteria met",
    ]
    lines += [f"not known: {each}" for each in state["draft"]["unknown"]]
    lines += [f"sources disagree: {each}" for each in state["draft"]["disagreements"]]
    lines += [f"open: {o['task']}: {o['reason']}" for o in outcomes if o["status"] == "open"]
    lines += [f"dropped: {f['sentence']} ({f['reason']})" for f in state["dropped"]]
    lines += [f"the critic objects: {f['reason']}" for f in state["faults"] if f["by"] == "critic"]
    return [*lines, f"written by {', '.join(state['models'])}; {spending}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _ended(decision: Decision, rejections: int) -> str:
    who = decision["by"] or "a person"
    if not decision["message"].strip():
        return f"Rejected by {who} without a reason; nothing was published."
    said = f"Rejected by {who} {rejections} times, the last time because: {decision['message']}"
    return f"{said.rstrip('.')}. Nothing was published."
