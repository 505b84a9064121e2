"""Runs that are submitted while misfortunes befall the workers, the database, and the ways between them."""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, LiteralString

import psycopg

from interlock import Edit, Interlock, Reject
from interlock.core.answers import AnswerForm
from interlock.core.questions import OpenQuestion
from interlock.core.queueing import Options
from interlock.errors import (
    AnswerRefused,
    DatabaseUnavailable,
    InterlockError,
    NotFound,
    ThreadBusy,
    UsageError,
)
from tests.chaos import client, recorder
from tests.chaos.fleet import Worker
from tests.chaos.server import Server

Fault = Literal["kill", "term", "freeze", "restart", "crash", "cut", "cut_one", "swallow"]
DEATHS: tuple[Fault, ...] = ("kill", "kill", "term")
"""After these nothing can act any more that is taken for dead."""

EVERYTHING: tuple[Fault, ...] = (
    *("kill", "kill", "term", "freeze", "restart", "crash", "cut", "cut_one", "swallow"),
)
BUSY = 0.6
"""The part of the time in which runs are submitted: more than can be done at once, so that whoever dies was at work."""

PATIENCE = 240.0
"""Seconds until all should be over, on a busy machine."""

AT_ONCE = 2
"""How many workers may be struck at the same time."""

LEASE = 5.0
"""Seconds; shorter than by default, so that more can befall in the same time."""

PAST_THE_LEASE = LEASE + 2.0
WORKED_ON: LiteralString = """
    select q.run_id from interlock.queue q join interlock.workers w using (worker_id)
    where w.process = %s
"""
TAKEN_OVER: LiteralString = """
    select min(extract(epoch from at) - %(killed)s) filter (where kind = 'lost') as noticed,
        min(extract(epoch from at) - %(killed)s) filter (where kind = 'claimed') as going_on
    from interlock.run_events
    where run_id = any(%(runs)s) and extract(epoch from at) > %(killed)s group by run_id
"""
WAITING: LiteralString = "select thread_id from interlock.runs where status = 'waiting'"
OPEN: LiteralString = """
    select count(*) from interlock.threads t where not exists (
        select from interlock.runs r where r.thread_id = t.thread_id and r.status = 'succeeded'
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A worker that was killed while it worked on some runs."""

    at: float
    runs: Sequence[str]


@dataclass(slots=True, kw_only=True)
class Campaign:
    """So many runs, and what befalls them; everything that is left to chance comes from one seed."""

    il: Interlock
    server: Server
    workers: Sequence[Worker]
    recorder: str
    chance: random.Random
    acts: Literal["keyed", "all"]
    deaths: list[Death] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    _busy: set[int] = field(default_factory=set)

    async def run(self, names: Sequence[str], faults: Sequence[Fault], *, seconds: float) -> None:
        """Submit runs over so many seconds while the faults happen, and wait for the end of all of them."""
        async with asyncio.TaskGroup() as group:
            person = group.create_task(self._answer())
            misfortunes = group.create_task(self._strike(faults, seconds / (len(faults) + 1)))
            for name in names:
                await self.submit(name)
                await asyncio.sleep(self.chance.uniform(0, 2 * seconds / len(names) * BUSY))
            await misfortunes
            await self.come_to_rest()
            person.cancel()

    # --- what befalls ---

    async def _strike(self, faults: Sequence[Fault], pause: float) -> None:
        begun = time.monotonic()
        at_once = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(self.chance.uniform(0.5, 1.5) * pause)
                await at_once.acquire()
                worker = self.chance.choice([w for w in self.workers if w.number not in self._busy])
                self.told.append(f"{time.monotonic() - begun:5.1f} s {fault} {worker.number}")
                self._busy.add(worker.number)
                group.create_task(self._befall(fault, worker, at_once))

    async def _befall(self, fault: Fault, worker: Worker, at_once: asyncio.Semaphore) -> None:
        try:
            befall: Callable[[Worker], Awaitable[None]] = getattr(self, f"_{fault}")
            await befall(worker)
        finally:
            self._busy.discard(worker.number)
            at_once.release()

    async def _kill(self, worker: Worker) -> None:
        runs = await asyncio.to_thread(self._worked_on, worker)
        at = await asyncio.to_thread(worker.kill)
        self.deaths.append(Death(at=at, runs=runs))
        await asyncio.sleep(self.chance.uniform(0, 2))
        await asyncio.to_thread(worker.start)

    async def _term(self, worker: Worker) -> None:
        await asyncio.to_thread(worker.term)
        await asyncio.to_thread(worker.start)

    async def _freeze(self, worker: Worker) -> None:
        worker.freeze()
        await asyncio.sleep(PAST_THE_LEASE)
        worker.thaw()

    async def _restart(self, worker: Worker) -> None:
        await asyncio.to_thread(self.server.restart)

    async def _crash(self, worker: Worker) -> None:
        await asyncio.to_thread(self.server.crash)

    async def _cut(self, worker: Worker) -> None:
        worker.proxy.cut()

    async def _cut_one(self, worker: Worker) -> None:
        worker.proxy.cut(self.chance)

    async def _swallow(self, worker: Worker) -> None:
        worker.proxy.swallow()
        await asyncio.sleep(PAST_THE_LEASE)
        worker.proxy.recover()

    def _worked_on(self, worker: Worker) -> list[str]:
        process = f"{socket.gethostname()}:{worker.pid}"
        with suppress(psycopg.Error), psycopg.connect(self.server.url) as connection:
            return [run for (run,) in connection.execute(WORKED_ON, (process,))]
        return []

    # --- what is asked for ---

    async def submit(self, name: str) -> None:
        """Submit until it was accepted; the key makes one run of it, whatever became of earlier attempts."""
        given = {"name": name, "acts": self.acts}
        while True:
            with suppress(DatabaseUnavailable):
                options = Options(idempotency_key=name)
                await self.il.asubmit("running", given, thread_id=name, options=options)
                return
            await asyncio.sleep(0.05)

    async def _answer(self) -> None:
        """Look into the world's book, and tell the truth about what is in doubt."""
        while True:
            with suppress(InterlockError, psycopg.Error):
                for thread in await asyncio.to_thread(self._threads, WAITING):
                    await self._answer_of(str(thread))
            await asyncio.sleep(0.2)

    async def _answer_of(self, thread: str) -> None:
        with suppress(AnswerRefused, NotFound, ThreadBusy, UsageError):  # it may have moved on
            run = await self.il.arun(thread)
            answers = [await asyncio.to_thread(self._truth, each) for each in run.interrupts]
            if answers:
                await self.il.asubmit_answers(thread, answers)

    def _truth(self, question: OpenQuestion) -> AnswerForm:
        assert question.kind == "in_doubt", question
        item = question.arguments["arguments"]["item"]
        client.ask({"sync": True}, self.recorder)
        found = [e.result for e in recorder.read(self.book) if e.name == item]
        if found:
            return Edit(question.id, {"result": found[-1]}, by="tester")
        return Reject(question.id, by="tester")

    @property
    def book(self) -> Path:
        """Where the world is written down."""
        return Path(f"{self.recorder}.book")

    async def come_to_rest(self) -> None:
        """Wait until each thread has a run that has succeeded."""
        await self.until(lambda: self._threads(OPEN) == [0])

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened; it is looked for on another thread."""
        deadline = time.monotonic() + PATIENCE
        while not await asyncio.to_thread(happened):
            assert time.monotonic() < deadline, self.standing()
            await asyncio.sleep(0.05)

    def _threads(self, query: LiteralString) -> list[Any]:  # of one column
        try:
            with psycopg.connect(self.server.url) as connection:
                return [value for (value,) in connection.execute(query)]
        except psycopg.Error:
            return []

    def standing(self) -> str:
        """Say how everything stands, for whoever wonders why it does not end."""
        with psycopg.connect(self.server.url) as connection:
            runs = connection.execute(
                "select r.run_id, r.status, r.error_kind, r.error, q.ready, q.worker_id, q.crashes"
                " from interlock.runs r left join interlock.queue q using (run_id)"
                " where r.status <> 'succeeded'"
            ).fetchall()
            workers = connection.execute("select * from interlock.workers").fetchall()
        logs = [each.said()[-1000:] for each in self.workers]
        return "\n".join(map(str, [*self.told, *runs, *workers, *logs]))

    def takeovers(self) -> list[tuple[float, float]]:
        """Return, for each run whose worker was killed, the seconds until that was noticed, and until it went on."""
        found = []
        with psycopg.connect(self.server.url) as connection:
            for death in self.deaths:
                values = {"killed": death.at, "runs": list(death.runs)}
                found += connection.execute(TAKEN_OVER, values).fetchall()
        return [(float(noticed), float(going_on)) for noticed, going_on in found if noticed]


def summary(times: Sequence[float]) -> str:
    """Return the median and the worst of some seconds."""
    if not times:
        return "none"
    return f"median {statistics.median(times):.2f} s, worst {max(times):.2f} s of {len(times)}"
