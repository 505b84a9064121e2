"""Compares the code with every thread that has not ended, before a deployment or a resume finds out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple

from interlock.application import Graph
from interlock.core.blobs import named_in
from interlock.core.bounded import declaration_of
from interlock.core.context import Ports
from interlock.core.renaming import with_old_names
from interlock.core.sync import run_sync
from interlock.core.versions import NoWay, migrated, version_of
from interlock.errors import InterlockError, NotFound, ResumeRefused, UsageError
from interlock.execution import check_prompts
from interlock.fitting import (
    Problem,
    class_problems,
    clause,
    nodes_gone,
    noting_blocked,
    question_problems,
    state_problems,
    tasks_gone,
)
from interlock.postgres.checking import CheckStore, Head
from interlock.postgres.checkpoints import bare_reader_for, reader_for
from interlock.postgres.encryption import KeyRing
from interlock.postgres.pool import Pool, translated
from interlock.postgres.runs import StoredRun
from interlock.postgres.versioned import Schemas

BATCH = 200
"""Threads that are asked for at once."""

AT_ONCE = 4
"""Threads that are looked at at the same time, each over a connection of the pool."""

Progress = Callable[[int, int], None]
"""Told how many threads were looked at, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A thread that this code could not go on with.

    Attributes:
        status: of its latest run.
        problems: all that was found.
    """

    thread_id: str
    graph: str
    status: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found: how many threads it looked at, and those that would break."""

    threads: int
    broken: tuple[Broken, ...]


class Checking(ABC):
    """The part of the runtime that says what a deployment would break."""

    _pool: Pool
    _ring: KeyRing | None
    _ports: Ports

    @abstractmethod
    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph."""

    async def acheck(
        self, *, graph: str | None = None, progress: Progress | None = None
    ) -> Checked:
        """Compare the code with every thread whose latest run has not ended; changes nothing.

        Args:
            graph: only threads of this graph.
            progress: told now and then how many threads were looked at, of how many.
        """
        store, checks = CheckStore(self._pool), Checks(self.graph, self._pool, self._ring)
        total, done = await store.count(graph), 0
        broken: list[Broken] = []
        policy = self._policy_problem()
        async for batch in _batches(store, graph):
            found = await _gathered([checks.problems(each) for each in batch])
            for stored, problems in zip(batch, found, strict=True):
                if every := (*policy, *problems):
                    broken.append(_broken(stored, every))
            done += len(batch)
            if progress is not None:
                progress(done, max(total, done))
        return Checked(threads=done, broken=tuple(broken))

    async def _refuse_misfit(self, stored: StoredRun) -> None:
        """Raise `ResumeRefused` for exactly the threads that `acheck` lists."""
        checks = Checks(self.graph, self._pool, self._ring)
        if problems := await checks.problems(stored):
            first, *others = problems
            more = "".join(f" Also, {each.text}." for each in others)
            raise ResumeRefused(
                f"Thread {stored.run.thread_id} cannot go on: {first.text}.{more}", hint=first.hint
            )

    def _policy_problem(self) -> tuple[Problem, ...]:
        try:
            self._ports.policy.current()
        except InterlockError as error:
            text = f"the policy cannot be read: {clause(error)}"
            return (Problem(kind="policy", text=text, hint=error.hint),)
        return ()


class CheckingNow(Checking):
    """The synchronous twins."""

    def check(self, *, graph: str | None = None, progress: Progress | None = None) -> Checked:
        """Compare the code with every thread whose latest run has not ended; see `acheck`."""
        return run_sync(self.acheck(graph=graph, progress=progress))


class Checks:
    """Looks at one thread after the other; what it needs of a graph it makes once."""

    def __init__(self, graph: Callable[[str], Graph], pool: Pool, ring: KeyRing | None) -> None:
        self._find = graph
        self._pool = pool
        self._ring = ring
        self._store = CheckStore(pool)
        self._graphs: dict[str, Graph] = {}

    async def problems(self, stored: StoredRun) -> list[Problem]:
        """Return all that keeps this code from going on with a thread."""
        try:
            graph = self._graph(stored.run.graph)
        except (NotFound, UsageError) as error:
            text = f"its graph is not there: {clause(error)}"
            return [Problem(kind="graph", text=text, hint=error.hint)]
        found = [*_prompt_problems(stored), *_input_problems(graph, stored)]
        with noting_blocked() as blocked:
            values = await self._stored_problems(graph, stored, found)
        found += class_problems(blocked)
        for payload in await self._store.questions(stored.run):
            found += question_problems(payload)
        return found + await self._blob_problems(values)

    def _graph(self, name: str) -> Graph:
        if name not in self._graphs:
            graph = with_old_names(self._find(name))
            reader = bare_reader_for(graph, self._pool, self._ring)
            self._graphs[name] = graph.copy({"checkpointer": reader})
        return self._graphs[name]

    async def _stored_problems(
        self, graph: Graph, stored: StoredRun, problems: list[Problem]
    ) -> list[Any]:  # values of channels
        """Note what is wrong with the heads of a thread's graph and of the subgraphs that it is in."""
        schemas, values = Schemas(graph), []
        for head in await self._store.heads(stored.run.thread_id):
            holder = schemas.graph(head.namespace)
            if holder is None:
                continue  # a tool called it: nothing is known of it
            try:
                found = await self._tuple(graph, stored.run.thread_id, head)
                ours, _ = schemas.up_to_date(found)
            except NoWay as error:
                newly = Problem(kind="version", text=clause(error), hint=error.hint)
                problems += [newly] if newly not in problems else []
                continue
            except (InterlockError, ValueError) as error:
                problems.append(_unreadable(error))
                continue
            here = [*nodes_gone(holder, ours), *state_problems(holder, ours)]
            if ours.pending_writes and not here:
                here += tasks_gone(ours, await self._tasks(graph, stored.run.thread_id, head))
            values.append([ours.checkpoint["channel_values"], ours.pending_writes])
            problems += _inside(head, here)
        return values

    async def _tuple(self, graph: Graph, thread_id: str, head: Head) -> CheckpointTuple:
        place = {"checkpoint_ns": head.namespace, "checkpoint_id": head.checkpoint_id}
        saver: Any = graph.checkpointer
        with translated():
            found: CheckpointTuple | None = await saver.aget_tuple(
                {"configurable": {"thread_id": thread_id, **place}}
            )
        if found is None:
            raise ValueError(f"the checkpoint {head.checkpoint_id} was deleted meanwhile")
        return found

    async def _tasks(self, graph: Graph, thread_id: str, head: Head) -> set[str]:
        """Return the ids of the tasks that the graph would run."""
        place = {"checkpoint_ns": head.namespace, "checkpoint_id": head.checkpoint_id}
        current = graph.copy({"checkpointer": reader_for(graph, self._pool, self._ring)})
        with translated():
            snapshot = await current.aget_state({"configurable": {"thread_id": thread_id, **place}})
        return {task.id for task in snapshot.tasks}

    async def _blob_problems(self, values: list[Any]) -> list[Problem]:
        missing = await self._store.missing_blobs(named_in(values))
        return [
            Problem(
                kind="blob",
                text=f"its state names the blob {digest[:12]}…, which is not stored",
                hint="Store the same bytes again, or fork the thread from an earlier step.",
            )
            for digest in missing
        ]


def _prompt_problems(stored: StoredRun) -> list[Problem]:
    try:
        check_prompts(stored)
    except ResumeRefused as error:
        return [Problem(kind="prompt", text=clause(error), hint=error.hint)]
    return []


def _input_problems(graph: Graph, stored: StoredRun) -> list[Problem]:
    same = stored.schema_version == version_of(declaration_of(graph))
    if same or stored.run.attempts or stored.packed[0] == "null":
        return []
    saver: Any = graph.checkpointer
    try:
        migrated(stored.input(saver.serde), declaration_of(graph), stored.schema_version)
    except NoWay as error:
        return [Problem(kind="version", text=f"of its input: {clause(error)}", hint=error.hint)]
    except (InterlockError, ValueError) as error:
        return [_unreadable(error)]
    return []


def _inside(head: Head, problems: list[Problem]) -> list[Problem]:
    if not head.namespace:
        return problems
    path = "/".join(part.partition(":")[0] for part in head.namespace.split("|"))
    return [replace(each, text=f"inside {path} {each.text}") for each in problems]


def _unreadable(error: Exception) -> Problem:
    hint = error.hint if isinstance(error, InterlockError) else ""
    return Problem(kind="unreadable", text=f"it cannot be read: {clause(error)}", hint=hint)


def _broken(stored: StoredRun, problems: tuple[Problem, ...]) -> Broken:
    run = stored.run
    return Broken(thread_id=run.thread_id, graph=run.graph, status=run.status, problems=problems)


async def _batches(store: CheckStore, graph: str | None) -> AsyncIterator[list[StoredRun]]:
    after = 0
    while True:
        after, batch = await store.unfinished(graph, after=after, limit=BATCH)
        if not batch:
            return
        yield batch


async def _gathered(work: list[Any]) -> list[list[Problem]]:  # coroutines
    places = asyncio.Semaphore(AT_ONCE)

    async def one(each: Any) -> list[Problem]:  # a coroutine
        async with places:
            found: list[Problem] = await each
            return found

    return await asyncio.gather(*(one(each) for each in work))
