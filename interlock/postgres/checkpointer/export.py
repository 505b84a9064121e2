"""Writing a thread back as LangGraph's own saver stores it, so that this one opens it."""

from __future__ import annotations

from collections.abc import Callable

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
    blobs = await _rewritten(connection, "blob", thread_id, seal, reader)
    return blobs + await _rewritten(connection, "write", thread_id, seal, reader)


async def _rewritten(
    connection: AsyncConnection[DictRow],
    kind: str,
    thread_id: str,
    seal: Seal,
    reader: Callable[[], Reader],
) -> int:
    done = 0
    values = {"holder": thread_id, "limit": BATCH}
    while rows := await fetched(connection, f"referring_{kind}s", values):
        reading = reader()
        await reading.fetch((row["type"], row["blob"]) for row in rows)
        async with connection.transaction():
            for row in rows:
                stored, body = seal.serde.dumps_typed(reading.value(row["type"], row["blob"]))
                whole = {**row, "holder": thread_id, "type": stored, "blob": body}
                await run(connection, f"replace_{kind}", whole)
        done += len(rows)
    return done
