"""Checkpoints of older versions of a state's schema: brought up when they are read, stored with the next checkpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.graph.state import CompiledStateGraph

from interlock.core.bounded import Declaration, declaration_of
from interlock.core.renaming import Graph, joined_anew
from interlock.core.versions import (
    KEY,
    MARK,
    NoWay,
    Stored,
    brought_up,
    migrated,
    stored_version,
    version_of,
)
from interlock.errors import ResumeRefused
from interlock.postgres.stored_runs import StoredRun

Place = tuple[str, str, str]
"""Thread, namespace, and checkpoint."""


class Schemas:
    """What a graph and its subgraphs declare of their states, by the namespace that they run in."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[tuple[str, ...], Graph | None] = {(): graph}
        self._versions: dict[tuple[str, ...], int] = {}

    def graph(self, namespace: str) -> Graph | None:
        """Return the graph that runs in a namespace; None when it cannot be seen, as that of a tool."""
        path = names_in(namespace)
        if path not in self._known:
            self._known[path] = self._found(path)
        return self._known[path]

    def declaration(self, namespace: str) -> Declaration | None:
        """Return what the graph that runs in a namespace declares."""
        graph = self.graph(namespace)
        return declaration_of(graph) if graph is not None else None

    def version(self, namespace: str) -> int:
        """Return the version of the schema that the graph declares which runs in a namespace."""
        path = names_in(namespace)
        if path not in self._versions:
            self._versions[path] = version_of(self.declaration(namespace))
        return self._versions[path]

    def up_to_date(self, found: CheckpointTuple) -> tuple[CheckpointTuple, frozenset[str]]:
        """Return a checkpoint as the code has it, with its channels that are not as they are stored; raises `NoWay`."""
        graph = self.graph(found.config["configurable"].get("checkpoint_ns", ""))
        if graph is None:
            return found, frozenset()
        stored = Stored(checkpoint=found.checkpoint, writes=found.pending_writes or ())
        ours = brought_up(stored, declaration_of(graph), stored_version(found.metadata))
        ours = joined_anew(ours, graph)
        return found._replace(
            checkpoint=ours.checkpoint, pending_writes=list(ours.writes)
        ), ours.changed

    def _found(self, path: tuple[str, ...]) -> Graph | None:
        for _, inner in self._graph.get_subgraphs(namespace="|".join(path), recurse=True):
            return inner if isinstance(inner, CompiledStateGraph) else None
        return None


class Versioned(BaseCheckpointSaver[str]):
    """The part of a saver that brings what it reads to the version of the code, and notes the version of what it saves.

    Put before the saver that stores. `schemas` is what the code declares; None leaves all as it is.
    """

    schemas: Schemas | None = None
    _older: dict[Place, frozenset[str]]
    """Checkpoints that were brought up, with the channels that the next one has to store."""

    def _note_schemas(self, schemas: Schemas | None) -> None:
        self.schemas = schemas
        self._older = {}

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that is asked for, as the code has it; raises `ResumeRefused`."""
        found = await super().aget_tuple(config)
        return self._up_to_date(found) if found is not None else None

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # LangGraph's word
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints as the code has them, newest first; raises `ResumeRefused`."""
        async for found in super().alist(config, filter=filter, before=before, limit=limit):
            yield self._up_to_date(found, remember=False)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint with its version, and with what was brought up since the one before."""
        place = _place(config)
        versions = checkpoint["channel_versions"]
        older = self._older.get(place, ())
        if older:
            new_versions = {
                **{key: versions[key] for key in older if key in versions},
                **new_versions,
            }
        noted = self._noted(metadata, place[1])
        saved = await super().aput(config, checkpoint, noted, new_versions)
        self._older.pop(place, None)
        return saved

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Save what a task wrote, behind a mark where the checkpoint is of another version."""
        place = _place(config)
        if place in self._older and any(channel not in WRITES_IDX_MAP for channel, _ in writes):
            writes = [(MARK, self._version(place[1])), *writes]
        await super().aput_writes(config, writes, task_id, task_path)

    def _up_to_date(self, found: CheckpointTuple, *, remember: bool = True) -> CheckpointTuple:
        if self.schemas is None:
            return found
        place = _place(found.config)
        try:
            ours, changed = self.schemas.up_to_date(found)
        except NoWay as error:
            raise refused(place[0], error) from error
        older = stored_version(found.metadata) != self._version(place[1])
        if remember and (changed or older):
            self._older[place] = changed
        return ours

    def _noted(self, metadata: CheckpointMetadata, namespace: str) -> CheckpointMetadata:
        version = self._version(namespace)
        return metadata if version == 1 else cast("CheckpointMetadata", {**metadata, KEY: version})

    def _version(self, namespace: str) -> int:
        return self.schemas.version(namespace) if self.schemas else version_of(None)


def _place(config: RunnableConfig) -> Place:
    configurable = config["configurable"]
    checkpoint_id = str(configurable.get("checkpoint_id") or "")
    return configurable["thread_id"], configurable.get("checkpoint_ns", ""), checkpoint_id


def input_of(graph: Graph, stored: StoredRun) -> Any:  # the graph's input schema
    """Return what a run was given, as the code has it; raises `ResumeRefused`.

    Args:
        graph: with its saver, whose serializer knows its types.
        stored: the run.
    """
    saver = cast("Versioned", graph.checkpointer)
    given = stored.input(saver.serde)
    if not isinstance(given, Mapping):
        return given
    try:
        return migrated(given, declaration_of(graph), stored.schema_version)
    except NoWay as error:
        raise refused(stored.run.thread_id, error) from error


def refused(thread_id: str, error: NoWay) -> ResumeRefused:
    """Return the error for a thread whose values cannot be brought to the version of the code."""
    return ResumeRefused(f"Thread {thread_id} cannot go on: {error.args[0]}.", hint=error.hint)


def names_in(namespace: str) -> tuple[str, ...]:
    """Return the names of the nodes that a namespace leads through."""
    if not namespace:
        return ()
    return tuple(
        part.partition(":")[0] for part in namespace.split("|") if part and not part.isdigit()
    )
