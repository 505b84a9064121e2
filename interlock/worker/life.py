"""A worker under one name: it claims runs, works on them, and hands back what does not end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from interlock.errors import InterlockError, LeaseLost
from interlock.facade import Interlock
from interlock.failing import sentence_of, shortened
from interlock.postgres import queue
from interlock.postgres.claiming import Claimed, Claims
from interlock.postgres.finishing import Finisher
from interlock.postgres.workers import Plan
from interlock.settling import process_name
from interlock.worker.job import Job
from interlock.worker.listening import Listener
from interlock.worker.log import Log
from interlock.worker.pulse import Pulse

POLL_SECONDS = 1.0
"""How often it looks for work of which it was not told: the news may be lost."""

STOP_SECONDS = 5.0
"""How long runs that were cancelled may take to clean up."""


@dataclass(slots=True, eq=False)
class Life:
    """One registration of a worker.

    Attributes:
        name: as it stands in `interlock.workers`.
        ended: how many of its runs have come to an end.
    """

    il: Interlock
    name: str
    plan: Plan
    graphs: Sequence[str]
    log: Log
    execute: Callable[[Claimed], Awaitable[None]] | None = None
    ended: int = 0
    _jobs: dict[str, Job] = field(default_factory=dict)
    _unreturned: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _due: bool = True  # something may be, that it did not look for
    _look_at: float = 0.0  # when it looks whether it was told of anything or not
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _why_lost: str = ""
    _stopping: bool = False
    _give_up_at: float = float("inf")
    _claims: Claims = field(init=False)
    _finisher: Finisher = field(init=False)
    _pulse: Pulse = field(init=False)
    _listener: Listener = field(init=False)
    _telling: asyncio.Task[object] | None = None

    def __post_init__(self) -> None:
        self._claims = Claims(self.il.locks, self.name, self.plan, self.graphs, process_name())
        self._finisher = Finisher(self.il.pool)
        self._pulse = Pulse(self.il.url, self.name, self.plan.lease, self.log, self._lost_elsewhere)
        self._listener = Listener(self.il.url, self._hear)

    async def serve(self, grace: float) -> None:
        """Work until it is stopped and nothing is left to do.

        Raises:
            LeaseLost: it was taken for dead; nothing of it runs any more.
            DatabaseUnavailable: it does not answer.
        """
        self._pulse.start()
        self._listener.start()
        self.il.intake.offer(self)
        try:
            while not (self._stopping and not self._jobs):
                self._news.clear()
                await self._check()
                await self._return()
                if self._stopping:
                    self.il.intake.withdraw(self)
                    await self._claims.flush()
                    await self._drain(grace)
                elif await self._claim():
                    continue
                await self._wait()
        finally:
            self.il.intake.withdraw(self)
            await asyncio.shield(self._end_all())
        await self._check()

    def stop(self, *, at_once: bool = False) -> None:
        """Claim nothing more and drain what runs, or stop it at once."""
        self._stopping = True
        if at_once:
            self._give_up_at = 0.0
        self._news.set()

    async def close(self) -> None:
        """Stop the heartbeat and the listening."""
        await self._listener.close()
        await asyncio.to_thread(self._pulse.close)
        self.il.locks.freed(self.il.locks.held_for(self.name))

    # --- claiming ---

    def takes(self) -> bool:
        """Say whether it brings along what is to be accepted: it claims something soon."""
        return not self._stopping and not self._why_lost and self._has_room_soon()

    def tell(self) -> None:
        """Tell it that something is to be accepted."""
        self._news.set()

    async def _claim(self) -> bool:
        """Take on what is due, as much as there is room for; tell whether more may be due."""
        room = self.plan.concurrency - len(self._jobs)
        if room <= 0:
            self._due = True
            if not self._has_room_soon():
                self.il.intake.pass_by()
            return False
        now = self._loop.time()
        news = self.il.intake.batch()
        if not news and not self._may_be_due(now):
            await self._claims.flush(now)
            return False
        self._due, self._look_at = False, now + POLL_SECONDS
        suspected = any(job.suspected(now) for job in self._jobs.values())
        busy = bool(self._jobs)  # before: one may end meanwhile
        taken = await self._claims.claim(room, suspect=not suspected, news=news)
        # What it was told of may stand behind a run that ends soon.
        behind = busy and not taken
        self._due = self._due or suspected or behind or len(taken) >= room or self._claims.more
        for claimed in taken:
            self._begin(claimed)
        more = self._claims.more or self.il.intake.waits
        return more and len(self._jobs) < self.plan.concurrency

    def _has_room_soon(self) -> bool:
        """Say whether there is room, or a run that has ended and only has to be put away."""
        if len(self._jobs) < self.plan.concurrency:
            return True
        return any(job.status for job in self._jobs.values())

    def _may_be_due(self, now: float) -> bool:
        """Say whether to look for work: it was told of some, left some, waits for some, or has not looked lately."""
        soonest = self._claims.soonest()
        return self._due or now >= self._look_at or (soonest is not None and now >= soonest)

    def _hear(self) -> None:
        self._due = True
        self._news.set()

    def _begin(self, claimed: Claimed) -> None:
        run = claimed.stored.run
        job = Job(self.il, self.name, claimed, self._finisher, self.execute)
        self._jobs[run.run_id] = job
        job.start(self._over)
        self.log.detail("run.claimed", run=run.run_id, thread=run.thread_id, graph=run.graph)

    def _over(self, job: Job) -> None:
        """Note that a run is not worked on any more, however that came."""
        run = job.claimed.stored.run
        del self._jobs[run.run_id]
        self._news.set()
        if job.settled:
            self.ended += 1
        else:
            self._unreturned.append(run.run_id)
        self._claims.free(run.thread_id)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        run = job.claimed.stored.run
        about = {"run": run.run_id, "thread": run.thread_id, "graph": run.graph}
        if said := job.why if job.error is None else shortened(sentence_of(job.error)):
            self.log.warn("run.failed", **about, error=said, settled=job.settled)
        else:
            self.log.detail("run.ended", **about, status=job.status)
        if job.status == "waiting" and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self.il.deliverer.try_to(10.0))

    async def _return(self) -> None:
        """Hand back the runs whose end could not be written."""
        if not self._unreturned:
            return
        runs, self._unreturned = self._unreturned, []
        try:
            await queue.hand_back(self.il.pool, self.name, runs, "Stopped on request.", "released")
        except InterlockError:
            self._unreturned += runs
            raise

    async def _wait(self) -> None:
        now = self._loop.time()
        until = min(self._look_at, self._claims.soonest() or self._look_at, self._claims.lets_go_at)
        if self._stopping:
            until = min(until, self._give_up_at)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - now, 0.001)):
                await self._news.wait()

    # --- ending ---

    async def _drain(self, grace: float) -> None:
        if self._pulse.state != "draining":
            self._pulse.state = "draining"
            self._give_up_at = min(self._give_up_at, self._loop.time() + grace)
            self.log.info("worker.draining", worker=self.name, runs=len(self._jobs))
        for job in self._jobs.values():
            job.drain()
        if self._loop.time() >= self._give_up_at:
            await self._cancel()

    async def _cancel(self) -> None:
        tasks = [job.cancel() for job in self._jobs.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    async def _end_all(self) -> None:
        """Stop what still runs, hand it back, and let go of its threads."""
        if self._why_lost:
            self.il.sever()  # what was lost is written nowhere, and a network that swallows everything holds nobody up
        await self._cancel()
        if self._why_lost:
            return
        with suppress(InterlockError):
            await self._return()
            await self._claims.flush()

    def _lost_elsewhere(self, why: str) -> None:
        """Take the news from the pulse's thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._lose, why)

    def _lose(self, why: str) -> None:
        self._why_lost = self._why_lost or why
        for job in self._jobs.values():
            job.stop(self._loss())
        self._news.set()

    async def _check(self) -> None:
        if not self._why_lost and not await self.il.locks.keeps(self.name):
            self._lose("the connection that held its threads was lost")
        if self._why_lost:
            raise self._loss()

    def _loss(self) -> LeaseLost:
        return LeaseLost(
            f"Worker {self.name[:8]} lost its runs: {self._why_lost}.",
            hint="They go on from their last checkpoint.",
        )
