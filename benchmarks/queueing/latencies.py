"""How long runs wait until somebody begins with them, seen from outside."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from benchmarks.queueing.graphs import begun

COMMITTED: LiteralString = """
    select r.thread_id,
        min(extract(epoch from pg_xact_commit_timestamp(e.xmin))::float8) filter (where e.kind = 'submitted'),
        min(extract(epoch from pg_xact_commit_timestamp(e.xmin))::float8) filter (where e.kind = 'claimed')
    from interlock.run_events e join interlock.runs r using (run_id)
    where r.thread_id like %s group by r.thread_id
"""
"""When each run's submission and its claim were committed: the server notes the moment right before it syncs them."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PickUp:
    """How long after the commit of its submission a run was claimed, and its first node began."""

    claimed: Spread
    began: Spread


async def picked_up(url: str, notes: Path, prefix: str) -> PickUp:
    """Look at the runs whose names begin so."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute(COMMITTED, (f"{prefix}-%",))).fetchall()
    first = begun(notes)
    return PickUp(
        claimed=Spread.of([claimed - submitted for _, submitted, claimed in rows]),
        began=Spread.of([first[name][0] - submitted for name, submitted, _ in rows]),
    )


def until_begun(notes: Path, prefix: str) -> Spread:
    """Return how long it took from asking for a run until its first node began."""
    asked, first = begun(notes, "asked"), begun(notes)
    return Spread.of(
        [first[name][0] - at[0] for name, at in asked.items() if name.startswith(f"{prefix}-")]
    )
