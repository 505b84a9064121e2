"""What a check looks at, as rows: threads that have not ended, where they stand, and what they ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.stored_runs import StoredRun, stored_run

SQL = load("checking")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The latest checkpoint in a namespace; the empty one is the thread's own graph's."""

    namespace: str
    checkpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A `@task` that a node called: LangGraph's id of it, and its path, in which the caller's is."""

    task_id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a thread stands.

    Attributes:
        stored: the run that it is at.
        heads: of its own graph, then of the subgraphs that it is in.
        asked: the payloads of its questions that are open, or whose answer waits to be used.
    """

    stored: StoredRun
    heads: tuple[Head, ...]
    asked: tuple[Mapping[str, Any], ...]


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
        """Return the runs that threads are at and that have not ended, and the number after which the next ones are."""
        return await self._page("unfinished", graph, after, limit)

    async def queued(
        self, graph: str | None, *, after: int, limit: int
    ) -> tuple[int, list[StoredRun]]:
        """Return runs that wait behind the one that their thread is at, and the last one's number."""
        return await self._page("queued", graph, after, limit)

    async def places(self, runs: Sequence[StoredRun]) -> list[Place]:
        """Return of each run what is known without reading its state."""
        threads = [each.run.thread_id for each in runs]
        heads, asked = defaultdict[str, list[Head]](list), defaultdict[str, list[Any]](list)
        for row in await self._fetch("heads", thread_ids=threads):
            heads[row.pop("thread_id")].append(Head(**row))
        for row in await self._fetch(
            "asked", thread_ids=threads, run_ids=[each.run.run_id for each in runs]
        ):
            asked[row["thread_id"]].append(row["payload"])
        return [
            Place(stored=each, heads=tuple(heads[thread]), asked=tuple(asked[thread]))
            for each, thread in zip(runs, threads, strict=True)
        ]

    async def called(self, thread_id: str, head: Head) -> list[Called]:
        """Return what tasks at a checkpoint have called and what has left something there."""
        place = {"namespace": head.namespace, "checkpoint_id": head.checkpoint_id}
        rows = await self._fetch("called", thread_id=thread_id, **place)
        return [Called(**row) for row in rows]

    async def missing_blobs(self, names: Collection[str]) -> list[str]:
        """Return those of some blobs that are not stored."""
        if not names:
            return []
        rows = await self._fetch("known_blobs", digests=list(names))
        return sorted(set(names) - {row["digest"] for row in rows})

    async def _page(
        self, statement: str, graph: str | None, after: int, limit: int
    ) -> tuple[int, list[StoredRun]]:
        rows = await self._fetch(statement, graph=graph, after=after, limit=limit)
        last = rows[-1]["number"] if rows else after
        return last, [stored_run(row) for row in rows]

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)
