"""Thousands of threads that wait for people: a worker's memory, and how fast an answered one goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

import interlock
from benchmarks.queueing.graphs import begun
from benchmarks.queueing.places import Ground, lines, place
from benchmarks.queueing.processes import Place, crew_of_workers, memory_of
from interlock import Interlock, Resume

WARM = 200
"""So many runs make a worker as large as it becomes."""

AT_ONCE = 64
WAITING: LiteralString = "select count(*) from interlock.runs where status = 'waiting'"
ANSWERED: LiteralString = """
    select r.thread_id, min(extract(epoch from pg_xact_commit_timestamp(e.xmin)))::float8
    from interlock.run_events e join interlock.runs r using (run_id)
    where r.kind = 'resume' group by 1
"""
"""When each answer was committed, with which the run that goes on was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What was measured.

    Attributes:
        before: the megabytes of a worker after some runs.
        after: the same when thousands of threads wait that it has run.
        fresh: those of a worker that was started when they waited.
        seconds: from an answer's commit until its node went on, each.
    """

    before: float
    after: float
    fresh: float
    seconds: Sequence[float]


async def waiting(on: Ground, *, threads: int, answers: int) -> Waited:
    """Let so many threads wait, and answer some of them, one after the other."""
    async with place(on) as where, interlock.aopen(where.url, config=where.config) as il:
        async with crew_of_workers(where, 1) as (worker,):
            await _ask(il, where, "warm", WARM)
            before = memory_of(worker)
            await _ask(il, where, "many", threads - WARM)
            after = memory_of(worker)
        async with crew_of_workers(where, 1) as (worker,):
            seconds = await _answered(il, where, answers)
            fresh = memory_of(worker)
    return Waited(before=before, after=after, fresh=fresh, seconds=seconds)


async def _ask(il: Interlock, where: Place, prefix: str, number: int) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def submitted(name: str) -> None:
        async with limit:
            await il.asubmit("asking", {"name": name}, thread_id=name)

    there = await _count(where.url)
    await asyncio.gather(*(submitted(f"{prefix}-{each}") for each in range(number)))
    async with asyncio.timeout(600):
        while True:
            if await _count(where.url) >= there + number:
                return
            await asyncio.sleep(0.1)


async def _count(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute(WAITING)).fetchone()
    return int(row[0]) if row else 0


async def _answered(il: Interlock, where: Place, number: int) -> list[float]:
    """Answer threads from among all that wait, each when the one before has gone on."""
    for each in range(number):
        name = f"many-{each * 7}"
        question = (await il.arun(name)).interrupts[0]
        await il.asubmit_answer(name, Resume(question.id, "yes"))
        await lines(where.notes, each + 1, seconds=30)
    async with await psycopg.AsyncConnection.connect(where.url) as connection:
        cursor = await connection.execute(ANSWERED)
        committed: dict[str, float] = dict(await cursor.fetchall())
    went_on = begun(where.notes, "answered")
    return [went_on[name][0] - at for name, at in committed.items()]
