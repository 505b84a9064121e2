"""Writing a thread back as LangGraph's own saver stores it, so that this one opens it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from interlock.postgres.checkpointer.collecting import fetched, run
from interlock.postgres.checkpointer.reading import Reader
from interlock.postgres.checkpointer.sealing import Seal

BATCH = 50
"""So many values are held in memory and rewritten in one transaction."""


async def export(
    connection: AsyncConnection[DictRow], thread_id: str, seal: Seal, reader: Callable[[], Reader]
) -> int:
    """Store each value of a thread as a whole in its own row; return how many that were."""
    work = _Work(connection, thread_id, seal, reader)
    blobs = await work.rewrite("referring_blobs", "replace_blob")
    return blobs + await work.rewrite("referring_writes", "replace_write")


@dataclass(frozen=True, slots=True)
class _Work:
    connection: AsyncConnection[DictRow]
    thread_id: str
    seal: Seal
    reader: Callable[[], Reader]

    async def rewrite(self, find: str, replace: str) -> int:
        """Rewrite what a statement finds with another one, until it finds no more."""
        done = 0
        values = {"holder": self.thread_id, "limit": BATCH}
        while rows := await fetched(self.connection, find, values):
            await self._rewrite(rows, replace)
            done += len(rows)
        return done

    async def _rewrite(self, rows: Sequence[DictRow], replace: str) -> None:
        reading = self.reader()
        await reading.fetch((row["type"], row["blob"]) for row in rows)
        async with self.connection.transaction():
            for row in rows:
                value = reading.value(row["type"], row["blob"])
                kind, body = self.seal.serde.dumps_typed(value)
                whole = {**row, "holder": self.thread_id, "type": kind, "blob": body}
                await run(self.connection, replace, whole)
