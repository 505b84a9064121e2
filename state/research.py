"""What a research run knows: plain data, safe to store for years. Renaming a key is a migration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from interlock.core.corpus import Ingested, Location, Passage, Skipped
from interlock.core.gate import Decision

ROUNDS = 3
"""How often a plan is worked through, revisions included; then the report is written as it is."""
SEARCHES = 3
"""How many queries one researcher may try for its task; then it reports what it has."""
ATTEMPTS = 2
"""How often a task is given out; after that it is reported as open."""
REVISIONS = 3
"""How often verifier and critic may send the writer back; then unsupported sentences are dropped."""
REJECTIONS = 3
"""How often a person may reject; then the run ends without a report."""
STEPS = 120
"""Supersteps of one run, over all loops: a net under the limits above."""
RESEARCHER_STEPS = 20
"""Supersteps of one researcher: a net under its searches."""

Strategy = Literal["focused", "broad"]
"""How a researcher searches: in its task's words, or also in the question's and the criteria's."""


class Task(TypedDict):
    """One thing to find out."""

    id: str
    question: str
    criteria: list[str]
    needs: list[str]


class Finding(TypedDict):
    """A quotation that says something about a task, and exactly where it stands."""

    id: str
    task: str
    claim: str
    quote: str
    document: str
    source: str
    title: str
    location: Location


class Outcome(TypedDict):
    """How a task stands.

    `met`: its criteria are. `partial`: not all are. `failed`: to be given out again. `open`: given up.
    """

    task: str
    status: Literal["met", "partial", "failed", "open"]
    attempts: int
    strategy: Strategy
    queries: list[str]
    unmet: list[str]
    reason: str


class Sentence(TypedDict):
    """One sentence of the report with the findings that support it."""

    text: str
    citations: list[str]


class Section(TypedDict):
    """A part of the report."""

    heading: str
    sentences: list[Sentence]


class Draft(TypedDict):
    """The report before it is published."""

    title: str
    sections: list[Section]
    unknown: list[str]
    disagreements: list[str]


class Fault(TypedDict):
    """Why a draft may not go on, for the writer and for the reader of the history."""

    by: Literal["verifier", "critic", "person"]
    kind: str
    sentence: str
    reason: str


class Published(TypedDict):
    """Where the report is: absolute paths, and the SHA-256 of the report that was approved."""

    markdown: str
    html: str
    sha256: str


Status = Literal["working", "published", "not_covered", "rejected", "partial"]


def merge_findings(old: Sequence[Finding], new: Sequence[Finding]) -> list[Finding]:
    """Add findings; the same quotation of the same document for the same task is one finding."""
    return list({each["id"]: each for each in (*old, *new)}.values())


def merge_names(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Add names that are not there yet, in the order in which they came."""
    return list(dict.fromkeys((*old, *new)))


def merge_outcomes(old: Mapping[str, Outcome], new: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Keep the latest attempt of each task; applying one update twice changes nothing."""
    merged = dict(old)
    for task, outcome in new.items():
        if task not in merged or outcome["attempts"] >= merged[task]["attempts"]:
            merged[task] = outcome
    return merged


class ResearchInput(TypedDict):
    """What a research run is given."""

    question: Annotated[str, Field(description="What to find out.", min_length=1)]
    sources: Annotated[
        list[str],
        Field(
            description="Folders, files, URLs, or search:NAME for a search tool.",
            min_length=1,
            json_schema_extra={"format": "path"},
        ),
    ]
    output: NotRequired[
        Annotated[str, Field(description="Folder for the report.", default="reports")]
    ]


class ResearchState(TypedDict, total=False):
    """Everything a research run knows."""

    question: str
    sources: list[str]
    output: str
    library: Ingested
    plan: list[Task]
    findings: Annotated[list[Finding], merge_findings]
    outcomes: Annotated[dict[str, Outcome], merge_outcomes]
    round: int
    draft: Draft
    faults: list[Fault]
    dropped: list[Fault]
    revision: int
    rejections: int
    approval: Decision
    models: Annotated[list[str], merge_names]
    status: Status
    message: str
    published: Published | None


class ResearchOutput(TypedDict, total=False):
    """What a research run returns."""

    status: Status
    message: str
    published: Published | None
    draft: Draft
    findings: list[Finding]
    outcomes: dict[str, Outcome]


class ResearcherState(TypedDict, total=False):
    """What one researcher knows: its task, and what it has found so far."""

    question: str
    sources: list[str]
    collection: str
    task: Task
    strategy: Strategy
    attempt: int
    known: list[str]
    query: str
    queries: list[str]
    passages: list[Passage]
    seen: list[str]
    findings: Annotated[list[Finding], merge_findings]
    unmet: list[str]
    outcomes: Annotated[dict[str, Outcome], merge_outcomes]


class ResearcherOutput(TypedDict, total=False):
    """What a researcher hands back to the team."""

    findings: list[Finding]
    outcomes: dict[str, Outcome]


class GatherEvent(TypedDict):
    """A source was read; `done` of `total` are."""

    event: Literal["gather"]
    done: int
    total: int
    source: str


class GatheredEvent(TypedDict):
    """All sources were read."""

    event: Literal["gathered"]
    documents: int
    passages: int
    skipped: list[Skipped]


class PlanEvent(TypedDict):
    """The question was split into tasks."""

    event: Literal["plan"]
    tasks: list[Task]


class SearchEvent(TypedDict):
    """A researcher searched; `hits` passages are new to it."""

    event: Literal["search"]
    task: str
    query: str
    hits: int


class FindingsEvent(TypedDict):
    """A researcher kept `count` quotations, and dropped those that do not stand in their passage."""

    event: Literal["findings"]
    task: str
    count: int
    dropped: int


class JudgedEvent(TypedDict):
    """A researcher judged its findings."""

    event: Literal["judged"]
    task: str
    unmet: list[str]


class TaskEvent(TypedDict):
    """A researcher ended, or failed."""

    event: Literal["task"]
    task: str
    status: Literal["met", "partial", "failed", "open"]
    reason: str


class SuperviseEvent(TypedDict):
    """The supervisor looked at the findings: what is missing, and the tasks that are given out now."""

    event: Literal["supervise"]
    round: int
    missing: str
    tasks: list[Task]


class DraftEvent(TypedDict):
    """The writer handed in a draft."""

    event: Literal["draft"]
    revision: int
    sections: int
    sentences: int


class VerifiedEvent(TypedDict):
    """The verifier checked each quotation, citation and number; `dropped` sentences were cut out."""

    event: Literal["verified"]
    faults: list[Fault]
    dropped: int


class CritiqueEvent(TypedDict):
    """The critic read the draft."""

    event: Literal["critique"]
    verdict: Literal["accept", "revise", "research"]
    reasons: list[str]


class PublishedEvent(TypedDict):
    """The report was written."""

    event: Literal["published"]
    markdown: str
    html: str


class LandedEvent(TypedDict):
    """A budget is spent: what there is was delivered."""

    event: Literal["landed"]
    message: str


class DeclinedEvent(TypedDict):
    """The sources do not cover the question."""

    event: Literal["declined"]
    message: str


Event = (
    GatherEvent
    | GatheredEvent
    | PlanEvent
    | SearchEvent
    | FindingsEvent
    | JudgedEvent
    | TaskEvent
    | SuperviseEvent
    | DraftEvent
    | VerifiedEvent
    | CritiqueEvent
    | PublishedEvent
    | DeclinedEvent
    | LandedEvent
)
"""What nodes tell while they run, in the stream mode `custom`."""


def finding_id(task: str, document: str, quote: str) -> str:
    """Return the id of a finding: the same quotation has the same id in each attempt."""
    return "f" + hashlib.sha256("\0".join((task, document, quote)).encode()).hexdigest()[:10]


def ready_tasks(plan: Iterable[Task], outcomes: Mapping[str, Outcome]) -> list[Task]:
    """Return the tasks to give out now: not ended, and all that they need has ended."""
    ended = {task for task, outcome in outcomes.items() if outcome["status"] != "failed"}
    return [task for task in plan if task["id"] not in ended and ended.issuperset(task["needs"])]
