"""Threads, runs, questions and what they took, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.runs import OpenQuestion, Run, RunKind, RunStatus, Usage
from interlock.core.usage import ModelCall
from interlock.errors import AnswerRefused, NotFound, ThreadBusy, UsageError
from interlock.postgres.pool import Connection, Pool, execute, fetch
from interlock.postgres.queries import load

SQL = load("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to accept.

    Attributes:
        context: the model, the role models and the pinned prompts that it uses.
        answers: for a resume: LangGraph's interrupt id -> answer.
        parent: for a fork: the thread and checkpoint that it starts from.
    """

    run_id: str
    thread_id: str
    graph: str
    kind: RunKind
    context: Mapping[str, Any]
    input: Any = None  # the graph's input schema
    answers: Mapping[str, Any] | None = None
    title: str = ""
    parent: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as it is executed: its row, with what it was given."""

    run: Run
    context: Mapping[str, Any]
    input: Any = None  # the graph's input schema
    answers: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended."""

    status: RunStatus
    error: str = ""
    error_kind: str = ""
    questions: tuple[OpenQuestion, ...] = ()


class RunStore:
    """Every statement about runs; each method is one transaction."""

    def __init__(self, pool: Pool, serde: SerializerProtocol) -> None:
        self._pool = pool
        self._serde = serde

    async def add(self, new: NewRun) -> None:
        """Accept a run, and make its thread if there is none; a fork's thread begins with a copy of its parent's line.

        Raises:
            ThreadBusy: the thread has a run that is queued or running.
        """
        async with self._pool.connection() as connection, connection.transaction():
            await self._add(connection, new)
            if new.kind == "fork" and new.parent is not None:
                values = {
                    "thread_id": new.parent[0],
                    "checkpoint_id": new.parent[1],
                    "to_thread_id": new.thread_id,
                }
                for name in ("copy_checkpoints", "copy_blobs", "copy_writes"):
                    await execute(connection, SQL[name], values)

    async def add_answered(
        self, new: NewRun, question_ids: Sequence[str], answer: Mapping[str, Any], by: str
    ) -> None:
        """Take an answer and accept the run that goes on with it, both or neither.

        Raises:
            AnswerRefused: the question was answered before; of two simultaneous answers the second gets this.
        """
        async with self._pool.connection() as connection, connection.transaction():
            for question_id in question_ids:
                values = {"question_id": question_id, "answer": Jsonb(answer), "answered_by": by}
                if not await fetch(connection, SQL["answer_question"], values):
                    raise AnswerRefused(
                        f"Question {question_id} is not open any more.",
                        hint="`interlock approvals` lists the open ones.",
                    )
            await self._add(connection, new)

    async def start(self, run_id: str, process: str, context: Mapping[str, Any]) -> None:
        """Note that a process begins an attempt."""
        await self._execute("start_run", run_id=run_id, process=process, context=Jsonb(context))

    async def end(self, run: Run, ending: Ending) -> None:
        """End an attempt: status, questions and the thread's time, in one transaction."""
        async with self._pool.connection() as connection, connection.transaction():
            for question in ending.questions:
                await execute(connection, SQL["open_question"], _question_values(question))
            if ending.error_kind in ("AnswerRefused", "ResumeRefused"):
                await self._reopen(connection, run)
            values = {
                "status": ending.status,
                "error": ending.error[:4000],
                "error_kind": ending.error_kind,
            }
            await execute(connection, SQL["end_run"], {"run_id": run.run_id, **values})
            await execute(connection, SQL["touch_thread"], {"thread_id": run.thread_id})

    async def thread(self, thread_id: str) -> DictRow:
        """Return a thread's row; raises `NotFound`."""
        rows = await self._fetch("thread", thread_id=thread_id)
        if not rows:
            raise NotFound(
                f"There is no thread {thread_id!r}.",
                hint="`interlock status` lists the latest ones.",
            )
        return rows[0]

    async def full_thread_id(self, prefix: str) -> str:
        """Return the thread whose id is, or starts with, these characters; raises `NotFound` or `UsageError`."""
        found = [row["thread_id"] for row in await self._fetch("thread_by_prefix", prefix=prefix)]
        return _only(found, prefix, "thread", "`interlock status` lists the latest ones.")

    async def full_question_id(self, prefix: str) -> str:
        """Return the question whose id is, or starts with, these characters; raises `NotFound` or `UsageError`."""
        found = [
            row["question_id"] for row in await self._fetch("question_by_prefix", prefix=prefix)
        ]
        return _only(found, prefix, "question", "`interlock approvals` lists the open ones.")

    async def threads(self, *, graph: str | None = None, limit: int = 20) -> list[DictRow]:
        """Return the threads that something happened on lately, each with its latest run."""
        return await self._fetch("threads", graph=graph, limit=limit)

    async def latest(self, thread_id: str) -> StoredRun:
        """Return the last run of a thread; raises `NotFound`."""
        rows = await self._fetch("latest_run", thread_id=thread_id)
        if not rows:
            raise NotFound(
                f"There is no thread {thread_id!r}.",
                hint="`interlock status` lists the latest ones.",
            )
        return self._stored(rows[0])

    async def first(self, thread_id: str) -> StoredRun:
        """Return the first run of a thread; raises `NotFound`."""
        rows = await self._fetch("runs", thread_id=thread_id)
        if not rows:
            raise NotFound(
                f"There is no thread {thread_id!r}.",
                hint="`interlock status` lists the latest ones.",
            )
        return self._stored(rows[0])

    async def runs(self, thread_id: str) -> list[Run]:
        """Return all runs of a thread, oldest first."""
        return [_run(row) for row in await self._fetch("runs", thread_id=thread_id)]

    async def question(self, question_id: str) -> tuple[OpenQuestion, str]:
        """Return a question and its status (`open`, `answered`, `withdrawn`); raises `NotFound`."""
        rows = await self._fetch("question", question_id=question_id)
        if not rows:
            raise NotFound(
                f"There is no question {question_id!r}.",
                hint="`interlock approvals` lists the open ones.",
            )
        return _question(rows[0]), rows[0]["status"]

    async def open_questions(
        self, thread_id: str | None = None, *, limit: int = 100
    ) -> list[OpenQuestion]:
        """Return what waits for a person, oldest first."""
        return [
            _question(row)
            for row in await self._fetch("open_questions", thread_id=thread_id, limit=limit)
        ]

    async def questions(self, thread_id: str) -> list[DictRow]:
        """Return the rows of all questions of a thread, oldest first."""
        return await self._fetch("questions", thread_id=thread_id)

    async def effects(self, thread_id: str) -> list[DictRow]:
        """Return the rows of what was done on a thread, oldest first."""
        return await self._fetch("effects", thread_id=thread_id)

    async def counts(self) -> dict[str, int]:
        """Return how many runs there are in each status."""
        return {row["status"]: row["count"] for row in await self._fetch("count_by_status")}

    async def add_model_call(self, thread_id: str, run_id: str, call: ModelCall) -> None:
        """Note what a model call took."""
        await self._execute(
            "add_model_call",
            thread_id=thread_id,
            run_id=run_id,
            task_id=call.task_id,
            node=call.node,
            model=call.model,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            cost=call.cost,
            seconds=call.seconds,
        )

    async def spent(self, thread_id: str) -> Usage:
        """Return what all model calls of a thread took so far."""
        return sum((await self.usage(thread_id)).values(), Usage())

    async def usage(self, thread_id: str) -> dict[str, Usage]:
        """Return what the model calls of a thread took, by task of its graph."""
        rows = await self._fetch("usage_by_task", thread_id=thread_id)
        return {row.pop("task_id"): Usage(**row) for row in rows}

    async def _add(self, connection: Connection, new: NewRun) -> None:
        kind, blob = self._serde.dumps_typed(new.input)
        parent = new.parent or (None, None)
        thread = {
            "thread_id": new.thread_id,
            "graph": new.graph,
            "title": new.title[:200],
            "context": Jsonb(new.context),
        }
        run = {
            "run_id": new.run_id,
            "thread_id": new.thread_id,
            "graph": new.graph,
            "kind": new.kind,
        }
        given = {
            "input_type": kind,
            "input": blob,
            "answers": None if new.answers is None else Jsonb(new.answers),
        }
        lineage = {"parent_thread_id": parent[0], "parent_checkpoint_id": parent[1]}
        await execute(connection, SQL["open_thread"], thread | lineage)
        try:
            await execute(connection, SQL["add_run"], run | given | {"context": Jsonb(new.context)})
        except psycopg.errors.UniqueViolation as error:
            raise ThreadBusy(
                f"Thread {new.thread_id} already has a run that has not ended.",
                hint=f"Continue it with `interlock resume {new.thread_id}`, or wait for it.",
            ) from error

    async def _reopen(self, connection: Connection, run: Run) -> None:
        answers = (await self._stored_row(connection, run.thread_id))["answers"] or {}
        values = {"thread_id": run.thread_id, "interrupt_ids": list(answers)}
        await execute(connection, SQL["reopen_questions"], values)

    async def _stored_row(self, connection: Connection, thread_id: str) -> DictRow:
        return (await fetch(connection, SQL["latest_run"], {"thread_id": thread_id}))[0]

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with self._pool.connection() as connection:
            return await fetch(connection, SQL[statement], values)

    async def _execute(self, statement: str, **values: Any) -> None:  # SQL values
        async with self._pool.connection() as connection:
            await execute(connection, SQL[statement], values)

    def _stored(self, row: DictRow) -> StoredRun:
        given = (
            self._serde.loads_typed((row["input_type"], row["input"]))
            if row["input_type"]
            else None
        )
        return StoredRun(run=_run(row), context=row["context"], input=given, answers=row["answers"])


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


def _question(row: DictRow) -> OpenQuestion:
    return OpenQuestion(
        id=row["question_id"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        graph=row["graph"],
        node=row["node"],
        interrupt_id=row["interrupt_id"],
        digest=row["digest"],
        payload=row["payload"],
        asked_at=row["asked_at"],
    )


def _question_values(question: OpenQuestion) -> dict[str, Any]:  # SQL values
    return {
        "question_id": question.id,
        "thread_id": question.thread_id,
        "run_id": question.run_id,
        "graph": question.graph,
        "node": question.node,
        "interrupt_id": question.interrupt_id,
        "digest": question.digest,
        "payload": Jsonb(question.payload),
    }


def _only(found: Sequence[str], prefix: str, what: str, hint: str) -> str:
    if prefix in found:
        return prefix
    if not found or not prefix:
        raise NotFound(f"There is no {what} {prefix!r}.", hint=hint)
    if len(found) > 1:
        raise UsageError(
            f"{prefix!r} fits several {what}s ({', '.join(found)}).", hint="Give more characters."
        )
    return found[0]
