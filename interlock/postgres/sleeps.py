"""Sleeps as rows: until when a node sleeps is fixed when it first asks, by the database's clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from interlock.core.lineage import Lineage
from interlock.core.sleeps import Nap
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("sleeps")


class PostgresSleeps:
    """The sleeps of one run's thread; a replay sleeps no longer than the threads did that it replays."""

    def __init__(self, pool: Pool, lineage: Lineage | None = None) -> None:
        self._pool = pool
        self._lineage = lineage or Lineage()

    async def due(self, nap: Nap) -> datetime | None:
        """Return until when it sleeps; None once that is over."""
        statement, values = "due", _asked(nap) | {"until": nap.until, "seconds": nap.seconds}
        if self._lineage.recorded_only:
            statement, values = "replayed", _asked(nap) | self._sources()
        async with connected(self._pool) as connection:
            row = (await fetch(connection, SQL[statement], values))[0]
        until: datetime = row["until"]
        return None if row["woke_at"] else until

    def _sources(self) -> dict[str, Any]:  # SQL values
        sources = self._lineage.sources
        return {
            "threads": [each.thread_id for each in sources],
            "since": [each.since for each in sources],
            "upto": [each.before for each in sources],
        }


def _asked(nap: Nap) -> dict[str, Any]:  # SQL values
    return {
        "sleep_id": nap.id,
        "thread_id": nap.site.thread_id,
        "run_id": nap.site.run_id,
        "place": place_of(nap.site.task),
        "checkpoint_id": nap.site.checkpoint_id,
    }


def place_of(task: str) -> str:
    """Return the nodes that lead to a task, without LangGraph's numbers: `a:1f|b:2e` is `a|b`."""
    return "|".join(step.partition(":")[0] for step in task.split("|"))
