"""What one thread takes in the tables of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("thread_storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How many rows there are of something, and what they take with what they refer to."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadStorage:
    """What a thread takes, its subgraphs too; content that other threads refer to, too, counts whole.

    Attributes:
        values: of its channels, one row for each version; content that several refer to counts once.
        channels: the same for each of them, where it counts for each.
        writes: of tasks, kept for as long as their checkpoints; without content that values refer to.
    """

    checkpoints: Taken
    values: Taken
    channels: Mapping[str, Taken]
    writes: Taken

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.checkpoints.bytes + self.values.bytes + self.writes.bytes


async def storage_of(pool: Pool, thread_id: str) -> ThreadStorage:
    """Return what a thread takes; nothing where there is none."""
    async with connected(pool) as connection:
        rows = await fetch(connection, SQL["stored"], {"thread_id": thread_id})
    taken = {
        (row["part"], row["channel"]): Taken(count=row["number"], bytes=row["bytes"])
        for row in rows
    }
    return ThreadStorage(
        checkpoints=taken["checkpoints", ""],
        values=taken["values", ""],
        channels={channel: each for (part, channel), each in taken.items() if part == "channel"},
        writes=taken["writes", ""],
    )
