"""LangGraph's checkpointer on Postgres, with a strict serializer: no pickle, no classes but the schemas' own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from inspect import signature
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import ERROR_SOURCE_NODE
from langgraph._internal._serde import (
    build_serde_allowlist,
)  # neither is public by name; versions are pinned and a test holds it
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, TASKS
from langgraph.graph.state import CompiledStateGraph
from psycopg.rows import DictRow

from interlock.core.blobs import named_in
from interlock.postgres import blobs
from interlock.postgres.checkpointer import Checkpointer, Core
from interlock.postgres.checkpointer.encoding import Encoder
from interlock.postgres.checkpointer.ending import End
from interlock.postgres.checkpointer.request import Fill
from interlock.postgres.encryption import KeyRing, serializer
from interlock.postgres.latest import Latest
from interlock.postgres.pool import Pool, connected
from interlock.postgres.versioned import Schemas, Versioned

LATEST = "__interlock_latest"
"""Under which a run keeps, in LangGraph's configuration, what is known of its thread's latest checkpoint, as `Latest`:
the first look takes it out."""

HELD = "__interlock_held"
"""Under which a run keeps, in LangGraph's configuration, the checkpoints of inputs: each is saved with what comes next.

An input stands with its run: without its checkpoint the run has not begun, and begins anew.
"""

ENDING = "__interlock_ending"
"""Under which a run says, in LangGraph's configuration, that it keeps the checkpoint back that nothing follows.

It is saved by `Saver.let_go`, in one commit with the run's end. Until then it is not there for others.
"""

_LAST = "__interlock_last"
"""Under which a saver marks, in a configuration, that nothing follows the checkpoint."""

INTERRUPTS = "__interlock_interrupts"
"""Under which a run is told which of its tasks were interrupted, in LangGraph's configuration."""

_RESUMING = "__pregel_resuming"
"""LangGraph's flag for a subgraph that goes on where it was; a test holds the name."""

Check = Callable[[str], Awaitable[None]]
"""Raises when this process has lost its hold on a thread."""

Fence = Callable[[str], str]
"""Names the worker for whom a thread is held; empty for none."""


class Saver(Versioned, Checkpointer):
    """Our checkpointer; it writes only on threads that this process holds."""

    def __init__(
        self,
        pool: Pool,
        serde: SerializerProtocol,
        check: Check,
        schemas: Schemas | None = None,
        core: Core | None = None,
        fence: Fence | None = None,
        triggers: Collection[str] = (),
    ) -> None:
        super().__init__(pool, serde=serde, core=core)
        self._check = check
        self._triggers = frozenset(triggers)
        self._fences = fence
        self._note_schemas(schemas)
        self._names = pool

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that is asked for; tell a subgraph with a memory whether it had begun.

        A subgraph that was compiled with `checkpointer=True` has checkpoints of earlier steps. When its thread is
        resumed, or a fork begins, before it has begun anew, LangGraph 1.2 takes those for a run that was interrupted,
        gives it no input, and goes on with what it had said before.
        """
        found = await super().aget_tuple(config)
        if found is not None and _of_another_step(config, found):
            config["configurable"].pop(_RESUMING, None)  # as LangGraph does where it replays
        return found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint."""
        await self._check(config["configurable"]["thread_id"])
        if metadata.get("source") != "loop":  # else what is new stands among the tasks' writes
            given = checkpoint["channel_values"]
            if names := named_in([given[key] for key in new_versions if key in given]):
                await self._note(config, names)
        elif config["configurable"].get(ENDING) and self._is_last(config, checkpoint):
            config = {**config, "configurable": {**config["configurable"], _LAST: True}}
        return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Save what a task wrote; of one that failed or was cancelled nothing but that."""
        await self._check(config["configurable"]["thread_id"])
        if names := named_in(writes):
            await self._note(config, names)
        channels = {channel for channel, _ in writes}
        if INTERRUPT in channels:
            config["configurable"].get(INTERRUPTS, []).append(task_id)
        if ERROR in channels:
            writes = _whole(writes, channels)
        await super().aput_writes(config, writes, task_id, task_path)

    def holds(self, thread_id: str) -> bool:
        """Say whether the last checkpoint of a thread is kept back."""
        return self._core.queue.holds(thread_id)

    async def let_go(self, thread_id: str, end: End | None = None) -> bool:
        """Save what is kept back of a thread, with the end of its run, if one is given; return whether that ended."""
        request = await self._request(thread_id, _fill_nothing, end=end)
        return await self._core.queue.save(request)

    def _is_last(self, config: RunnableConfig, checkpoint: Checkpoint) -> bool:
        """Say whether no node runs after a checkpoint, as LangGraph finds it: by the channels that were written."""
        written = checkpoint.get("updated_channels") or ()
        in_subgraph = config["configurable"].get("checkpoint_ns")
        return bool(written) and not in_subgraph and self._triggers.isdisjoint(written)

    async def _note(self, config: RunnableConfig, names: Collection[str]) -> None:
        """Note the blobs that are named in what is stored next, so that they are not collected."""
        async with connected(self._names) as connection:
            await blobs.note(connection, config["configurable"]["thread_id"], names)

    async def _save(
        self,
        config: RunnableConfig,
        fill: Fill,
        *,
        patient: bool = False,
        begins: bool = False,
        ends: bool = False,
    ) -> None:
        """Save what `fill` makes rows of, with the input that was held; an input is held where a run says so."""
        held: list[Fill] | None = config["configurable"].get(HELD)
        ends = ends or _LAST in config["configurable"]
        if held is None:
            await super()._save(config, fill, patient=patient, ends=ends)
        elif begins:
            held.append(fill)
        else:
            together, held[:] = [*held, fill], []
            await super()._save(config, partial(_fill_all, together), patient=patient, ends=ends)

    def _known(self, config: RunnableConfig) -> Sequence[DictRow] | None:
        configurable = config["configurable"]
        latest: Latest | None = configurable.get(LATEST)
        if not latest or configurable.get("checkpoint_ns") or configurable.get("checkpoint_id"):
            return None
        return latest.pop()

    async def _allowed(self, thread_id: str) -> None:
        await self._check(thread_id)

    def _fence(self, thread_id: str) -> str:
        return self._fences(thread_id) if self._fences is not None else ""


# LangGraph looks at it for each run, and Python would put it together each time.
Saver.aput_writes.__signature__ = signature(Saver.aput_writes)  # type: ignore[attr-defined]  # of functions


def reader_for(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    pool: Pool,
    ring: KeyRing | None = None,
    core: Core | None = None,
) -> Saver:
    """Return a checkpointer for reading, which writes nothing."""
    return Saver(pool, strict_serializer(graph, ring), _refuse, Schemas(graph), core)


def bare_reader_for(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    pool: Pool,
    ring: KeyRing | None = None,
    core: Core | None = None,
) -> Saver:
    """Return a checkpointer for reading what is stored as it is stored, of whatever version of a schema."""
    return Saver(pool, strict_serializer(graph, ring), _refuse, core=core)


def saver_for(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    pool: Pool,
    check: Check,
    ring: KeyRing | None = None,
    core: Core | None = None,
    fence: Fence | None = None,
) -> Saver:
    """Return a checkpointer that restores only types which the graph's schemas name, as their present versions.

    Args:
        graph: whose types are restored.
        pool: reads from it.
        check: raises when this process has lost its hold on a thread.
        ring: keys; None leaves what is stored plain.
        core: the queue on which it saves; default: one of its own.
        fence: names the worker that a thread is held for; what it saves is refused once that was removed.
    """
    triggers = (*graph.trigger_to_nodes, TASKS)  # what is sent triggers too
    serde = strict_serializer(graph, ring)
    return Saver(pool, serde, check, Schemas(graph), core, fence, triggers)


def strict_serializer(
    graph: CompiledStateGraph[Any, Any, Any, Any] | None = None, ring: KeyRing | None = None
) -> SerializerProtocol:
    """Return LangGraph's serializer that restores plain data and the types of a graph's schemas, nothing else."""
    return serializer(ring, _schema_types(graph) if graph is not None else None)


def _fill_all(fills: Sequence[Fill], encoder: Encoder) -> None:
    for fill in fills:
        fill(encoder)


def _fill_nothing(encoder: Encoder) -> None:
    """Add no rows: what is held back is saved alone."""


async def _refuse(thread_id: str) -> None:
    raise RuntimeError(f"thread {thread_id} is only read here")


def _of_another_step(config: RunnableConfig, found: CheckpointTuple) -> bool:
    configurable = config["configurable"]
    parents = found.metadata.get("parents", {})
    around = configurable.get("checkpoint_map", {})
    return bool(configurable.get(_RESUMING)) and parents != {
        namespace: around[namespace] for namespace in around if namespace in parents
    }


def _whole(
    writes: Sequence[tuple[str, Any]],  # channel, value
    channels: Collection[str],
) -> Sequence[tuple[str, Any]]:
    """Leave out what a task had written before it failed.

    A task fails between its state and its router, too. LangGraph 1.2 saves the half, takes the task for finished when
    the run is resumed, and ends the graph there as if all was well. Here such a task runs again.
    """
    if ERROR_SOURCE_NODE in channels:  # an error handler goes on with it
        return writes
    return [write for write in writes if write[0] in WRITES_IDX_MAP]


def _schema_types(graph: CompiledStateGraph[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    inner = (each for _, each in graph.get_subgraphs(recurse=True))
    graphs = [graph, *(each for each in inner if isinstance(each, CompiledStateGraph))]
    return set().union(*map(_own_schema_types, graphs))


def _own_schema_types(graph: CompiledStateGraph[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    builder = graph.builder
    schemas = [builder.state_schema, builder.input_schema, builder.output_schema]
    schemas += [spec.input_schema for spec in builder.nodes.values()]
    return build_serde_allowlist(schemas=schemas, channels=builder.channels)
