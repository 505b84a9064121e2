"""How late timers fire, with one of two processes killed in the middle, and whether each fires once.

    python -m benchmarks.timers [--quick] [--json]

Two processes keep time, on one embedded server with `fsync` on. Thousands of timers are due over some seconds: runs
that start later, runs that are tried again, and threads that sleep. One process is killed (`kill -9`) in the middle.
Late is the time from when a timer was due until what it did was committed (`pg_xact_commit_timestamp`). Then as many
timers are due at one moment: how many are fired a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks import Goal, Row, below, options, report
from benchmarks.queueing.keeping import Kept, kept
from benchmarks.queueing.places import ground
from benchmarks.savers.goals import at_least, at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    timers: int
    seconds: float
    burst: int


FULL = Plan(timers=6000, seconds=30.0, burst=6000)
QUICK = Plan(timers=1000, seconds=5.0, burst=1000)


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0], quick="fewer timers")
    plan = QUICK if given.quick else FULL
    with ground() as on:
        found = asyncio.run(kept(on, timers=plan.timers, seconds=plan.seconds, burst=plan.burst))
    goals, rows = _of(found, plan)
    report(goals, rows, as_json=given.as_json)


def _of(found: Kept, plan: Plan) -> tuple[list[Goal], list[Row]]:
    rows: list[Row] = [
        {
            "name": f"{found.set:,} timers over {plan.seconds:.0f} s, one killed",
            "fired": found.done,
            "late p50 ms": found.late.median,
            "p95": found.late.p95,
            "worst": found.late.worst,
        },
        {"name": f"{plan.burst:,} timers due at one moment", "fired a second": found.rate},
    ]
    goals = [
        at_most("timers lost", found.set - found.done, 0, unit=""),
        at_most("timers that fired twice", found.doubled, 0, unit=""),
        below("late p50", found.late.median, "ms", 5.0),
        below("late worst", found.late.worst, "ms", 250.0),
        at_least("fired a second, due at one moment", found.rate, 1000, unit="/s"),
    ]
    return goals, rows


if __name__ == "__main__":
    main()
