"""What clients said of threads, for the runs that begin on them: of all that are asked about at once together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.together import Together

SQL = load("thread_cards")

Metadata = Mapping[str, Any]  # JSON


class ThreadMetadata:
    """Reads the metadata of threads, of everybody's in one database; made and used on one event loop."""

    def __init__(self) -> None:
        self._together: Together[tuple[Pool, str], Metadata] = Together(_read)

    async def of(self, pool: Pool, thread_id: str) -> Metadata:
        """Return the metadata of a thread; empty where there is none.

        Whoever asks must see to it that the thread is one that may be seen.
        """
        if thread_id != clean(thread_id):  # it would be an error for all who ask at once
            return {}
        return await self._together.do((pool, thread_id))


async def metadata_of(connection: Connection, *thread_ids: str) -> list[Metadata]:
    """Return the metadata of threads, empty for one that is not there; as above."""
    rows = await fetch(connection, SQL["metadata"], {"thread_ids": list(thread_ids)})
    found = {row["thread_id"]: row["metadata"] for row in rows}
    return [found.get(thread_id, {}) for thread_id in thread_ids]


async def _read(asked: Sequence[tuple[Pool, str]]) -> list[Metadata]:
    pool, _ = asked[0]
    async with connected(pool) as connection:
        return await metadata_of(connection, *(thread_id for _, thread_id in asked))
