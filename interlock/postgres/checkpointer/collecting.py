"""Deleting content that nobody refers to, safely beside those who save.

A writer does not send again what it knows to be stored, so a deletion could pull content from under it. Three things
prevent that. First, whoever takes references from a thread announces a *sweep*: a row with a new generation, in a
transaction in which nobody can save. A flush by someone who does not know of it is refused; he forgets what he knew of
that thread and sends all of it. Then the thread's references that none of its rows needs are deleted, but none that was
saved since the sweep began. Last, content without any reference is deleted, again where nobody can save: a moment for
each batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected
from psycopg.rows import DictRow, dict_row

from interlock.postgres.queries import load

SQL = load("checkpoints")

BATCH = 500
"""So many contents are deleted at a time, during which nobody can save what refers to any."""

ATTEMPTS = 5

Connection = AsyncConnection[DictRow]


async def begin_sweeps(connection: Connection, holders: Sequence[str]) -> int:
    """Announce that threads will lose references, and return the first generation; outside of any transaction.

    Nobody saves meanwhile, so none of the threads has a reference that was saved between the first and its own.
    """
    async with connection.transaction():
        await connection.execute(SQL["shut"])
        rows = await fetched(connection, "begin_sweeps", {"holders": list(holders)})
    generation = min(int(row["generation"]) for row in rows)
    await run(connection, "old_sweeps", {"generation": generation})
    return generation


async def collect(connection: Connection, thread_id: str) -> int:
    """Delete content that a thread needs no more, and nobody else does; return its bytes.

    To be called after rows of the thread were deleted and that is committed; outside of any transaction.
    """
    return await _swept(connection, "unused", thread_id)


async def delete_thread(connection: Connection, thread_id: str) -> int:
    """Delete a thread with all that only it needed; return the bytes of that content."""
    return await _swept(connection, "delete_threads", thread_id)


async def delete_threads(
    connection: Connection, thread_ids: Sequence[str], generation: int
) -> list[bytes]:
    """Delete the rows of threads whose sweeps have begun, in the caller's transaction; return what may be unused then.

    Raises:
        DeadlockDetected: with someone who saves on one of them.
    """
    values = {"holders": list(thread_ids), "generation": generation}
    await connection.execute(SQL["take_turns"], values)
    return [row["hash"] for row in await fetched(connection, "delete_threads", values)]


async def delete_content(connection: Connection, hashes: Sequence[bytes]) -> int:
    """Delete those of some contents that nobody refers to, in small batches; return their bytes."""
    freed = 0
    for batch in _batches(sorted(hashes)):
        async with connection.transaction():
            await connection.execute(SQL["shut"])
            rows = await fetched(connection, "delete_content", {"hashes": batch})
        freed += sum(row["bytes"] for row in rows)
    return freed


async def collect_strays(connection: Connection) -> int:
    """Delete what was left behind where a deletion was cut short, in the whole database; return its bytes."""
    freed = 0
    for row in await fetched(connection, "stray_holders", {}):
        freed += await collect(connection, row["holder"])
    after = b""
    while hashes := await _strays(connection, after):
        freed += await delete_content(connection, hashes)
        after = hashes[-1]
    return freed


async def fetched(connection: Connection, name: str, values: Mapping[str, Any]) -> list[DictRow]:
    """Run a statement in a transaction of its own, or the one that is open, and return its rows."""
    async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL[name], values)
        return await cursor.fetchall()


async def run(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Run a statement in a transaction of its own, or the one that is open."""
    async with connection.transaction():
        await connection.execute(SQL[name], values)


async def _swept(connection: Connection, statement: str, thread_id: str) -> int:
    generation = await begin_sweeps(connection, [thread_id])
    values = {"holder": thread_id, "holders": [thread_id], "generation": generation}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await connection.execute(SQL["take_turns"], values)
                rows = await fetched(connection, statement, values)
        except DeadlockDetected:  # with someone who saves on the thread
            if attempt == ATTEMPTS:
                raise
        else:
            break
    return await delete_content(connection, [row["hash"] for row in rows])


async def _strays(connection: Connection, after: bytes) -> list[bytes]:
    rows = await fetched(connection, "stray_content", {"after": after, "limit": BATCH})
    return [row["hash"] for row in rows]


def _batches(hashes: Sequence[bytes]) -> Iterable[list[bytes]]:
    return (list(hashes[at : at + BATCH]) for at in range(0, len(hashes), BATCH))
