"""How many model calls a second one limit lets through that all processes share, and whether it lets through too many.

    python -m benchmarks.rates [--quick] [--json]

One or two processes with 64 callers each take from one limit that is never reached, so that all that is measured is
the taking: from one hot row, as `interlock.postgres.rates` does it, for all callers that wait at one time together;
the same one call a statement; and, beside them, a plain update of one row, with the same callers and pools of eight
connections. Commits do not wait for the disk. They take turns; a ratio is taken within each round.

Then two processes share limits of 50 and of 3,000 calls a second with a burst of a second, and all that were let
through are counted: no more than the limit allows from the first call to the last, and its burst.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks import Goal, Row, options, report
from benchmarks.savers.goals import at_least
from interlock.core.rates import Ask, Bound, Rate, Rates
from interlock.postgres import embedded, together
from interlock.postgres.aside import Aside
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.migrations import migrate
from interlock.postgres.pool import Pool, open_pool
from interlock.postgres.rates import PostgresRates

ROOT = Path(__file__).parents[1]
CALLERS = 64
NEVER = 1e9
START = 4.0
"""Seconds until all processes have begun."""

PLAIN, SINGLE, TOGETHER = "plain update of one row", "one call a statement", "calls together"
TABLE = "create table plain (key text primary key, number bigint not null) with (fillfactor = 50)"
UPDATE = (
    "update plain set number = number + 1 "
    "where key = 'hot' and set_config('synchronous_commit', 'off', true) = 'off'"
)

Take = Callable[[], Awaitable[object]]


def main() -> None:
    """Measure, and print a table."""
    given = options(__doc__ or "")
    rounds, seconds = (2, 2.0) if given.quick else (5, 4.0)
    with (
        tempfile.TemporaryDirectory(prefix="interlock-bench-") as folder,
        _server(Path(folder).resolve()) as server,
    ):
        asyncio.run(migrate(server.url))
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(TABLE)
            connection.execute("insert into plain values ('hot', 0)")
        rows = [row for count in (1, 2) for row in hot(server.url, count, rounds, seconds)]
        rows += [exact(server.url, each, 2 * seconds) for each in (50, 3000)]
    report(goals(rows), rows, as_json=given.as_json)


def _server(folder: Path) -> embedded.EmbeddedServer:
    folder.chmod(0o711)  # the server's own account passes through
    return embedded.start(folder / "pg")


def hot(url: str, processes: int, rounds: int, seconds: float) -> list[Row]:
    """Return how many a second each way does with some processes."""
    ways = (PLAIN, SINGLE, TOGETHER)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways if number % 2 else reversed(ways):
            found[way].append(sum(counts(url, way, NEVER, processes, seconds)) / seconds)
    return [
        {
            "name": f"{way}, {processes} process{'es' if processes > 1 else ''}",
            "a second": round(statistics.median(found[way])),
            "to plain": round(
                statistics.median(a / b for a, b in zip(found[way], found[PLAIN], strict=True)), 2
            ),
        }
        for way in ways
    ]


def exact(url: str, per_second: int, seconds: float) -> Row:
    """Return how many were let through of a limit that two processes share."""
    let = sum(counts(url, TOGETHER, per_second * 60, 2, seconds))
    allowed = round(per_second * (seconds + 1))
    return {
        "name": f"{per_second:,} a second with a burst of a second",
        "let through": let,
        "allowed": allowed,
        "share": round(let / allowed, 2),
    }


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Return what must hold."""
    together_ = [row for row in rows if str(row["name"]).startswith(f"{TOGETHER}, 2")]
    over = [row for row in rows if "allowed" in row]
    most = max(float(str(row["share"])) for row in over)
    rate = float(str(together_[0]["a second"]))
    return [
        at_least("taken a second from one hot row", rate, 2000, unit="/s"),
        Goal(
            name="let through of what is allowed", value=most, unit="", goal="<= 1", met=most <= 1
        ),
    ]


def counts(url: str, way: str, per_minute: float, processes: int, seconds: float) -> list[int]:
    """Return how many each process took."""
    begin = time.time() + START
    arguments = [url, way, str(per_minute), str(begin), str(seconds)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rates", "worker", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(processes)
    ]
    return [int(json.loads(each.communicate()[0])) for each in running]


async def work(url: str, way: str, per_minute: float, begin: float, seconds: float) -> int:
    """Take for some seconds, and return how often."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(url))
        locks = ThreadLocks(url)
        stack.push_async_callback(locks.close)
        rates = PostgresRates(pool, Aside(url), locks)
        take = plain(pool) if way == PLAIN else taking(rates, per_minute)
        together.MOST = 1 if way == SINGLE else together.MOST
        await rates.look()
        await asyncio.sleep(max(0.0, begin - time.time()))
        taken = await asyncio.gather(*[caller(take, begin + seconds) for _ in range(CALLERS)])
    return sum(taken)


async def caller(take: Take, until: float) -> int:
    """Take until a time; what comes later is not counted."""
    taken = 0
    async with asyncio.timeout(max(0.0, until - time.time()) + 5):
        while time.time() < until:
            await take()
            taken += time.time() < until
    return taken


def plain(pool: Pool) -> Take:
    """Return what updates one row."""

    async def take() -> None:
        async with pool.connection() as connection:
            await connection.execute(UPDATE)

    return take


def taking(rates: Rates, per_minute: float) -> Take:
    """Return what takes from one limit, and waits for its turn."""
    bounds = (Bound(name=f"provider:{per_minute:g}", rate=Rate(requests=per_minute, burst=1.0)),)

    async def take() -> None:
        ask = Ask(key=uuid4().hex, bounds=bounds)
        while (slot := await rates.take(ask)).verdict != "go":
            ask = replace(ask, booked=True, waited=True)
            await asyncio.sleep(slot.seconds)

    return take


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        _, _, url, way, per_minute, begin, seconds = sys.argv
        print(
            json.dumps(asyncio.run(work(url, way, float(per_minute), float(begin), float(seconds))))
        )
    else:
        main()
