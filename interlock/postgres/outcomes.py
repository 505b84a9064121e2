"""Reports on what came of runs, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from interlock.core.outcomes import Outcome, OutcomeSums
from interlock.errors import NotFound
from interlock.postgres.plain import clean, stored
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("outcomes")


class OutcomeStore:
    """Writes and reads reports; each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def report(
        self,
        run_id: str,
        *,
        met: bool | None,
        score: float | None,
        note: str,
        detail: Mapping[str, Any],  # JSON
        by: str,
    ) -> int:
        """Write down what came of a run, and return the report's number; raises `NotFound`."""
        rows = await self._fetch(
            "report",
            run_id=run_id,
            met=met,
            score=score,
            note=clean(note),
            detail=stored(dict(detail)),
            by=clean(by),
        )
        if not rows:
            raise NotFound(f"There is no run {run_id!r}.")
        return int(rows[0]["outcome_id"])

    async def one(self, outcome_id: int) -> Outcome:
        """Return one report; raises `NotFound`."""
        if not (rows := await self._fetch("one", outcome_id=outcome_id)):
            raise NotFound(f"There is no report {outcome_id}.")
        return Outcome(**rows[0])

    async def outcomes(
        self,
        *,
        run_id: str | None = None,
        graph: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Outcome]:
        """Return reports, the latest first."""
        rows = await self._fetch("outcomes", run_id=run_id, graph=graph, since=since, limit=limit)
        return [Outcome(**row) for row in rows]

    async def sums(self, since: datetime | None = None) -> list[OutcomeSums]:
        """Return how the runs of each graph came out."""
        return [OutcomeSums(**row) for row in await self._fetch("sums", since=since)]

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)
