"""Recorded model calls in Postgres: an answer outlives the process that paid for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.rows import DictRow

from interlock.core.lineage import Lineage
from interlock.core.recordings import (
    Answer,
    Asked,
    ModelRequest,
    Recorded,
    Recordings,
    must_be_live,
)
from interlock.errors import UsageError
from interlock.postgres.aside import Aside
from interlock.postgres.encryption import KeyRing, opened_json, sealed_json, serializer
from interlock.postgres.plain import jsonb
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

T = TypeVar("T")
SQL = load("recordings")


class PostgresRecordings:
    """Model calls as rows, each written when its answer has come.

    Made on the event loop of the pool; other loops, and synchronous code, work through connections of their own.
    """

    def __init__(self, pool: Pool, aside: Aside, ring: KeyRing | None = None) -> None:
        self._pool = pool
        self._aside = aside
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._serde = serializer(ring)

    async def find(self, request: ModelRequest, lineage: Lineage) -> Recorded | None:
        """Return the answer that was recorded for a request, or None when the model must be asked."""
        if must_be_live(request, lineage):
            return None
        own = {
            "key": request.key,
            "run_id": request.site.run_id,
            "also_stale": lineage.asks_no_model,
        }
        row = await self._first("own_answer", own)
        if row is None and lineage.sources:
            row = await self._taken(request, lineage)
        return Recorded(answer=_loaded(self._serde, row)) if row else None

    async def keep(self, request: ModelRequest, answer: Answer) -> None:
        """Record what a model answered, in place of what stood there before."""
        kind, blob = _dumped(self._serde, answer, request)
        values = self._values(request) | {"answer_type": kind, "answer": blob}
        async with connected(self._pool) as connection:
            await execute(connection, SQL["keep_answer"], values)

    async def nearest(self, request: ModelRequest, lineage: Lineage) -> Asked | None:
        """Return what the same node asked for behind the fork and this thread has not used yet."""
        row = await self._first("nearest_call", self._values(request) | _sources(lineage))
        return Asked.from_json(opened_json(self._ring, row["asked"])) if row else None

    async def forget(self, thread_id: str, run_id: str) -> None:
        """Ask anew what a failed run of a thread asks again."""
        values = {"thread_id": thread_id, "run_id": run_id}
        async with connected(self._pool) as connection:
            await execute(connection, SQL["forget_answers"], values)

    async def recorded_by_task(self, thread_id: str) -> dict[str, int]:
        """Return how many calls were answered from records, by task of the thread's own graph."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["recorded_by_task"], {"thread_id": thread_id})
        return {row["task_id"]: row["count"] for row in rows}

    async def run(self, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the recordings, on whatever event loop this is called."""
        if asyncio.get_running_loop() is self._loop:
            return await work(self)
        return await asyncio.to_thread(self.wait, work)

    def wait(self, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the recordings from synchronous code, also where that holds up an event loop."""
        return self._aside.wait(lambda pool: self._over(pool, work))

    async def _over(self, pool: Pool, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        return await work(PostgresRecordings(pool, self._aside, self._ring))

    async def _taken(self, request: ModelRequest, lineage: Lineage) -> DictRow | None:
        values = self._values(request) | _sources(lineage)
        while (row := await self._first("take_answer", values)) and not row["taken"]:
            pass  # another branch of the run took that one; there may be a next
        return row

    async def _first(self, statement: str, values: dict[str, Any]) -> DictRow | None:  # SQL values
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL[statement], values)
        return rows[0] if rows else None

    def _values(self, request: ModelRequest) -> dict[str, Any]:  # SQL values
        site = request.site
        asked = request.asked.to_json()
        return {
            "key": request.key,
            "thread_id": site.thread_id,
            "run_id": site.run_id,
            "node": site.node,
            "task": site.task,
            "checkpoint_id": site.checkpoint_id,
            "digest": request.digest,
            "place": request.number,
            "asked": jsonb(asked if self._ring is None else sealed_json(self._ring, asked)),
        }


def _sources(lineage: Lineage) -> dict[str, list[str]]:  # SQL values
    return {
        "threads": [each.thread_id for each in lineage.sources],
        "since": [each.since for each in lineage.sources],
        "before": [each.before for each in lineage.sources],
    }


def _dumped(serde: SerializerProtocol, answer: Answer, request: ModelRequest) -> tuple[str, bytes]:
    try:
        return serde.dumps_typed([dict(each) for each in answer])
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"An answer of {request.asked.model} in node {request.site.node!r} cannot be recorded: {error}.",
            hint="Give that model cache=False: its calls are then not recorded, and a replay stops at them.",
        ) from error


def _loaded(serde: SerializerProtocol, row: DictRow) -> Answer:
    answer: Answer = serde.loads_typed((row["answer_type"], row["answer"]))
    return answer
