"""What a report shows: the draft with numbered sources, the plan as it stands, and how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from interlock.core.corpus import Ingested
from nodes.research.checks import place_of
from state.research import Draft, Fault, Finding, Outcome, Sentence, Task

Standing = Literal["met", "partial", "open", "failed", "waiting"]


class Reported(TypedDict, total=False):
    """What a report is made of."""

    question: str
    library: Ingested
    plan: list[Task]
    findings: list[Finding]
    outcomes: dict[str, Outcome]
    draft: Draft
    faults: list[Fault]
    dropped: list[Fault]
    models: list[str]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(_Frozen):
    """A numbered quotation and where exactly it stands."""

    number: int
    source: str
    title: str
    place: str
    quote: str


class CitedSentence(_Frozen):
    """A sentence and the numbers of its sources."""

    text: str
    numbers: tuple[int, ...]


class Part(_Frozen):
    """A section of the report."""

    heading: str
    sentences: tuple[CitedSentence, ...]


class Criterion(_Frozen):
    """A success criterion, and whether it is met."""

    text: str
    met: bool


class PlanTask(_Frozen):
    """A task as it stands at the end."""

    id: str
    question: str
    needs: tuple[str, ...]
    standing: Standing
    reason: str
    criteria: tuple[Criterion, ...]


class LeftOut(_Frozen):
    """A sentence that is not in the report, or something that is still wrong with it, and why."""

    sentence: str
    reason: str


class SkippedFile(_Frozen):
    """A file that was not read, and why."""

    source: str
    reason: str


class ReportData(_Frozen):
    """All that a report shows. It holds no time and no random part: the same run is the same report."""

    title: str
    question: str
    model: str
    parts: tuple[Part, ...]
    sources: tuple[Source, ...]
    unknown: tuple[str, ...]
    disagreements: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    objections: tuple[str, ...]
    tasks: tuple[PlanTask, ...]
    documents: int
    passages: int
    skipped: tuple[SkippedFile, ...]
    spending: str = Field(default="", exclude=True)  # shown, but not part of what is approved

    @property
    def offline(self) -> bool:
        """Whether no language model took part."""
        return all(name.strip().startswith("offline:") for name in self.model.split(","))

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria of all tasks."""
        return tuple(criterion for task in self.tasks for criterion in task.criteria)

    @property
    def sentences(self) -> int:
        """How many sentences the report has."""
        return sum(len(part.sentences) for part in self.parts)

    def source_of(self, sentence: CitedSentence) -> str:
        """Return the name of the first document that a sentence cites, or nothing."""
        first = next(iter(sentence.numbers), 0)
        return self.sources[first - 1].source if first else ""


def report_data(state: Reported, *, model: str, spending: str = "") -> ReportData:
    """Gather what the report of a run shows.

    Args:
        state: the run, with a draft.
        model: the name of the model that wrote it; several with commas between them.
        spending: what its model calls took, in words; not part of the report's SHA-256.
    """
    draft, library = state["draft"], state.get("library")
    numbering = _Numbering(state.get("findings", []))
    parts = tuple(
        Part(heading=each["heading"], sentences=tuple(map(numbering.cited, each["sentences"])))
        for each in draft["sections"]
    )
    outcomes = state.get("outcomes", {})
    return ReportData(
        title=draft["title"],
        question=state["question"],
        model=model,
        spending=spending,
        parts=parts,
        sources=tuple(numbering.sources),
        unknown=tuple(draft["unknown"]),
        disagreements=tuple(draft["disagreements"]),
        left_out=tuple(_left_out(state.get("dropped", []))),
        objections=tuple(each["reason"] for each in state.get("faults", []) if _objects(each)),
        tasks=tuple(_task(each, outcomes.get(each["id"])) for each in state.get("plan", [])),
        documents=library["documents"] if library else 0,
        passages=library["passages"] if library else 0,
        skipped=tuple(SkippedFile(**each) for each in library["skipped"]) if library else (),
    )


def report_sha256(report: ReportData) -> str:
    """Return the SHA-256 of a report's data, in hex."""
    return hashlib.sha256(report.model_dump_json().encode()).hexdigest()


class _Numbering:
    """Numbers quotations in the order of their citation; one that two findings hold has one number."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._findings: Mapping[str, Finding] = {each["id"]: each for each in findings}
        self._numbers: dict[tuple[str, str, int], int] = {}
        self.sources: list[Source] = []

    def cited(self, sentence: Sentence) -> CitedSentence:
        known = [self._findings[each] for each in sentence["citations"] if each in self._findings]
        numbers = dict.fromkeys(map(self._number, known))
        return CitedSentence(text=sentence["text"], numbers=tuple(numbers))

    def _number(self, finding: Finding) -> int:
        key = (finding["document"], finding["quote"], finding["location"]["first"])
        if key not in self._numbers:
            self._numbers[key] = len(self.sources) + 1
            self.sources.append(
                Source(
                    number=self._numbers[key],
                    source=finding["source"],
                    title=finding["title"],
                    place=place_of(finding["location"]),
                    quote=finding["quote"],
                )
            )
        return self._numbers[key]


def _task(task: Task, outcome: Outcome | None) -> PlanTask:
    unmet = set(outcome["unmet"]) if outcome else set(task["criteria"])
    return PlanTask(
        id=task["id"],
        question=task["question"],
        needs=tuple(task["needs"]),
        standing=outcome["status"] if outcome else "waiting",
        reason=outcome["reason"] if outcome else "not given out",
        criteria=tuple(Criterion(text=each, met=each not in unmet) for each in task["criteria"]),
    )


def _left_out(dropped: Iterable[Fault]) -> list[LeftOut]:
    return [LeftOut(sentence=each["sentence"], reason=each["reason"]) for each in dropped]


def _objects(fault: Fault) -> bool:
    """Say whether a fault is one that the critic kept to the end."""
    return fault["by"] == "critic"


def waves(tasks: Sequence[PlanTask]) -> list[list[PlanTask]]:
    """Order tasks into waves: each task is after all that it needs."""
    depth: dict[str, int] = {}
    left = list(tasks)
    while left:
        ready = [task for task in left if all(need in depth for need in task.needs)] or left
        number = max(depth.values(), default=-1) + 1
        depth.update({task.id: number for task in ready})
        left = [task for task in left if task.id not in depth]
    count = max(depth.values(), default=-1) + 1
    return [[task for task in tasks if depth[task.id] == number] for number in range(count)]
