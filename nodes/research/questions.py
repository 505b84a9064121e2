"""What the roles of the research team are asked, and the form of their answers.

Each request's fields are the variables of its prompt. Text from sources is fenced as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from interlock.core.corpus import Passage
from interlock.core.prompts import as_data
from interlock.core.structured import Request, as_text
from state.research import Draft, Fault, Finding, Outcome, Strategy, Task

MAX_TASKS = 8


class PlannedTask(BaseModel):
    """One thing to find out."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$",
        description="Short name, lower case, unique in the plan.",
    )
    question: str = Field(min_length=3, description="One question that documents can answer.")
    criteria: list[str] = Field(
        min_length=1, max_length=5, description="When it counts as answered; each can be checked."
    )
    needs: list[str] = Field(description="Ids of tasks that must end first; often empty.")

    @model_validator(mode="after")
    def _no_empty_criteria(self) -> PlannedTask:
        if any(not each.strip() for each in self.criteria):
            raise ValueError(f"task {self.id} has an empty criterion")
        return self


class Plan(BaseModel):
    """Tasks that together answer the question; their needs form no cycle."""

    tasks: list[PlannedTask] = Field(min_length=1, max_length=MAX_TASKS)

    @model_validator(mode="after")
    def _sound(self) -> Plan:
        ids = [task.id for task in self.tasks]
        if len(set(ids)) < len(ids):
            raise ValueError("two tasks have the same id")
        _refuse_cycles({task.id: set(task.needs) for task in self.tasks})
        return self


def _refuse_cycles(needs: Mapping[str, set[str]]) -> None:
    for task, needed in needs.items():
        if unknown := sorted(needed - needs.keys()):
            raise ValueError(f"task {task} needs {', '.join(unknown)}, which is not in the plan")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        raise ValueError(
            f"tasks need each other in a circle: {' -> '.join(error.args[1])}"
        ) from error


class PlanRequest(Request):
    """Ask the planner to split the question into tasks."""

    prompt: ClassVar[str] = "research/plan"
    role: ClassVar[str] = "planner"

    question: str
    documents: list[str]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text."""
        titles = as_data(as_text(self.documents), source="list of the sources")
        return {"question": self.question, "documents": titles}


class QueryRequest(Request):
    """Ask a researcher for its next search, given those that did not suffice."""

    prompt: ClassVar[str] = "research/query"
    role: ClassVar[str] = "researcher"

    question: str
    task: Task
    strategy: Strategy
    known: list[str] = Field(default_factory=list)
    tried: list[str]
    unmet: list[str]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text."""
        return {
            "question": self.question,
            "task": self.task["question"],
            "criteria": as_text(self.task["criteria"]),
            "strategy": self.strategy,
            "known": as_data(as_text(self.known), source="findings of earlier tasks"),
            "tried": as_text(self.tried),
            "unmet": as_text(self.unmet),
        }


class Query(BaseModel):
    """A search: words that the wanted passages are likely to contain."""

    query: str = Field(min_length=2, max_length=300)


class ExtractRequest(Request):
    """Ask a researcher what the passages say about its task."""

    prompt: ClassVar[str] = "research/extract"
    role: ClassVar[str] = "researcher"

    question: str
    task: Task
    passages: list[Passage]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text, each passage numbered and fenced."""
        fenced = [
            f"Passage {n}\n{as_data(p['text'], source=p['source'])}"
            for n, p in enumerate(self.passages)
        ]
        return {
            "question": self.question,
            "task": self.task["question"],
            "criteria": as_text(self.task["criteria"]),
            "passages": "\n\n".join(fenced) or "(none)",
        }


class Quotation(BaseModel):
    """A verbatim piece of a passage and what it says."""

    passage: int = Field(ge=0, description="Number of the passage.")
    quote: str = Field(
        min_length=8,
        max_length=1500,
        description="Copied from the passage, character by character.",
    )
    claim: str = Field(
        min_length=3, description="What the quotation says about the task, in one sentence."
    )


class Extraction(BaseModel):
    """What was found; empty when the passages say nothing about the task."""

    quotations: list[Quotation] = Field(max_length=12)


class JudgeRequest(Request):
    """Ask whether the findings meet the task's criteria."""

    prompt: ClassVar[str] = "research/judge"
    role: ClassVar[str] = "researcher"

    task: Task
    findings: list[Finding]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text."""
        return {
            "task": self.task["question"],
            "criteria": as_text(self.task["criteria"]),
            "findings": cited(self.findings),
        }


class Judgement(BaseModel):
    """The criteria that are not met yet, word for word; empty when all are."""

    unmet: list[str]


class SuperviseRequest(Request):
    """Ask the supervisor what is still missing."""

    prompt: ClassVar[str] = "research/supervise"
    role: ClassVar[str] = "supervisor"

    question: str
    plan: list[Task]
    outcomes: list[Outcome]
    findings: list[Finding]
    faults: list[Fault]
    rounds_left: int

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text."""
        ended = [
            f"{o['task']}: {o['status']}; unmet: {', '.join(o['unmet']) or 'none'}"
            for o in self.outcomes
        ]
        return {
            "question": self.question,
            "plan": as_text([f"{t['id']}: {t['question']}" for t in self.plan]),
            "outcomes": as_text(ended),
            "findings": cited(self.findings),
            "faults": as_text([f["reason"] for f in self.faults]),
            "rounds_left": str(self.rounds_left),
        }


class Supervision(BaseModel):
    """New tasks for what is missing; empty when there is enough to write, or nothing more to be had."""

    missing: str = Field(
        description="What is still missing, in one sentence; empty when nothing is."
    )
    tasks: list[PlannedTask] = Field(max_length=4)


class WriteRequest(Request):
    """Ask the writer for the report, or for a better one."""

    prompt: ClassVar[str] = "research/write"
    role: ClassVar[str] = "writer"

    question: str
    plan: list[Task]
    findings: list[Finding]
    open_tasks: list[str]
    draft: Draft | None
    faults: list[Fault]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text."""
        return {
            "question": self.question,
            "plan": as_text([t["question"] for t in self.plan]),
            "findings": cited(self.findings),
            "open_tasks": as_text(self.open_tasks),
            "draft": as_draft(self.draft) if self.draft else "(none yet)",
            "faults": as_text([as_fault(fault) for fault in self.faults]),
        }


class WrittenSentence(BaseModel):
    """One sentence, with the ids of the findings that support it."""

    text: str = Field(min_length=3)
    citations: list[str] = Field(min_length=1)


class WrittenSection(BaseModel):
    """A part of the report."""

    heading: str = Field(min_length=2)
    sentences: list[WrittenSentence] = Field(min_length=1)


class Report(BaseModel):
    """The report as the writer hands it in."""

    title: str = Field(min_length=3)
    sections: list[WrittenSection] = Field(min_length=1)
    unknown: list[str] = Field(description="What the sources do not say.")
    disagreements: list[str] = Field(description="Where sources contradict each other.")


class CritiqueRequest(Request):
    """Ask the critic whether the report answers the question."""

    prompt: ClassVar[str] = "research/critique"
    role: ClassVar[str] = "critic"

    question: str
    plan: list[Task]
    open_tasks: list[str]
    draft: Draft
    findings: list[Finding]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text."""
        criteria = [f"{t['question']}: {'; '.join(t['criteria'])}" for t in self.plan]
        return {
            "question": self.question,
            "criteria": as_text(criteria),
            "open_tasks": as_text(self.open_tasks),
            "draft": as_draft(self.draft),
            "findings": cited(self.findings),
        }


class Critique(BaseModel):
    """`accept`; `revise` (the writer can mend it); `research` (something must be found out first)."""

    verdict: Literal["accept", "revise", "research"]
    reasons: list[str] = Field(
        description="What must change, one sentence each; empty only when accepted."
    )

    @model_validator(mode="after")
    def _has_reasons(self) -> Critique:
        if self.verdict != "accept" and not any(each.strip() for each in self.reasons):
            raise ValueError("a critique that does not accept must give reasons")
        return self


def cited(findings: list[Finding]) -> str:
    """Return findings as a model reads them: the id to cite, then claim and quotation as data."""
    lines = [f"[{f['id']}]\n{as_data(_said(f), source=f['source'])}" for f in findings]
    return "\n\n".join(lines) or "(none)"


def _said(finding: Finding) -> str:
    return f"Claim: {finding['claim']}\nQuotation: {finding['quote']}"


def as_fault(fault: Fault) -> str:
    """Return a fault as the writer reads it; its sentence may hold text from sources."""
    if not fault["sentence"]:
        return f"{fault['by']}: {fault['reason']}"
    return f"{fault['by']}: {fault['reason']}\n{as_data(fault['sentence'], source='the draft')}"


def as_draft(draft: Draft) -> str:
    """Return a draft as a model reads it, as data: sentences may hold text from sources."""
    lines = [f"# {draft['title']}"]
    for section in draft["sections"]:
        lines.append(f"## {section['heading']}")
        lines += [f"{s['text']} [{', '.join(s['citations'])}]" for s in section["sentences"]]
    lines += [f"Unknown: {each}" for each in draft["unknown"]]
    lines += [f"Sources disagree: {each}" for each in draft["disagreements"]]
    return as_data("\n".join(lines), source="the draft")
