"""Thousands of timers, and processes that do nothing but keep time.

    python -m benchmarks.queueing.keeping URL CONFIG

is one of the processes: it fires what is due, and works on no run.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg

import interlock
from benchmarks.queueing.filling import settle
from benchmarks.queueing.latencies import Spread
from benchmarks.queueing.places import Ground, place
from benchmarks.queueing.processes import ROOT, Place
from interlock.worker.timing import keep_time

# A third each of runs that start later, that are tried again, and of threads that sleep.
SET: LiteralString = """
with made as materialized (
    select n, %(prefix)s || '-' || n as name, (array['start', 'retry', 'wake'])[n %% 3 + 1] as kind,
        interlock.clock() + make_interval(secs => %(first)s + %(seconds)s * random()) as due_at
    from generate_series(1, %(number)s) n
), threads as (
    insert into interlock.threads (thread_id, graph) select name, 'three' from made
), runs as (
    insert into interlock.runs (run_id, thread_id, graph, kind, status, attempts, finished_at)
    select name, name, 'three', 'invoke', case kind when 'wake' then 'waiting' else 'queued' end,
        case kind when 'wake' then 1 else 0 end, case kind when 'wake' then now() end
    from made
)
insert into interlock.timers (kind, due_at, run_id, thread_id) select kind, due_at, name, name from made
"""
LEFT: LiteralString = "select count(*) from interlock.timers where state = 'set'"
# What a timer did stands as an event: of its run, or of the one that goes on with it. It is done when it is committed.
DONE: LiteralString = """
select count(*), extract(epoch from min(pg_xact_commit_timestamp(e.xmin)) - t.due_at)::float8
from interlock.timers t
left join interlock.run_events e on e.thread_id = t.thread_id and e.kind in ('queued', 'woken')
where t.thread_id like %(prefix)s || '-%%'
group by t.id
having count(e.id) > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of the timers.

    Attributes:
        late: milliseconds between when they were due and when what they did was committed.
        rate: how many that were due at one moment were fired a second.
    """

    set: int
    done: int
    doubled: int
    late: Spread
    rate: float


async def kept(on: Ground, *, timers: int, seconds: float, burst: int) -> Kept:
    """Let two processes fire timers that are due over some time; one of them is killed in the middle."""
    async with place(on) as where, keepers(where) as (first, _):
        await _set(where, "spread", timers, first=1.0, seconds=seconds)
        await asyncio.sleep(1.0 + seconds / 2)
        first.kill()
        await _over(where, seconds + 60)
        found = await _done(where, "spread")
    async with place(on) as where, keepers(where):
        await _set(where, "burst", burst, first=2.0, seconds=0.0)
        await settle(where.url)
        await _over(where, 120)
        last = max(late for _, late in await _done(where, "burst"))
    return Kept(
        set=timers,
        done=len(found),
        doubled=sum(times > 1 for times, _ in found),
        late=Spread.of([late for _, late in found]),
        rate=round(burst / last),
    )


@asynccontextmanager
async def keepers(where: Place) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes that keep time."""
    arguments = ("-m", "benchmarks.queueing.keeping", where.url, str(where.config))
    both = [
        await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for each in both:
            if each.stdout is None or await each.stdout.readline() != b"ready\n":
                raise RuntimeError("A process did not begin to keep time.")
        yield both[0], both[1]
    finally:
        for each in both:
            with suppress(ProcessLookupError):
                each.kill()
            await each.wait()


async def _set(where: Place, prefix: str, number: int, *, first: float, seconds: float) -> None:
    values = {"prefix": prefix, "number": number, "first": first, "seconds": seconds}
    async with await psycopg.AsyncConnection.connect(where.url) as connection:
        await connection.execute(SET, values)


async def _over(where: Place, seconds: float) -> None:
    async with (
        await psycopg.AsyncConnection.connect(where.url, autocommit=True) as connection,
        asyncio.timeout(seconds),
    ):
        while await (  # noqa: ASYNC110  # it waits for other processes
            await connection.execute(LEFT)
        ).fetchone() != (0,):
            await asyncio.sleep(0.1)


async def _done(where: Place, prefix: str) -> list[tuple[int, float]]:
    async with await psycopg.AsyncConnection.connect(where.url) as connection:
        return await (await connection.execute(DONE, {"prefix": prefix})).fetchall()


async def _keep(url: str, config: str) -> None:
    async with interlock.aopen(url, config=config) as il:
        print("ready", flush=True)
        await keep_time(il)


if __name__ == "__main__":
    asyncio.run(_keep(sys.argv[1], sys.argv[2]))
