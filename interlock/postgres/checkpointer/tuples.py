"""Checkpoints as LangGraph wants them, made of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.types import TASKS
from psycopg.rows import DictRow

from interlock.postgres.checkpointer.reading import Reader
from interlock.postgres.checkpointer.sealing import Seal

FORMAT_WITH_SENDS = 4
"""Since this version of a checkpoint, what was sent to a step is in a channel and not in its parent's writes."""


def stored_values(rows: Iterable[DictRow]) -> Iterator[tuple[str, bytes | None]]:
    """Yield type and bytes of all values in some checkpoints' rows."""
    for row in rows:
        yield from zip(row["types"] or (), row["bodies"] or (), strict=True)
        yield from zip(row["kinds"] or (), row["values"] or (), strict=True)
        yield from ((send["type"], send["blob"]) for send in row.get("sends", ()))


async def opened(found: Sequence[DictRow], seal: Seal) -> tuple[list[DictRow], Reader]:
    """Return the rows of checkpoints, and what restores their values from the rows of content that stand with them.

    Raises:
        MissingContent: some is gone.
    """
    rows = [row for row in found if row["hash"] is None]
    reader = Reader(seal, _nothing, sharing=False)
    reader.know((row["hash"], row["kind"], row["content"]) for row in found if row["hash"])
    await reader.fetch(stored_values(rows))
    return rows, reader


async def _nothing(hashes: Sequence[bytes]) -> Iterable[tuple[bytes, int, bytes]]:
    return ()


def checkpoint_tuple(row: DictRow, reader: Reader) -> CheckpointTuple:
    """Return a checkpoint; what its rows refer to has been fetched."""
    saved = row["checkpoint"]
    values = {**(saved.get("channel_values") or {}), **_channels(row, reader)}
    if sends := row.get("sends"):
        versions = saved["channel_versions"]
        versions[TASKS] = max(versions.values()) if versions else row["first_version"]
        values[TASKS] = [reader.value(each["type"], each["blob"]) for each in _in_order(sends)]
    parent = row["parent_checkpoint_id"]
    return CheckpointTuple(
        place(row, row["checkpoint_id"]),
        cast("Checkpoint", {**saved, "channel_values": values}),
        row["metadata"],
        place(row, parent) if parent else None,
        _writes(row, reader),
    )


def place(row: DictRow, checkpoint_id: str) -> RunnableConfig:
    """Return the config that names a checkpoint of the same graph."""
    return {
        "configurable": {
            "thread_id": row["thread_id"],
            "checkpoint_ns": row["checkpoint_ns"],
            "checkpoint_id": checkpoint_id,
        }
    }


def needs_sends(row: DictRow) -> bool:
    """Tell whether a checkpoint is of an old format, and has a parent whose tasks may have sent something to it."""
    return row["checkpoint"]["v"] < FORMAT_WITH_SENDS and row["parent_checkpoint_id"] is not None


def _channels(row: DictRow, reader: Reader) -> dict[str, Any]:  # state
    columns = zip(row["channels"] or (), row["types"] or (), row["bodies"] or (), strict=True)
    return {channel: reader.value(kind, body) for channel, kind, body in columns if kind != "empty"}


def _writes(row: DictRow, reader: Reader) -> list[PendingWrite]:
    columns: Iterable[Sequence[Any]] = zip(
        row["paths"] or (),
        row["tasks"] or (),
        row["numbers"] or (),
        row["written"] or (),
        row["kinds"] or (),
        row["values"] or (),
        strict=True,
    )
    return [
        (task, channel, reader.value(kind, body))
        for _, task, _, channel, kind, body in sorted(
            columns, key=lambda each: writes_sort_key(*each[:3])
        )
    ]


def _in_order(sends: Sequence[DictRow]) -> list[DictRow]:
    return sorted(sends, key=lambda each: (each["task_path"], each["task_id"], each["idx"]))
