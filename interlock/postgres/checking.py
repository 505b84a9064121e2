"""What a check looks at, as rows: threads that have not ended, where they stand, and what they ask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from interlock.core.runs import Run
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.runs import StoredRun, stored_run

SQL = load("checking")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The latest checkpoint in a namespace; the empty one is the thread's own graph's."""

    namespace: str
    checkpoint_id: str


class CheckStore:
    """Reads what a check needs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count(self, graph: str | None) -> int:
        """Return how many threads have not ended."""
        return int((await self._fetch("count_unfinished", graph=graph))[0]["count"])

    async def unfinished(
        self, graph: str | None, *, after: int, limit: int
    ) -> tuple[int, list[StoredRun]]:
        """Return the latest runs of threads that have not ended, and the number after which the next ones are."""
        rows = await self._fetch("unfinished", graph=graph, after=after, limit=limit)
        last = rows[-1]["number"] if rows else after
        return last, [stored_run(row) for row in rows]

    async def heads(self, thread_id: str) -> list[Head]:
        """Return where a thread stands: its own graph first, then the subgraphs that it is in."""
        return [Head(**row) for row in await self._fetch("heads", thread_id=thread_id)]

    async def questions(self, run: Run) -> list[dict[str, Any]]:  # payloads
        """Return what is asked on a run's thread, and what was asked and is answered for this run."""
        rows = await self._fetch("asked", thread_id=run.thread_id, run_id=run.run_id)
        return [row["payload"] for row in rows]

    async def missing_blobs(self, names: Collection[str]) -> list[str]:
        """Return those of some blobs that are not stored."""
        if not names:
            return []
        rows = await self._fetch("known_blobs", digests=list(names))
        return sorted(set(names) - {row["digest"] for row in rows})

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)
