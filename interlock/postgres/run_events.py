"""What happened to runs, over all of them, the latest first."""

from __future__ import annotations

from psycopg.rows import DictRow

from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("run_events")


class EventStore:
    """Reads events."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def latest(
        self,
        *,
        graph: str | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[DictRow]:
        """Return events, the latest first.

        Args:
            graph: of the runs.
            kind: of the events.
            before: only those with a smaller number.
            limit: how many at most.
        """
        values = {"graph": graph, "kind": kind, "before": before, "limit": limit}
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL["latest"], values)
