"""The composition root: `open()` gives the durable runtime. The only file that names concrete adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from langgraph.runtime import RunControl
from langgraph.types import StateSnapshot

from interlock import web
from interlock.application import Application, Graph
from interlock.core import gate, prompts
from interlock.core.context import Context, Ports
from interlock.core.models import ChatModels, ModelSource
from interlock.core.runs import AnswerForm, OpenQuestion, Resume, Run, Step
from interlock.core.sync import run_sync
from interlock.embeddings import MiniLM
from interlock.errors import (
    AnswerRefused,
    InterlockError,
    NotFound,
    ResumeRefused,
    UsageError,
)
from interlock.execution import Execution, Part, context_for, output_of
from interlock.history import Difference, difference, find_step, line_of, steps_of
from interlock.inputs import check_input, check_thread_id, check_values
from interlock.postgres import embedded, locks
from interlock.postgres.checkpoints import saver_for, strict_serializer
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.migrations import migrate
from interlock.postgres.pool import Pool, open_pool, translated
from interlock.postgres.runs import NewRun, RunStore, StoredRun
from interlock.settings import Settings
from interlock.settings import load as load_settings

HISTORY_LIMIT = 10_000
"""Checkpoints of one thread that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSummary:
    """A thread as a list shows it."""

    thread_id: str
    graph: str
    title: str
    status: str
    alive: bool
    updated_at: Any  # datetime
    parent_thread_id: str | None
    error: str
    model: str


@asynccontextmanager
async def aopen(
    url: str | None = None,
    *,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    settings: Settings | None = None,
    models: ModelSource | None = None,
) -> AsyncIterator[Interlock]:
    """Open the durable runtime on this event loop.

    Args:
        url: a Postgres; without it `INTERLOCK_DATABASE_URL`, without that an embedded server.
        data_dir: where the embedded server keeps its data.
        config: the application's langgraph.json; default: found in this folder or above.
        settings: all other settings; default: read from the environment.
        models: where chat models come from; default: LangChain's providers.

    Raises:
        DatabaseUnavailable: the database does not answer, or the embedded server does not start.
        UsageError: a setting is wrong, or there is no langgraph.json.
    """
    settings = (settings or load_settings()).with_(
        database_url=url, data_dir=_path(data_dir), config=_path(config)
    )
    application = Application.find(settings.config)
    async with AsyncExitStack() as stack:
        database = settings.database_url or await _embedded(stack, settings)
        await migrate(database)
        pool = await stack.enter_async_context(open_pool(database))
        thread_locks = ThreadLocks(database)
        stack.push_async_callback(thread_locks.close)
        ports = _ports(pool, thread_locks, settings, models)
        yield Interlock(settings, application, database, pool, thread_locks, ports)


@contextmanager
def open(  # noqa: A001  # `interlock.open()` reads as the sentence it is; nothing here opens files
    url: str | None = None,
    *,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    settings: Settings | None = None,
    models: ModelSource | None = None,
) -> Iterator[Interlock]:
    """Open the durable runtime for synchronous code; arguments and errors as for `aopen`."""
    manager = aopen(url, data_dir=data_dir, config=config, settings=settings, models=models)
    il = run_sync(manager.__aenter__())
    try:
        yield il
    finally:
        run_sync(manager.__aexit__(None, None, None))


class Interlock:
    """The durable runtime: runs graphs on Postgres, resumes, rewinds and forks them.

    Each method has an asynchronous twin whose name starts with `a`. The synchronous ones belong to `open()`, the
    asynchronous ones to `aopen()`.
    """

    def __init__(
        self,
        settings: Settings,
        application: Application,
        url: str,
        pool: Pool,
        thread_locks: ThreadLocks,
        ports: Ports,
    ) -> None:
        self.settings = settings
        self.application = application
        self.url = url
        self.store = RunStore(pool, strict_serializer())
        self._pool = pool
        self._locks = thread_locks
        self._ports = ports
        self._graphs: dict[str, Graph] = {}
        self._controls: set[RunControl] = set()

    # --- running ---

    async def asubmit(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002  # LangGraph's own word for it
        *,
        thread_id: str | None = None,
        model: str | None = None,
    ) -> Run:
        """Accept a run without working on it; `resume` does that, in any process.

        Raises:
            NotFound: no such graph.
            UsageError: the input does not fit the graph's schema, or the thread is another graph's.
            ModelUnavailable: the model cannot be built.
            ThreadBusy: the thread has a run that has not ended, or waits for an answer.
        """
        compiled = self.graph(graph)
        values = check_input(compiled, input)
        new = NewRun(
            run_id=str(uuid4()),
            thread_id=str(uuid4()) if thread_id is None else check_thread_id(thread_id),
            graph=graph,
            kind="invoke",
            context=self._new_context(compiled, model),
            input=values,
            title=_title(values),
        )
        await self.store.add(new)
        return (await self.store.stored(new.run_id)).run

    async def ainvoke(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
    ) -> Run:
        """Run a graph until it ends or asks a person; raises as `asubmit`, and what a node raised."""
        run = await self.asubmit(graph, input, thread_id=thread_id, model=model)
        return await _last(self._execute(await self.store.stored(run.run_id)))

    async def astream(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[Part]:
        """Run a graph and yield what happens; the last part is of type `end` and carries the `Run`."""
        run = await self.asubmit(graph, input, thread_id=thread_id, model=model)
        stored = await self.store.stored(run.run_id)
        async with aclosing(self._execute(stored, stream_mode)) as parts:
            async for part in parts:
                yield part

    async def aresume(
        self, thread_id: str, answer: AnswerForm | None = None, *, model: str | None = None
    ) -> Run:
        """Go on with a thread: with an answer to its question, or after a crash, a stop or a failure.

        Raises:
            NotFound: no such thread or question.
            AnswerRefused: the question was answered, is not this thread's, or the answer does not fit it.
            ResumeRefused: this code cannot go on with the stored state; nothing was changed.
            ThreadBusy: another process runs this thread.
        """
        return await _last(self.aresume_stream(thread_id, answer, model=model))

    async def aresume_stream(
        self,
        thread_id: str,
        answer: AnswerForm | None = None,
        *,
        model: str | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[Part]:
        """Go on with a thread and yield what happens, as `astream`."""
        thread_id = await self.store.full_thread_id(thread_id)
        stored = await self.store.latest(thread_id)
        if answer is not None:
            stored = await self._answered(thread_id, stored, answer)
        else:
            await self._check_can_continue(stored)
        if model is not None:
            stored = stored.with_model(self._checked_model(model))
        async with aclosing(self._execute(stored, stream_mode)) as parts:
            async for part in parts:
                yield part

    async def asubmit_answer(self, thread_id: str, answer: AnswerForm) -> Run:
        """Take an answer without going on with its thread; `resume` does that. Raises as `aresume`."""
        thread_id = await self.store.full_thread_id(thread_id)
        return (await self._answered(thread_id, await self.store.latest(thread_id), answer)).run

    def drain(self, reason: str = "stopped on request") -> None:
        """Let every run of this runtime stop after its current step; safe to call from any thread or signal handler."""
        for control in tuple(self._controls):
            control.request_drain(reason)

    # --- looking ---

    async def arun(self, thread_id: str) -> Run:
        """Return the latest run of a thread, with its open questions and, once it succeeded, its output."""
        thread_id = await self.store.full_thread_id(thread_id)
        stored = await self.store.latest(thread_id)
        questions = tuple(await self.store.open_questions(thread_id))
        alive = bool(await locks.held(self._pool, [thread_id]))
        run = replace(stored.run, interrupts=questions, alive=alive)
        if run.status != "succeeded":
            return run
        compiled = self._durable(run.graph)
        with translated():
            snapshot = await compiled.aget_state({"configurable": {"thread_id": thread_id}})
        return replace(run, output=output_of(compiled, snapshot.values))

    async def ahistory(self, thread_id: str) -> list[Step]:
        """Return the steps of a thread, oldest first; raises `NotFound`."""
        thread_id = await self.store.full_thread_id(thread_id)
        row = await self.store.thread(thread_id)
        line = line_of(await self._snapshots(row["graph"], thread_id))
        return steps_of(line, await self.store.usage(thread_id))

    async def astep(self, thread_id: str, at: int | str) -> Step:
        """Return one step, by number or checkpoint id; raises `NotFound`."""
        return find_step(await self.ahistory(thread_id), at)

    async def adiff(self, a: str, b: str) -> Difference:
        """Compare two threads: state, path, effects, tokens and cost; raises `NotFound`."""
        return difference(await self._side(a), await self._side(b))

    async def aquestions(self, thread_id: str | None = None) -> list[OpenQuestion]:
        """Return what waits for a person, oldest first; of one thread or of all."""
        if thread_id is not None:
            thread_id = await self.store.full_thread_id(thread_id)
        return await self.store.open_questions(thread_id)

    async def athreads(self, *, graph: str | None = None, limit: int = 20) -> list[ThreadSummary]:
        """Return the threads that something happened on lately, newest first."""
        rows = await self.store.threads(graph=graph, limit=limit)
        working = await locks.held(self._pool, [row["thread_id"] for row in rows])
        return [
            ThreadSummary(
                thread_id=row["thread_id"],
                graph=row["graph"],
                title=row["title"],
                status=row["status"] or "",
                alive=row["thread_id"] in working,
                updated_at=row["updated_at"],
                parent_thread_id=row["parent_thread_id"],
                error=row["error"] or "",
                model=str(row["context"].get("model", "")),
            )
            for row in rows
        ]

    # --- rewinding ---

    async def afork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Run:
        """Start a new thread from a step of another, with some state changed, and run it on.

        Raises:
            NotFound: no such thread or step.
            UsageError: a value's key or type does not fit the graph's state.
        """
        return await _last(self.afork_stream(thread_id, at=at, values=values, model=model))

    async def afork_stream(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[Part]:
        """Fork and yield what happens, as `astream`."""
        stored = await self._forked(
            await self.store.full_thread_id(thread_id), at, values or {}, model
        )
        async with aclosing(self._execute(stored, stream_mode)) as parts:
            async for part in parts:
                yield part

    async def asubmit_fork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Run:
        """Make a fork without working on it; `resume` does that. Raises as `afork`."""
        thread_id = await self.store.full_thread_id(thread_id)
        return (await self._forked(thread_id, at, values or {}, model)).run

    # --- graphs ---

    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph, without a checkpointer; raises `NotFound`, `UsageError`."""
        return self.application.graph(name)

    # --- synchronous twins ---

    def submit(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
    ) -> Run:
        """Accept a run without working on it; see `asubmit`."""
        return run_sync(self.asubmit(graph, input, thread_id=thread_id, model=model))

    def invoke(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
    ) -> Run:
        """Run a graph until it ends or asks a person; see `ainvoke`."""
        return run_sync(self.ainvoke(graph, input, thread_id=thread_id, model=model))

    def stream(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> Generator[Part]:
        """Run a graph and yield what happens; see `astream`."""
        return _iterate(
            self.astream(graph, input, thread_id=thread_id, model=model, stream_mode=stream_mode)
        )

    def resume(
        self, thread_id: str, answer: AnswerForm | None = None, *, model: str | None = None
    ) -> Run:
        """Go on with a thread; see `aresume`."""
        return run_sync(self.aresume(thread_id, answer, model=model))

    def resume_stream(
        self,
        thread_id: str,
        answer: AnswerForm | None = None,
        *,
        model: str | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> Generator[Part]:
        """Go on with a thread and yield what happens; see `aresume_stream`."""
        return _iterate(
            self.aresume_stream(thread_id, answer, model=model, stream_mode=stream_mode)
        )

    def submit_answer(self, thread_id: str, answer: AnswerForm) -> Run:
        """Take an answer without going on with its thread; see `asubmit_answer`."""
        return run_sync(self.asubmit_answer(thread_id, answer))

    def run(self, thread_id: str) -> Run:
        """Return the latest run of a thread; see `arun`."""
        return run_sync(self.arun(thread_id))

    def history(self, thread_id: str) -> list[Step]:
        """Return the steps of a thread, oldest first; see `ahistory`."""
        return run_sync(self.ahistory(thread_id))

    def step(self, thread_id: str, at: int | str) -> Step:
        """Return one step; see `astep`."""
        return run_sync(self.astep(thread_id, at))

    def diff(self, a: str, b: str) -> Difference:
        """Compare two threads; see `adiff`."""
        return run_sync(self.adiff(a, b))

    def questions(self, thread_id: str | None = None) -> list[OpenQuestion]:
        """Return what waits for a person; see `aquestions`."""
        return run_sync(self.aquestions(thread_id))

    def threads(self, *, graph: str | None = None, limit: int = 20) -> list[ThreadSummary]:
        """Return the latest threads; see `athreads`."""
        return run_sync(self.athreads(graph=graph, limit=limit))

    def fork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Run:
        """Start a new thread from a step of another; see `afork`."""
        return run_sync(self.afork(thread_id, at=at, values=values, model=model))

    def submit_fork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Run:
        """Make a fork without working on it; see `asubmit_fork`."""
        return run_sync(self.asubmit_fork(thread_id, at=at, values=values, model=model))

    # --- inside ---

    async def _execute(
        self, stored: StoredRun, modes: Sequence[str] = ("updates", "custom")
    ) -> AsyncGenerator[Part]:
        graph = self._durable(stored.run.graph)
        _check_prompts(stored)
        execution = Execution(
            graph=graph,
            stored=stored,
            context=context_for(graph, self._context(stored.context), None),
            stored_context=stored.context,
            runs=self.store,
            locks=self._locks,
            modes=modes,
        )
        self._controls.add(execution.control)
        try:
            async with aclosing(execution.parts()) as parts:
                async for part in parts:
                    yield part
        finally:
            self._controls.discard(execution.control)

    async def _answered(self, thread_id: str, stored: StoredRun, answer: AnswerForm) -> StoredRun:
        question, status = await self.store.question(
            await self.store.full_question_id(answer.question_id)
        )
        if question.thread_id != thread_id:
            raise AnswerRefused(
                f"Question {question.id} belongs to thread {question.thread_id}, not to {thread_id}.",
                hint="`interlock approvals` lists what is open where.",
            )
        if status != "open":
            raise AnswerRefused(
                f"Question {question.id} is {status}.", hint=await self._open_now(thread_id)
            )
        self.graph(
            question.graph
        )  # importing the graph declares its actions, which an edit is checked against
        value = _answer_value(question, answer, self.settings.user)
        new = NewRun(
            run_id=str(uuid4()),
            thread_id=thread_id,
            graph=question.graph,
            kind="resume",
            context=stored.context,
            answers={question.interrupt_id: value},
        )
        by = str(value.get("by", "")) if isinstance(value, dict) else answer.by
        await self.store.add_answered(new, [question.id], {"value": value}, by)
        return await self.store.stored(new.run_id)

    async def _open_now(self, thread_id: str) -> str:
        questions = await self.store.open_questions(thread_id)
        if not questions:
            return "No question of this thread is open."
        return f"Open now: {', '.join(each.id for each in questions)}."

    async def _check_can_continue(self, stored: StoredRun) -> None:
        thread_id = stored.run.thread_id
        if stored.run.status == "waiting":
            questions = await self.store.open_questions(thread_id)
            names = ", ".join(each.id for each in questions)
            raise UsageError(
                f"Thread {thread_id} waits for an answer to {names}.",
                hint=f"interlock approvals approve {questions[0].id if questions else 'ID'}",
            )
        if stored.run.status in ("succeeded", "cancelled"):
            raise UsageError(
                f"Thread {thread_id} has {stored.run.status}; there is nothing to resume.",
                hint=f"`interlock fork {thread_id} --at STEP` runs it again from a step.",
            )

    async def _forked(
        self, thread_id: str, at: int | str, values: Mapping[str, Any], model: str | None
    ) -> StoredRun:
        row = await self.store.thread(thread_id)
        compiled = self.graph(row["graph"])
        values = check_values(compiled, values)
        steps = await self.ahistory(thread_id)
        step = find_step(steps, at)
        context = dict(row["context"])
        if model is not None:
            context["model"] = self._checked_model(model)
        new = NewRun(
            run_id=str(uuid4()),
            thread_id=str(uuid4()),
            graph=row["graph"],
            kind="fork",
            context=context,
            input=values,
            title=_title(values) or row["title"],
            parent=(thread_id, step.checkpoint_id),
            copied=step.checkpoint_id,
        )
        if (
            step.source == "input"
        ):  # before the input is applied, a changed state is a changed input
            before = [each.checkpoint_id for each in steps if each.number < step.number]
            given = {**await self._input_of(compiled, step), **values}
            new = replace(
                new,
                kind="invoke",
                input=check_input(compiled, given),
                copied=before[-1] if before else None,
            )
        await self.store.add(new)
        return await self.store.stored(new.run_id)

    async def _input_of(
        self, graph: Graph, step: Step
    ) -> Mapping[str, Any]:  # the graph's input schema
        return dict((await self.store.stored(step.run_id)).input(strict_serializer(graph)))

    async def _side(self, thread_id: str) -> tuple[str, list[Step], list[str]]:
        thread_id = await self.store.full_thread_id(thread_id)
        effects = [row["action"] for row in await self.store.effects(thread_id) if row["done"]]
        return thread_id, await self.ahistory(thread_id), effects

    async def _snapshots(self, graph: str, thread_id: str) -> list[StateSnapshot]:
        config = {"configurable": {"thread_id": thread_id}}
        with translated():
            history = self._durable(graph).aget_state_history(
                cast("Any", config), limit=HISTORY_LIMIT
            )
            return [snapshot async for snapshot in history]

    def _durable(self, name: str) -> Graph:
        if name not in self._graphs:
            graph = self.graph(name)
            self._graphs[name] = graph.copy(
                {"checkpointer": saver_for(graph, self._pool, self._locks.check)}
            )
        return self._graphs[name]

    def _new_context(self, graph: Graph, model: str | None) -> dict[str, Any]:  # JSON
        if not _takes_our_context(graph):
            return {}
        for name in (self.settings.role_models or {}).values():
            self._checked_model(name)
        return {
            "model": self._checked_model(model or self.settings.model),
            "role_models": dict(self.settings.role_models or {}),
            "prompts": prompts.pins(),
        }

    def _checked_model(self, name: str) -> str:
        self._ports.models.model(name)
        return name

    def _context(self, stored: Mapping[str, Any]) -> Context:
        return Context(ports=self._ports, **{key: stored[key] for key in stored})


def _ports(
    pool: Pool, thread_locks: ThreadLocks, settings: Settings, models: ModelSource | None
) -> Ports:
    built = ChatModels(
        base_url=settings.base_url,
        timeout=settings.model_timeout,
        temperature=settings.temperature,
    )
    fetch = partial(web.fetch, allow_private=settings.allow_private_urls)
    embedder = MiniLM.installed() if settings.embeddings else None
    corpus = PostgresCorpus(pool, fetch=fetch, searcher=web.search_tool, embedder=embedder)
    return Ports(
        models=models or built,
        corpus=corpus,
        ledger=PostgresLedger(pool, thread_locks.check),
        spending=RunStore(pool, strict_serializer()),
    )


async def _embedded(stack: AsyncExitStack, settings: Settings) -> str:
    server = await asyncio.to_thread(embedded.start, settings.data_dir, port=settings.postgres_port)
    stack.callback(server.close)
    return server.url


def _answer_value(
    question: OpenQuestion, answer: AnswerForm, user: str
) -> Any:  # what the interrupt resumes with
    if isinstance(answer, Resume):
        return answer.value
    decision = answer.decision()
    if "edited_action" in decision:
        decision["edited_action"]["name"] = question.action
    value = {"decisions": [decision], "digest": question.digest, "by": answer.by or user}
    if question.digest:
        gate.read_answer(question.payload, value)
    else:
        _check_foreign(question, decision["type"])
    return value


def _check_foreign(question: OpenQuestion, decision: str) -> None:
    """Refuse what would fail inside another application's approval."""
    count = len(question.payload.get("action_requests") or ())
    if count > 1:
        raise AnswerRefused(
            f"Question {question.id} asks about {count} actions at once.",
            hint='Answer all of them: Resume(question_id, {"decisions": [...]}).',
        )
    if question.decisions and decision not in question.decisions:
        offered = ", ".join(question.decisions)
        raise AnswerRefused(
            f"Question {question.id} does not offer {decision!r}.", hint=f"It offers {offered}."
        )


def _check_prompts(stored: StoredRun) -> None:
    # The process that accepted the run may have known other graphs; their prompts are not this one's.
    known = prompts.registered_groups()
    pinned = dict(stored.context.get("prompts", {}))
    ours = {name: pinned[name] for name in pinned if name.partition("/")[0] in known}
    for name, version in ours.items():
        try:
            prompts.load(name, version)
        except InterlockError as error:
            raise ResumeRefused(
                f"Thread {stored.run.thread_id} was begun with prompt {name}@{version}: {error.args[0]}",
                hint="Restore the prompt file, or fork the thread, which uses the present ones.",
            ) from error


def _takes_our_context(graph: Graph) -> bool:
    schema = graph.context_schema
    return isinstance(schema, type) and issubclass(schema, Context)


async def _last(parts: AsyncIterator[Part]) -> Run:
    run: Run | None = None
    async for part in parts:
        if part["type"] == "end":
            run = part["data"]
    if run is None:
        raise NotFound(
            "The run ended without a result.",
            hint="This is a fault of Interlock; please report it.",
        )
    return run


def _iterate(parts: AsyncIterator[Part]) -> Generator[Part]:
    iterator = aiter(parts)
    try:
        while True:
            try:
                yield run_sync(_next(iterator))
            except StopAsyncIteration:
                return
    finally:
        run_sync(_close(iterator))


async def _next(iterator: AsyncIterator[Part]) -> Part:
    return await anext(iterator)


async def _close(iterator: AsyncIterator[Part]) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


def _title(values: Mapping[str, Any]) -> str:
    return next(
        (value for value in values.values() if isinstance(value, str) and value.strip()), ""
    )


def _path(value: Path | str | None) -> Path | None:
    return Path(value) if value is not None else None


__all__ = ["Interlock", "ThreadSummary", "aopen", "open"]
