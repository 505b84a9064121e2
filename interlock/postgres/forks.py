"""What a fork takes over of its parent's checkpoints, and who was forked from whom, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langgraph._internal._constants import (
    NULL_TASK_ID,
)  # not public by name; versions are pinned and a test holds it
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.rows import DictRow

from interlock.core.blobs import named_in
from interlock.errors import NotFound, UsageError
from interlock.postgres import blobs, locks
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("forks")

Extent = Literal["whole", "open", "last"]
"""What of a checkpoint's tasks is copied: all that they wrote; what the finished ones wrote; nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a checkpoint stands.

    Attributes:
        namespace: LangGraph's `node:task|node:task`, empty for the thread's own graph.
        parent_id: the checkpoint before it in the same namespace; empty for the first.
        parents: for each graph around it, by namespace: the checkpoint that its task started from.
    """

    namespace: str
    checkpoint_id: str
    parent_id: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a fork changes of the state that it begins with.

    Attributes:
        alone: it takes the place of an earlier change; otherwise the channel's reducer adds it.
    """

    channel: str
    value: Any  # of a state key
    alone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What a fork's thread begins with.

    Attributes:
        thread_id: the thread that it is copied from.
        head: namespace and id of the checkpoint whose tasks run anew.
        taken: the checkpoints, by namespace and id, with the extent to which their tasks' work is copied.
        redone: tasks around the head: they have not ended.
        changes: what is changed of the head's state.
    """

    thread_id: str
    head: tuple[str, str]
    taken: Sequence[tuple[str, str, Extent]]
    redone: Sequence[str] = ()
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A thread in a fork's line.

    Attributes:
        began: the step of its parent's own graph that it was forked from, or inside of; empty for no fork.
        until: its work beside that of its parent ends here: the same step, or the next one for a fork inside a
            step; empty when there is none.
    """

    thread_id: str
    began: str = ""
    until: str = ""


class ForkStore:
    """Reads where checkpoints stand, and how threads hang together."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def places(self, thread_id: str) -> list[Place]:
        """Return the places of all checkpoints of a thread."""
        return [Place(**row) for row in await self._fetch("places", thread_id)]

    async def ancestors(self, thread_id: str) -> list[Ancestor]:
        """Return a thread, its parent, and so on."""
        return [
            Ancestor(thread_id=row["thread_id"], began=row["began"], until=row["until"])
            for row in await self._fetch("ancestors", thread_id)
        ]

    async def tree(self, thread_id: str) -> list[DictRow]:
        """Return the rows of a thread's tree, parents before children."""
        return await self._fetch("tree", thread_id)

    async def effects_behind(self, thread_id: str, other: str) -> frozenset[str]:
        """Return the keys of a thread's effects that were done before another thread parted from it."""
        rows = await self._fetch("effects_behind", thread_id, other=other)
        return frozenset(row["key"] for row in rows)

    async def foldings(self, thread_id: str) -> int:
        """Return how often something of a thread was folded."""
        return int((await self._fetch("foldings", thread_id))[0]["number"])

    async def folded_tasks(self, thread_id: str) -> dict[str, list[str]]:
        """Return, by checkpoint, the tasks that ran in the steps that were folded into it."""
        found: dict[str, list[str]] = {}
        for row in await self._fetch("folded_tasks", thread_id):
            found.setdefault(row["checkpoint_id"], []).append(row["task_id"])
        return found

    async def _fetch(self, statement: str, thread_id: str, **more: str) -> list[DictRow]:
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], {"thread_id": thread_id, **more})


async def copy(
    connection: Connection, prefix: Prefix, to_thread_id: str, serde: SerializerProtocol
) -> None:
    """Let a thread begin with what a fork takes over; inside the transaction that makes the thread.

    Raises:
        NotFound: the step that it begins at was folded in this moment.
        UsageError: a changed value cannot be stored.
    """
    await locks.stay(connection, prefix.thread_id)
    changes = await _changes(connection, prefix, serde)
    values = {
        "thread_id": prefix.thread_id,
        "to_thread_id": to_thread_id,
        "namespaces": [namespace for namespace, _, _ in prefix.taken],
        "checkpoints": [checkpoint for _, checkpoint, _ in prefix.taken],
        "extents": [extent for _, _, extent in prefix.taken],
        "redone": list(prefix.redone),
    }
    await fetch(connection, SQL["share_content"], {})
    await execute(connection, SQL["copy"], values)
    for idx, (channel, kind, blob) in enumerate(changes):
        written = {"idx": idx, "channel": channel, "type": kind, "blob": blob}
        await execute(connection, SQL["change"], _head(prefix, to_thread_id) | written)
    if not await fetch(connection, SQL["has_head"], _head(prefix, to_thread_id)):
        raise NotFound(
            f"The step of thread {prefix.thread_id} to begin at was folded in this moment.",
            hint="Fork from a step that `interlock history` lists now.",
        )
    await blobs.inherit(connection, prefix.thread_id, to_thread_id)
    names = named_in([each.value for each in prefix.changes])
    await blobs.note(connection, to_thread_id, names)


async def _changes(
    connection: Connection, prefix: Prefix, serde: SerializerProtocol
) -> list[tuple[str, str, bytes]]:
    """Return channel, type and bytes of all changes at the head: the parent's own if it began there, then the new."""
    replaced = [each.channel for each in prefix.changes if each.alone]
    values = _head(prefix, prefix.thread_id) | {"replaced": replaced}
    rows = await fetch(connection, SQL["changes"], values)
    kept = [(row["channel"], row["type"], row["blob"]) for row in rows]
    return kept + [(each.channel, *packed(each, serde)) for each in prefix.changes]


def packed(change: Change, serde: SerializerProtocol) -> tuple[str, bytes]:
    """Return a changed value as it is stored; raises `UsageError` when it cannot be."""
    try:
        return serde.dumps_typed(change.value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The value of {change.channel} cannot be saved: {error}.", hint="Pass plain data."
        ) from error


def _head(prefix: Prefix, thread_id: str) -> dict[str, str]:  # SQL values
    namespace, checkpoint_id = prefix.head
    return {
        "thread_id": thread_id,
        "namespace": namespace,
        "checkpoint_id": checkpoint_id,
        "null_task": NULL_TASK_ID,
    }
