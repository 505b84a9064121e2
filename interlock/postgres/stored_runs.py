"""Runs as values: to be accepted, as they are stored, and how an attempt at one began and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.rows import DictRow

from interlock.core.driving import Driving
from interlock.core.kills import Subject
from interlock.core.letters import NewLetter
from interlock.core.lineage import Lineage
from interlock.core.questions import OpenQuestion
from interlock.core.run_states import RunStatus
from interlock.core.runs import Run, RunKind
from interlock.postgres.forks import Prefix
from interlock.postgres.latest import Latest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to accept.

    Attributes:
        context: the model, the role models and the pinned prompts that it uses.
        answers: for a resume: LangGraph's interrupt id -> answer; empty after a sleep, None where none is handed in.
        base_run_id: for a resume: the run that asked what it answers.
        request: digest of what was asked for under an idempotency key.
        parent: for a fork: the thread and checkpoint that it starts from.
        prefix: for a fork: what its thread begins with.
        lineage: which work of its parents a fork may use.
        purpose: of the thread: `fork`, `replay`, or empty.
        schema_version: of the graph's schema, which the input fits.
        goes_on: it goes on from the latest checkpoint; where its thread waits, with the run that waits.
    """

    run_id: str
    thread_id: str
    graph: str
    kind: RunKind
    context: Mapping[str, Any]
    input: Any = None  # the graph's input schema
    answers: Mapping[str, Any] | None = None
    base_run_id: str = ""
    request: str = ""
    title: str = ""
    parent: tuple[str, str] | None = None
    prefix: Prefix | None = None
    lineage: Lineage = field(default_factory=Lineage)
    purpose: str = ""
    schema_version: int = 1
    goes_on: bool = False

    @property
    def tenant(self) -> str:
        """On whose behalf it runs; empty for nobody's in particular."""
        return str(self.context.get("tenant", ""))


@dataclass(frozen=True, kw_only=True)  # no slots: what is read of it once is kept
class StoredRun:
    """A run as it is executed: its row, with what it was given.

    Attributes:
        packed: the serializer's type and bytes of the input.
        lineage: which work of its parents the run's thread may use.
        chain: the runs that it goes on with because a question of theirs was answered, and the run.
        schema_version: of the graph's schema, which the input fits.
        latest: what is known of its thread's latest checkpoint; only who holds the thread may be told.
        limited: a limit may be stored for its time at work, or for its supersteps.
        begun: this process has begun the attempt, and holds the thread.
    """

    run: Run
    context: Mapping[str, Any]
    packed: tuple[str, bytes] = ("null", b"")
    answers: Mapping[str, Any] | None = None
    lineage: Lineage = field(default_factory=Lineage)
    chain: tuple[str, ...] = ()
    schema_version: int = 1
    latest: Latest = field(default_factory=list)
    limited: bool = True
    begun: bool = False

    @property
    def subject(self) -> Subject:
        """The run by all the names under which it may be killed."""
        return Subject(
            runs=self.chain,
            thread_id=self.run.thread_id,
            graph=self.run.graph,
            tenant=str(self.context.get("tenant", "")),
        )

    @cached_property
    def driving(self) -> Driving:
        """How it is driven."""
        return Driving.of(self.context, self.run.run_id)

    def input(self, serde: SerializerProtocol) -> Any:  # the graph's input schema
        """Return the input, restored by the serializer of the run's graph, which knows its types."""
        return serde.loads_typed(self.packed)

    def with_model(self, model: str) -> StoredRun:
        """Return the run with another model."""
        context = {**self.context, "model": model}
        return replace(self, context=context, run=replace(self.run, model=model))


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is known where an attempt begins, as `StoredRun` says it."""

    latest: Latest
    limited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended.

    Attributes:
        kill: the switch that ended it.
        requeue: with `queued`: a worker hands it back, and any other takes it on at once.
        retry_seconds: with `queued`: it is taken on again after so long; None for not of its own accord.
        failure: which kind of failure it was; empty for none.
        wakes_at: with `waiting`: until when it sleeps; None when it does not.
        letter: with `dead`: what whoever has to look is told.
        detail: more of what is written down of it as an event, as JSON.
    """

    status: RunStatus
    error: str = ""
    error_kind: str = ""
    questions: tuple[OpenQuestion, ...] = ()
    output: Any = None  # the graph's output schema
    kill: int = 0
    requeue: bool = False
    retry_seconds: float | None = None
    failure: str = ""
    wakes_at: datetime | None = None
    letter: NewLetter | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def stored_run(row: DictRow) -> StoredRun:
    """Return a run from its row."""
    return StoredRun(
        run=_run(row),
        context=row["context"],
        packed=(row["input_type"] or "null", row["input"] or b""),
        answers=row["answers"],
        lineage=Lineage.from_json(row["lineage"]),
        chain=tuple(row["chain"]),
        schema_version=row["schema_version"],
    )


def _run(row: DictRow) -> Run:
    return Run(
        run_id=row["run_id"],
        thread_id=row["thread_id"],
        graph=row["graph"],
        kind=row["kind"],
        status=row["status"],
        model=str(row["context"].get("model", "")),
        attempts=row["attempts"],
        created_at=row["created_at"],
        error=row["error"],
        error_kind=row["error_kind"],
    )
