"""Statements about runs and their threads: accepted, begun, ended, looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.blobs import named_in
from interlock.core.driving import KEY as DRIVING
from interlock.core.driving import YIELDS, Driving
from interlock.core.failures import FailureKind
from interlock.core.queueing import Options
from interlock.core.runs import Run, Usage
from interlock.core.usage import ModelCall
from interlock.errors import NotFound, ThreadBusy, UsageError
from interlock.postgres import blobs, forks, kills, letters, questions, submitting
from interlock.postgres.plain import clean, exact, jsonb
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import only
from interlock.postgres.stored_runs import Beginning, Ending, NewRun, StoredRun, stored_run
from interlock.postgres.timers import set_timer

SQL = load("runs")

OF_THE_RUN = frozenset({DRIVING, YIELDS})
"""What a run's context holds of that run alone: its thread, and what is forked from that, takes nothing of it over."""


class RunStore:
    """Every statement about runs; each method is one transaction."""

    def __init__(self, pool: Pool, serde: SerializerProtocol) -> None:
        self._pool = pool
        self._serde = serde

    async def add(
        self, new: NewRun, options: Options | None = None, *, enqueue: bool = False
    ) -> str:
        """Accept a run, and make its thread if there is none; a fork's thread begins with a copy of its parent's line.

        Args:
            new: the run.
            options: how it was submitted.
            enqueue: hand it to workers.

        Returns:
            The id of the run; of an earlier one if it was submitted under this idempotency key before.

        Raises:
            ThreadBusy: the thread has a run that is queued or running, or waits for an answer.
            UsageError: the thread belongs to another graph, the input cannot be stored, or the idempotency key was
                used for another request.
            Killed: a switch stands over it.
        """
        async with connected(self._pool) as connection, connection.transaction():
            return await self.accept(connection, new, options, enqueue=enqueue)

    async def accept(
        self, connection: Connection, new: NewRun, options: Options | None, *, enqueue: bool
    ) -> str:
        """Accept a run inside the caller's transaction, as `add`."""
        if (
            run_id := await submitting.known(connection, new.tenant, options, new.request)
        ) is not None:
            return run_id
        if self.encrypts:
            new = replace(new, title="")  # it may be of what is encrypted
        if new.goes_on:
            new = await _behind_what_waits(connection, new)
        await add_run(connection, new, self.dumped(new.input), options)
        await _refuse_killed(connection, new.run_id, "The run was refused")
        if new.prefix is not None:
            await forks.copy(connection, new.prefix, new.thread_id, self._serde)
        if enqueue:
            await submitting.hand_over(connection, new.run_id, new.thread_id, options)
        return new.run_id

    async def start(self, run: Run, process: str, context: Mapping[str, Any]) -> Beginning:
        """Note that a process begins an attempt at a run; it must hold the thread.

        Raises:
            ThreadBusy: the run went on since it was read; the number of its attempts is the fence.
            Killed: a switch stands over it.
        """
        values = {
            "run_id": run.run_id,
            "attempts": run.attempts,
            "process": process,
            "thread_id": run.thread_id,
            "graph": run.graph,
            "kind": run.kind,
            "tenant": str(context.get("tenant", "")),
        }
        async with connected(self._pool) as connection:
            row = (await fetch(connection, SQL["start"], values | {"context": jsonb(context)}))[0]
            if not row["started"]:
                await _refuse_killed(connection, run.run_id, f"Thread {run.thread_id} may not run")
                raise _taken_over(run)
        return Beginning(latest=[()] if row["fresh"] else [], limited=row["limited"])

    async def end(self, run: Run, ending: Ending, process: str = "", *, worker: str = "") -> Ending:
        """End an attempt: status, queue, questions, the thread's time and what was killed, in one transaction.

        Args:
            run: as it was before the attempt.
            ending: how it ended.
            process: what names this process to a person.
            worker: which claimed it; empty for none. The next attempt has the same number where a crash of the server
                took the claim back.

        Returns:
            How it ended: what was to be stopped meanwhile is `cancelled` and asks nobody.

        Raises:
            ThreadBusy: another process has begun an attempt since; nothing was changed.
        """
        async with connected(self._pool) as connection, connection.transaction():
            # It holds the thread first, as whoever takes an answer does: otherwise each could wait for the other.
            values = {**_ended(run, ending), "worker": worker}
            row = (await fetch(connection, SQL["end"], values))[0]
            if row["status"] is None:
                raise _taken_over(run)
            if row["status"] != ending.status:
                ending = Ending(status=row["status"], error_kind="RunCancelled")
            await _end_questions(connection, run, ending)
            if ending.status == "waiting":
                await fetch(connection, SQL["yield_to_next"], {"thread_id": run.thread_id})
            await _again_later(connection, run, ending)
            if ending.letter is not None:
                await letters.bury(connection, run.run_id, ending.letter)
            if ending.kill:
                names = {"run_id": run.run_id, "thread_id": run.thread_id}
                await kills.note(connection, ending.kill, "stopped", who=process, why="", **names)
        return ending

    async def tries(self, run: Run, kind: FailureKind) -> tuple[int, str]:
        """Return how often a run was tried again after a failure and has not got on since, and how far it is."""
        async with connected(self._pool) as connection:
            return await letters.tries_of(connection, run.run_id, run.thread_id, kind)

    async def refuse_killed(self, run_id: str, what: str) -> None:
        """Raise `Killed` while a switch stands over a run."""
        async with connected(self._pool) as connection:
            await _refuse_killed(connection, run_id, what)

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
        hint = "`interlock status` lists the latest ones."
        if not found and (threads := await self._fetch("threads_of_runs", prefix=prefix)):
            hint = f"A run of thread {' or '.join(each['thread_id'] for each in threads)} has that name."
        return only(found, prefix, "thread", hint)

    async def threads(self, *, graph: str | None = None, limit: int = 20) -> list[DictRow]:
        """Return the threads that something happened on lately, each with the run that it is at."""
        return await self._fetch("threads", graph=graph, limit=limit)

    async def stored(self, run_id: str) -> StoredRun:
        """Return a run that was accepted, by its whole id."""
        rows = await self._fetch("run", run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id!r}.")
        return stored_run(rows[0])

    async def latest(self, thread_id: str) -> StoredRun:
        """Return the run that a thread is at; raises `NotFound`."""
        async with connected(self._pool) as connection:
            return await present_run(connection, thread_id)

    async def continues(self, thread_id: str, checkpoint_id: str = "") -> bool:
        """Say whether a thread has this checkpoint, or any, or a run that is to make one."""
        rows = await self._fetch("continues", thread_id=thread_id, checkpoint_id=checkpoint_id)
        return bool(rows[0]["continues"])

    async def first_checkpoint(self, thread_id: str, run_ids: Sequence[str]) -> str:
        """Return the first checkpoint that some runs made on the graph of their thread; empty for none."""
        rows = await self._fetch("first_checkpoint", thread_id=thread_id, run_ids=list(run_ids))
        return str(rows[0]["checkpoint_id"] or "")

    async def latest_checkpoint(self, thread_id: str) -> str:
        """Return the newest checkpoint of a thread's own graph; empty for none."""
        rows = await self._fetch("latest_checkpoint", thread_id=thread_id)
        return str(rows[0]["checkpoint_id"]) if rows else ""

    async def counts(self) -> dict[str, int]:
        """Return how many threads stand in each status, each by the run that it is at."""
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

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)

    async def _execute(self, statement: str, **values: Any) -> None:  # SQL values
        async with connected(self._pool) as connection:
            await execute(connection, SQL[statement], values)

    @property
    def encrypts(self) -> bool:
        """Whether what is given to runs is encrypted."""
        return isinstance(self._serde, EncryptedSerializer)

    def dumped(self, given: Any) -> tuple[str, bytes]:  # the graph's input schema
        """Return an input as it is stored: the serializer's type and bytes; raises `UsageError`."""
        try:
            return self._serde.dumps_typed(given)
        except (TypeError, ValueError) as error:
            raise UsageError(f"The input cannot be saved: {error}.") from error


async def _behind_what_waits(connection: Connection, new: NewRun) -> NewRun:
    """Return a run that goes on with its thread as one that goes on with the run that waits there, if one does."""
    rows = await fetch(connection, SQL["waits"], {"thread_id": new.thread_id})
    if not rows:
        return new
    driving = Driving.of(new.context, new.run_id).after(rows[0]["context"])
    context = {**new.context, **driving.stored(new.run_id)}
    return replace(new, kind="resume", base_run_id=rows[0]["run_id"], context=context)


async def add_run(
    connection: Connection,
    new: NewRun,
    packed: tuple[str, bytes] = ("null", b""),
    options: Options | None = None,
) -> None:
    """Accept a run inside a transaction; raises `ThreadBusy` and `UsageError` as `RunStore.add`."""
    kind, blob = packed
    parent = new.parent or (None, None)
    thread = {
        "thread_id": new.thread_id,
        "graph": new.graph,
        "title": clean(new.title[:200]),
        "context": jsonb({key: new.context[key] for key in new.context if key not in OF_THE_RUN}),
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
        "answers": None if new.answers is None else exact(new.answers, "The answer"),
    }
    lineage = {
        "parent_thread_id": parent[0],
        "parent_checkpoint_id": parent[1],
        "lineage": Jsonb(new.lineage.to_json()) if new.parent else Jsonb({}),
        "purpose": new.purpose,
    }
    await execute(connection, SQL["open_thread"], thread | lineage)
    await _settle_graph(connection, new, thread)
    await blobs.note(connection, new.thread_id, named_in([new.input, new.answers]))
    await submitting.make_way(connection, new.thread_id, options, resumes=new.kind == "resume")
    await execute(connection, SQL["add_run"], run | given | {"context": jsonb(new.context)})
    if options or new.base_run_id:
        names = {"run_id": new.run_id, "base_run_id": new.base_run_id, "request": new.request}
        await submitting.add_options(connection, names, new.tenant, options or Options())
    if new.schema_version > 1:
        version = {"run_id": new.run_id, "schema_version": new.schema_version}
        await execute(connection, SQL["note_version"], version)


async def present_run(connection: Connection, thread_id: str) -> StoredRun:
    """Return the run that a thread is at; raises `NotFound`."""
    rows = await fetch(connection, SQL["present_run"], {"thread_id": thread_id})
    if not rows:
        raise NotFound(
            f"There is no thread {thread_id!r}.", hint="`interlock status` lists the latest ones."
        )
    return stored_run(rows[0])


async def _settle_graph(
    connection: Connection, new: NewRun, thread: Mapping[str, Any]
) -> None:  # SQL values
    """Give a thread that was made without a graph that of its first run; refuse a run of another graph."""
    found = (await fetch(connection, SQL["thread"], {"thread_id": new.thread_id}))[0]["graph"]
    if not found:
        found = (await fetch(connection, SQL["take_graph"], thread))[0]["graph"]
    if found != new.graph:
        raise UsageError(
            f"Thread {new.thread_id} belongs to the graph {found!r}, not to {new.graph!r}.",
            hint="Use another thread: a graph would not see, and lose, the state of another one.",
        )


async def _refuse_killed(connection: Connection, run_id: str, what: str) -> None:
    if (kill := await kills.over_run(connection, run_id)) is not None:
        raise kill.error(what)


async def _end_questions(connection: Connection, run: Run, ending: Ending) -> None:
    await questions.ask(connection, ending.questions)
    if ending.error_kind in ("AnswerRefused", "ResumeRefused"):
        await questions.reopen(connection, run.thread_id, run.run_id)
    elif ending.status in ("waiting", "succeeded", "cancelled"):
        open_now = [question.id for question in ending.questions]
        await questions.withdraw(connection, run.thread_id, open_now)


async def _again_later(connection: Connection, run: Run, ending: Ending) -> None:
    """Set when it goes on of its own accord, if it does."""
    later = partial(set_timer, connection, run_id=run.run_id, thread_id=run.thread_id)
    if ending.status == "queued" and (seconds := ending.retry_seconds) is not None:
        await later(kind="retry", after_seconds=seconds)
    if ending.status == "waiting" and (due := ending.wakes_at) is not None:
        await later(kind="wake", due_at=due, dedupe=f"wake:{run.run_id}")


def _ended(run: Run, ending: Ending) -> dict[str, Any]:  # SQL values
    again = {"failure": ending.failure, "retry_seconds": ending.retry_seconds, **ending.detail}
    return {
        "run_id": run.run_id,
        "attempts": run.attempts + 1,
        "status": ending.status,
        "error": clean(ending.error[:4000]),
        "error_kind": ending.error_kind,
        "requeue": ending.requeue,
        "detail": jsonb({key: value for key, value in again.items() if value not in ("", None)}),
    }


def _taken_over(run: Run) -> ThreadBusy:
    return ThreadBusy(
        f"Run {run.run_id} of thread {run.thread_id} was taken on by another process.",
        hint="`interlock status` shows how it stands.",
    )
