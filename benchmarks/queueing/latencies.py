"""How long runs wait until a worker begins with them, seen from outside."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from benchmarks.queueing.graphs import begun

SUBMITTED: LiteralString = """
    select r.thread_id, extract(epoch from pg_xact_commit_timestamp(e.xmin))::float8
    from interlock.run_events e join interlock.runs r using (run_id)
    where e.kind = 'submitted' and r.thread_id like %s
"""
"""When each run's submission was committed: the server notes the moment right before it syncs the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median, the 95th percentile and the worst of some milliseconds."""

    median: float
    p95: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Return it for some seconds."""
        times = sorted(each * 1000 for each in seconds)
        p95 = times[min(int(len(times) * 0.95), len(times) - 1)]
        return cls(
            median=round(statistics.median(times), 2), p95=round(p95, 2), worst=round(times[-1], 2)
        )


async def picked_up(url: str, notes: Path, prefix: str) -> list[float]:
    """Return the seconds from the commit of each submission until the first node began."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(SUBMITTED, (f"{prefix}-%",))
        committed: Mapping[str, float] = dict(await cursor.fetchall())
    first = begun(notes)
    return [first[name][0] - at for name, at in committed.items()]
