"""Ends of runs that somebody is to be told of, as rows: claimed by one sender at a time, tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from interlock.core.run_states import RunStatus
from interlock.postgres.outbox import FIRST_PAUSE, LEASE, LONGEST_PAUSE, TRIES
from interlock.postgres.plain import clean
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("webhooks")

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long it is kept what was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a run, to be told.

    Attributes:
        id: of the telling; the same in each try.
        run_id: the run as its client knows it.
        ended_by: that run, or what went on with it.
        url: who is told; it may hold a secret.
        ended_as: its status then.
        started_at: None where it never was, or is gone.
    """

    id: int
    run_id: str
    ended_by: str
    thread_id: str
    url: str
    ended_as: RunStatus
    error: str
    error_kind: str
    ended_at: datetime
    tries: int
    started_at: datetime | None


class Webhooks:
    """Every statement about telling the ends of runs; each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, limit: int = 8) -> list[Ended]:
        """Take what is due; nobody else gets it meanwhile."""
        rows = await self._fetch("claim", limit=limit, lease=LEASE)
        return [Ended(**row) for row in sorted(rows, key=lambda row: row["id"])]

    async def sent(self, ended: Ended) -> None:
        """Note that somebody has taken it."""
        await self._execute("sent", id=ended.id, tries=ended.tries)

    async def not_sent(self, ended: Ended, error: str) -> None:
        """Note why it was not sent; it is due again after a pause, until it was tried often enough."""
        pause = min(FIRST_PAUSE * 2 ** (ended.tries - 1), LONGEST_PAUSE)
        names = {"id": ended.id, "tries": ended.tries}
        await self._execute("not_sent", **names, error=clean(error[:500]), most=TRIES, pause=pause)

    async def next_due(self) -> float | None:
        """Return in how many seconds the next is due; None when nothing waits."""
        seconds: float | None = (await self._fetch("next_due"))[0]["seconds"]
        return seconds

    async def forget(self) -> None:
        """Remove what was told long ago."""
        await self._execute("forget", seconds=KEPT_SECONDS)

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)

    async def _execute(self, statement: str, **values: Any) -> None:  # SQL values
        async with connected(self._pool) as connection:
            await execute(connection, SQL[statement], values)
