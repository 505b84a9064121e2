"""Looks at threads one after the other: what keeps this code from going on with each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, DeltaChannelHistory

from interlock.application import Graph
from interlock.core.blobs import named_in
from interlock.core.bounded import declaration_of
from interlock.core.driving import ALL
from interlock.core.renaming import with_old_names
from interlock.core.versions import NoWay, migrated, version_of
from interlock.errors import InterlockError, NotFound, ResumeRefused, UsageError
from interlock.fitting import (
    Problem,
    called_by,
    class_problems,
    clause,
    nodes_gone,
    noting_blocked,
    question_problems,
    state_problems,
    tasks_gone,
)
from interlock.inputs import check_input
from interlock.postgres.checking import CheckStore, Head, Place
from interlock.postgres.checkpoints import bare_reader_for, reader_for
from interlock.postgres.encryption import KeyRing
from interlock.postgres.pool import Pool, translated
from interlock.postgres.stored_runs import StoredRun
from interlock.postgres.versioned import Schemas
from interlock.preparing import check_prompts

AT_ONCE = 4
"""Threads that are looked at at the same time, each over a connection of the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A graph that reads what is stored as it is stored, one that brings it up, and one that is given it."""

    bare: Graph
    current: Graph
    held: Graph
    schemas: Schemas


class Checks:
    """Looks at one thread after the other; what it needs of a graph it makes once."""

    def __init__(self, graph: Callable[[str], Graph], pool: Pool, ring: KeyRing | None) -> None:
        self._find = graph
        self._pool = pool
        self._ring = ring
        self._store = CheckStore(pool)
        self._known: dict[str, _Known] = {}

    async def problems(self, runs: Sequence[StoredRun]) -> list[list[Problem]]:
        """Return all that keeps this code from going on with the threads of some runs."""
        places = await self._store.places(runs)
        return await _gathered([self._problems(each) for each in places])

    def queued_problems(self, stored: StoredRun) -> list[Problem]:
        """Return what keeps this code from beginning a run that waits behind the one that its thread is at."""
        try:
            known = self._looked_up(stored.run.graph)
        except (NotFound, UsageError):  # told of the run that the thread is at
            return []
        found = [*_prompt_problems(stored), *_input_problems(known.bare, stored)]
        behind = f"of its run {stored.run.run_id}, which is queued"
        return [replace(each, text=f"{behind}: {each.text}") for each in found]

    async def _problems(self, place: Place) -> list[Problem]:
        stored = place.stored
        try:
            known = self._looked_up(stored.run.graph)
        except (NotFound, UsageError) as error:
            text = f"its graph is not there: {clause(error)}"
            return [Problem(kind="graph", text=text, hint=error.hint)]
        found = [*_prompt_problems(stored), *_input_problems(known.bare, stored)]
        with noting_blocked() as blocked:
            values = await self._stored_problems(known, place, found)
        found += class_problems(blocked)
        for payload in place.asked:
            found += question_problems(payload)
        return found + await self._blob_problems(values)

    def _looked_up(self, name: str) -> _Known:
        if name not in self._known:
            graph = with_old_names(self._find(name))
            bare = bare_reader_for(graph, self._pool, self._ring)
            current = reader_for(graph, self._pool, self._ring)
            self._known[name] = _Known(
                bare=graph.copy({"checkpointer": bare}),
                current=graph.copy({"checkpointer": current}),
                held=graph.copy({"checkpointer": _Held()}),
                schemas=Schemas(graph),
            )
        return self._known[name]

    async def _stored_problems(
        self, known: _Known, place: Place, problems: list[Problem]
    ) -> list[Any]:  # values of channels
        """Note what is wrong with the heads of a thread's graph and of the subgraphs that it is in."""
        values: list[Any] = []
        thread_id = place.stored.run.thread_id
        for head in place.heads:
            holder = known.schemas.graph(head.namespace)
            if holder is None:
                continue  # a tool called it: nothing is known of it
            try:
                found = await self._tuple(known.bare, thread_id, head)
                ours, _ = known.schemas.up_to_date(found)
            except NoWay as error:
                newly = Problem(kind="version", text=clause(error), hint=error.hint)
                problems += [newly] if newly not in problems else []
                continue
            except (InterlockError, ValueError) as error:
                problems.append(_unreadable(error))
                continue
            here = [*nodes_gone(holder, ours), *state_problems(holder, ours)]
            if ours.pending_writes and not here:
                here += tasks_gone(ours, await self._tasks(known, ours, head))
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

    async def _tasks(self, known: _Known, found: CheckpointTuple, head: Head) -> set[str]:
        """Return the ids of the tasks that the graph would run at a checkpoint, and of what those have called."""
        _HELD.set(found)
        graph = known.current if head.namespace else known.held
        with translated():
            snapshot = await graph.aget_state(found.config)
        paths = {task.id: task.path for task in snapshot.tasks}
        if all(task in paths for task, _, _ in found.pending_writes or ()):
            return set(paths)
        thread_id = found.config["configurable"]["thread_id"]
        called = await self._store.called(thread_id, head)
        return {*paths, *(each.task_id for each in called if called_by(each.path, paths.values()))}

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


class _Held(BaseCheckpointSaver[str]):
    """Gives a checkpoint that was read already."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return it."""
        return _HELD.get()

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return nothing of what `DeltaChannel`s hold: which tasks run does not depend on it.

        LangGraph's own way goes from parent to parent, and comes to no end where each is the same.
        """
        return {channel: {"writes": []} for channel in channels}


_HELD: ContextVar[CheckpointTuple] = ContextVar("held")


def _prompt_problems(stored: StoredRun) -> list[Problem]:
    try:
        check_prompts(stored)
    except ResumeRefused as error:
        return [Problem(kind="prompt", text=clause(error), hint=error.hint)]
    return []


def _input_problems(graph: Graph, stored: StoredRun) -> list[Problem]:
    """Return what of a run that has not begun does not fit: its input, and the nodes at which it is to stop."""
    if stored.run.attempts:
        return []
    found = list(_stops_gone(graph, stored))
    if stored.packed[0] == "null":
        return found
    saver: Any = graph.checkpointer
    declared, version = declaration_of(graph), stored.schema_version
    try:
        given = stored.input(saver.serde)
        if version != version_of(declared):
            given = migrated(given, declared, version)
        if stored.run.kind == "invoke" and isinstance(given, Mapping):
            check_input(graph, given)
    except NoWay as error:
        return [*found, _of_input("version", error)]
    except UsageError as error:
        return [*found, _of_input("key", error)]
    except (InterlockError, ValueError) as error:
        return [*found, _unreadable(error)]
    return found


def _of_input(kind: str, error: InterlockError) -> Problem:
    hint = error.hint or "Cancel the run and submit it again, or deploy the code that accepted it."
    return Problem(kind=kind, text=f"of its input: {clause(error)}", hint=hint)


def _stops_gone(graph: Graph, stored: StoredRun) -> Iterator[Problem]:
    driving = stored.driving
    named = {*driving.interrupt_before, *driving.interrupt_after} - {ALL}
    for name in sorted(named - graph.nodes.keys()):
        yield Problem(
            kind="node",
            text=f"it is to stop at the node {name!r}, which the graph no longer has",
            hint="Cancel the run and submit it again, or deploy the code that has it.",
        )


def _inside(head: Head, problems: list[Problem]) -> list[Problem]:
    if not head.namespace:
        return problems
    path = "/".join(part.partition(":")[0] for part in head.namespace.split("|"))
    return [replace(each, text=f"inside {path} {each.text}") for each in problems]


def _unreadable(error: Exception) -> Problem:
    hint = error.hint if isinstance(error, InterlockError) else ""
    return Problem(kind="unreadable", text=f"it cannot be read: {clause(error)}", hint=hint)


async def _gathered(work: list[Any]) -> list[list[Problem]]:  # coroutines
    places = asyncio.Semaphore(AT_ONCE)

    async def one(each: Any) -> list[Problem]:  # a coroutine
        async with places:
            found: list[Problem] = await each
            return found

    return await asyncio.gather(*(one(each) for each in work))
