"""Watching a run from outside, as the runtime offers it: what happened so far, and what happens."""

from __future__ import annotations

import asyncio
from abc import ABC
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langgraph.types import StateSnapshot

from interlock.core.happening import Cursor, Event, Standing
from interlock.core.sync import run_sync
from interlock.errors import DatabaseUnavailable, InterlockError
from interlock.history import checkpoint_id, steps_of
from interlock.past import Past
from interlock.postgres import locks
from interlock.postgres.hearing import Hearing
from interlock.postgres.pool import Pool, translated
from interlock.postgres.watch import HEAR, WatchStore

LOOK_SECONDS = 0.3
"""How often it looks while something works on the run; what ends it is told of at once."""

REST_SECONDS = 2.0
"""How often it looks while nothing does."""

PATIENCE = 60.0
"""How long the database may be away."""

READ_AT_ONCE = 20
"""Of more steps than this at a time only the names of what changed are told."""


class Watching(ABC):
    """The part of the runtime that watches runs, whoever works on them."""

    url: str
    _pool: Pool
    _past: Past

    async def awatch(
        self, name: str, *, since: str = "", follow: bool = False, values: bool = False
    ) -> AsyncIterator[Event]:
        """Yield what happened to a run and what happens, in order, until it ends, waits for a person, or sleeps.

        What it went on with after an answer belongs to it, and so does what goes on with it.

        Args:
            name: of the run, or of a thread, for the run that it is at.
            since: the `cursor` of the last event that is known; default: from the beginning.
            follow: go on while it waits or sleeps, until it has ended.
            values: give steps the values of the keys that they changed, where the application has the graph.

        Raises:
            NotFound: no such run or thread.
            UsageError: the cursor cannot be read, or is of another database.
            DatabaseUnavailable: it was away for a minute.
        """
        cursor = Cursor.read(since)
        watch = _Watch(WatchStore(self._pool), Hearing(self.url, [HEAR]), name)
        reader = _Values(self._past) if values else None
        try:
            async with aclosing(watch.batches(cursor, follow=follow)) as batches:
                async for run, events in batches:
                    for event in await reader.read(run, events) if reader else events:
                        yield event
        finally:
            await watch.hearing.close()

    async def astanding(self, name: str) -> Standing:
        """Return how a run stands, or the one that goes on with it; a thread's name will do. Raises `NotFound`."""
        store = WatchStore(self._pool)
        standing = await store.find(name)
        alive = bool(await locks.held(self._pool, [standing.thread_id]))
        if not alive:  # it may have ended between the two looks
            standing = await store.standing(standing.run_id)
        return replace(standing, alive=alive)


class WatchingNow(Watching):
    """The synchronous twins."""

    def watch(
        self, name: str, *, since: str = "", follow: bool = False, values: bool = False
    ) -> Generator[Event]:
        """Yield what happened to a run and what happens; see `awatch`."""
        events = aiter(self.awatch(name, since=since, follow=follow, values=values))
        try:
            while (event := run_sync(_next(events))) is not None:
                yield event
        finally:
            run_sync(_close(events))

    def standing(self, name: str) -> Standing:
        """Return how a run stands; see `astanding`."""
        return run_sync(self.astanding(name))


class _Watch:
    """Looks again and again, and when it is told to."""

    def __init__(self, store: WatchStore, hearing: Hearing, name: str) -> None:
        self.store = store
        self.hearing = hearing
        self.name = name
        self.first_step = ""

    async def batches(
        self, cursor: Cursor, *, follow: bool
    ) -> AsyncGenerator[tuple[Standing, list[Event]]]:
        """Yield how the run stood and what happened before that, again and again."""
        run = await self.store.find(self.name)
        while True:
            standing, events, cursor = await self._patient(run, cursor)
            yield standing, events
            if standing.has_ended or (standing.rests and not follow):
                return
            await self.hearing.wait(LOOK_SECONDS if standing.status == "running" else REST_SECONDS)

    async def _patient(self, run: Standing, cursor: Cursor) -> tuple[Standing, list[Event], Cursor]:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while True:
            try:
                return await self._look(run, cursor)
            except DatabaseUnavailable:
                if loop.time() > until:
                    raise
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, run: Standing, cursor: Cursor) -> tuple[Standing, list[Event], Cursor]:
        # How it stands before what happened: when it has ended, its end is among the events.
        standing = await self.store.standing(run.run_id)
        events: list[Event] = []
        if cursor.is_between:
            events, cursor = await self.store.happenings(run, cursor)
        more, cursor = await self.store.happenings(run, cursor, self.first_step)
        events += more
        for event in events:
            if event.kind == "step":
                self.first_step = event.detail["checkpoint_id"]
        return standing, events, cursor


class _Values:
    """Reads what steps changed, where the application has their graph."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._last: StateSnapshot | None = None

    async def read(self, run: Standing, events: Sequence[Event]) -> list[Event]:
        """Return events, the steps among them with names of nodes and values of keys."""
        steps = [each for each in events if each.kind == "step"][-READ_AT_ONCE:]
        try:
            graph = self._past.graph(run.graph) if steps else None
        except InterlockError:  # another application's: what the rows tell is enough
            graph = None
        if graph is None:
            return list(events)
        return [await self._with_values(graph, e) if e in steps else e for e in events]

    async def _with_values(self, graph: Any, event: Event) -> Event:  # a compiled graph
        before = await self._snapshot(graph, event, event.detail["parent_id"])
        snapshot = await self._snapshot(graph, event, event.detail["checkpoint_id"])
        self._last = snapshot
        if snapshot is None:
            return event
        step = steps_of([each for each in (before, snapshot) if each], {})[-1]
        old = before.values if before else {}
        detail = {**event.detail, "nodes": list(step.nodes), "next": list(step.next)}
        values = {key: (old.get(key), step.values[key]) for key in step.changed}
        return replace(event, detail=detail | {"changed": list(step.changed)}, values=values)

    async def _snapshot(self, graph: Any, event: Event, at: str) -> StateSnapshot | None:
        if not at or (self._last is not None and checkpoint_id(self._last) == at):
            return self._last if at else None
        config = {"configurable": {"thread_id": event.thread_id, "checkpoint_id": at}}
        with translated():
            found: StateSnapshot = await graph.aget_state(config)
        return found if found.config["configurable"].get("checkpoint_id") == at else None


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


async def _close(events: Any) -> None:  # an asynchronous generator
    await events.aclose()
