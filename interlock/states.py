"""A thread's state as clients of the server read and write it: the latest, at a checkpoint, its history."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from langgraph.types import StateSnapshot, StateUpdate

from interlock.application import Graph
from interlock.core.sync import run_sync
from interlock.errors import InterlockError, NotFound, StateRefused, ThreadBusy
from interlock.past import Past
from interlock.postgres.checkpointer import Core
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.encryption import KeyRing
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import Pool, translated
from interlock.postgres.stops import StopStore
from interlock.postgres.streams import StreamStore
from interlock.postgres.thread_cards import ThreadCard, ThreadCards
from interlock.postgres.versioned import Schemas
from interlock.postgres.withheld import Withholding
from interlock.settings import Settings
from interlock.standing import standing

RESUMABLE = ("queued", "failed", "dead", "killed")
"""How a run stands that may go on from its thread's checkpoint: what is written there counts as its own."""

PATIENCE = 2.0
"""Seconds that a write waits for another one."""

TURN_SECONDS = 0.02

Place = Mapping[str, Any]
"""Where a checkpoint stands, as LangGraph's clients say it: `checkpoint_ns`, `checkpoint_id`, `checkpoint_map`."""


class Stating(ABC):
    """The part of the runtime that reads and writes the states of threads."""

    settings: Settings
    stops: StopStore
    _pool: Pool
    _locks: ThreadLocks
    _past: Past
    _ring: KeyRing | None
    _core: Core

    @abstractmethod
    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph, without a checkpointer."""

    @abstractmethod
    def _durable(self, name: str) -> Graph: ...

    @abstractmethod
    def _new_context(
        self, graph: Graph, model: str | None, given: Mapping[str, Any] | None
    ) -> dict[str, Any]: ...  # JSON

    async def athread(self, thread_id: str) -> ThreadCard:
        """Return a thread by its whole id; raises `NotFound`."""
        found = await ThreadCards(self._pool).cards([thread_id])
        if not found:
            raise NotFound(f"There is no thread {thread_id!r}.")
        return found[0]

    async def astate(
        self, thread_id: str, checkpoint: Place | None = None, *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Return the state of a thread; one that has made no step yet has an empty one.

        Args:
            thread_id: the whole id.
            checkpoint: where; its latest one unless a `checkpoint_id` is given.
            subgraphs: also the states of subgraphs that have not ended.

        Raises:
            NotFound: no such thread, or the application does not have its graph.
            StateRefused: the checkpoint's namespace is of no subgraph.
        """
        return await self.astate_of(await self.athread(thread_id), checkpoint, subgraphs=subgraphs)

    async def astate_of(
        self, card: ThreadCard, checkpoint: Place | None = None, *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Return the state of a thread that was looked up; raises as `astate`."""
        config = _config(card.thread_id, checkpoint)
        if not card.graph:
            return _empty(config)
        graph = self._durable(card.graph)
        waits = card.run[1] == "waiting" and not config["configurable"]["checkpoint_ns"]
        read = partial(standing, graph) if waits else graph.aget_state
        async with _refusing():
            return await self._past.steady(
                card.thread_id, lambda: read(config, subgraphs=subgraphs)
            )

    async def astates(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        before: Place | None = None,
        metadata: Mapping[str, Any] | None = None,  # JSON
        checkpoint: Place | None = None,
    ) -> list[StateSnapshot]:
        """Return the states of a thread, newest first.

        Args:
            thread_id: the whole id.
            limit: so many at most.
            before: only those before this checkpoint.
            metadata: only those whose metadata has these values.
            checkpoint: whose `checkpoint_ns` names a subgraph; the thread's own graph unless given.

        Raises as `astate`.
        """
        card = await self.athread(thread_id)
        if not card.graph:
            return []
        graph = self._durable(card.graph)
        namespace = (checkpoint or {}).get("checkpoint_ns") or ""
        config = _config(thread_id, {"checkpoint_ns": namespace})
        until = _config(thread_id, {"checkpoint_ns": namespace, **before}) if before else None

        async def read() -> list[StateSnapshot]:
            found = graph.aget_state_history(
                config, filter=dict(metadata or {}), before=until, limit=limit
            )
            return [snapshot async for snapshot in found]

        async with _refusing():
            return await self._past.steady(thread_id, read)

    async def aupdate_state(
        self,
        thread_id: str,
        values: Any,  # part of the graph's state, or as LangGraph's `__copy__` takes them
        *,
        as_node: str | None = None,
        checkpoint: Place | None = None,
    ) -> Mapping[str, Any]:
        """Write a state as if a node had, and return where the new checkpoint stands.

        A run of the thread that waits for a person, or sleeps, is cancelled and its questions are withdrawn: they
        were asked of another state. What goes on from here asks anew.

        Args:
            thread_id: the whole id.
            values: go through the reducers of the state's keys.
            as_node: the node; `__copy__` and `__end__` without values copy the checkpoint, and clear its tasks.
            checkpoint: that it goes on from; default: the latest.

        Raises:
            NotFound: no such thread, or the application does not have its graph.
            StateRefused: the thread has no graph yet, or the values or the node do not fit it.
            ThreadBusy: a run is at it, or is about to be.
        """
        update = StateUpdate(values, as_node)
        return await self.aupdate_states(thread_id, [[update]], checkpoint=checkpoint)

    async def aupdate_states(
        self,
        thread_id: str,
        supersteps: Sequence[Sequence[StateUpdate]],
        *,
        checkpoint: Place | None = None,
    ) -> Mapping[str, Any]:
        """Write the states of several supersteps, one after the other; see `aupdate_state`."""
        card = await self.athread(thread_id)
        graph, saver = self._written_graph(card)
        cards = ThreadCards(self._pool)
        async with AsyncExitStack() as stack:
            await self._hold_still(stack, thread_id)
            context = self._new_context(self.graph(card.graph), None, None)
            await cards.assign(thread_id, card.graph, context)
            config = _config(thread_id, checkpoint) | _metadata(card)
            async with _refusing():
                written = await graph.abulk_update_state(config, supersteps)
                await saver.release()
                latest = await graph.aget_state(_config(thread_id))
            if card.run[1] == "waiting":
                await self.stops.stop(
                    card.run[0], "cancel", "the thread's state was written", self.settings.user
                )
            await cards.note_state(thread_id, goes_on=bool(latest.next))
            made = place_of(latest.config)["checkpoint_id"]
            await StreamStore(self._pool, None).note_state(thread_id, made)
        return place_of(written)

    async def _hold_still(self, stack: AsyncExitStack, thread_id: str) -> None:
        """Hold a thread that no run is at; whoever else writes its state is waited for a moment."""
        until = time.monotonic() + PATIENCE
        while True:
            await self._refuse_at_work(thread_id)
            try:
                await stack.enter_async_context(self._locks.hold(thread_id))
            except ThreadBusy:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(TURN_SECONDS)
            else:
                return await self._refuse_at_work(thread_id)

    async def _refuse_at_work(self, thread_id: str) -> None:
        if at_work := await ThreadCards(self._pool).at_work(thread_id):
            raise ThreadBusy(
                f"Thread {thread_id} has runs that have not ended: {', '.join(at_work)}.",
                hint="Wait for them, or cancel them.",
            )

    def _written_graph(self, card: ThreadCard) -> tuple[Graph, Withholding]:
        """Return the graph of a thread for one write, and the checkpointer that it has for that."""
        if not card.graph:
            raise StateRefused(
                f"Thread {card.thread_id} has no graph yet.",
                hint="Start a run on it, or set `graph_id` in its metadata.",
            )
        durable = self._durable(card.graph)
        saver = Withholding(
            self._pool,
            strict_serializer(durable, self._ring),
            self._locks.check,
            Schemas(durable),
            self._core,
            self._locks.fence,
        )
        return durable.copy({"checkpointer": saver}), saver


class StatingNow(Stating):
    """The synchronous twins."""

    def thread(self, thread_id: str) -> ThreadCard:
        """Return a thread by its whole id; see `athread`."""
        return run_sync(self.athread(thread_id))

    def state(
        self, thread_id: str, checkpoint: Place | None = None, *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Return the state of a thread; see `astate`."""
        return run_sync(self.astate(thread_id, checkpoint, subgraphs=subgraphs))

    def states(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        before: Place | None = None,
        metadata: Mapping[str, Any] | None = None,  # JSON
        checkpoint: Place | None = None,
    ) -> list[StateSnapshot]:
        """Return the states of a thread, newest first; see `astates`."""
        return run_sync(
            self.astates(
                thread_id, limit=limit, before=before, metadata=metadata, checkpoint=checkpoint
            )
        )

    def update_state(
        self,
        thread_id: str,
        values: Any,  # as for `aupdate_state`
        *,
        as_node: str | None = None,
        checkpoint: Place | None = None,
    ) -> Mapping[str, Any]:
        """Write a state as if a node had; see `aupdate_state`."""
        return run_sync(
            self.aupdate_state(thread_id, values, as_node=as_node, checkpoint=checkpoint)
        )

    def update_states(
        self,
        thread_id: str,
        supersteps: Sequence[Sequence[StateUpdate]],
        *,
        checkpoint: Place | None = None,
    ) -> Mapping[str, Any]:
        """Write the states of several supersteps; see `aupdate_states`."""
        return run_sync(self.aupdate_states(thread_id, supersteps, checkpoint=checkpoint))


def place_of(config: Mapping[str, Any] | None) -> dict[str, Any]:  # LangGraph's config
    """Return where a configuration's checkpoint stands, as LangGraph's clients take it."""
    named = (config or {}).get("configurable", {})
    keys = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")
    return {key: named[key] for key in keys if named.get(key) is not None}


@asynccontextmanager
async def _refusing() -> AsyncIterator[None]:
    """Say what a graph does not take: LangGraph, a reducer or a router raises anything where values do not fit."""
    try:
        with translated():
            yield
    except InterlockError:
        raise
    except Exception as error:
        raise StateRefused(str(error) or type(error).__name__) from error


def _config(thread_id: str, place: Place | None = None) -> Any:  # LangGraph's config
    keys = ("checkpoint_ns", "checkpoint_id", "checkpoint_map")
    named = {key: place[key] for key in keys if place and place.get(key)}
    return {"configurable": {"checkpoint_ns": "", **named, "thread_id": thread_id}}


def _metadata(card: ThreadCard) -> dict[str, Any]:  # of LangGraph's config
    """Return the metadata of a written state: a run that goes on from it must know it for its own."""
    run_id, status = card.run
    return {"metadata": {"run_id": run_id} if status in RESUMABLE else {}}


def _empty(config: Any) -> StateSnapshot:  # LangGraph's config
    return StateSnapshot(
        values={},
        next=(),
        config=config,
        metadata=None,
        created_at=None,
        parent_config=None,
        tasks=(),
        interrupts=(),
    )
