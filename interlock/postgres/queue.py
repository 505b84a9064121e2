"""The queue as a worker sees it: runs are claimed, ended and handed back in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from psycopg.rows import DictRow

from interlock.core.walltime import Charge
from interlock.errors import InterlockError, LeaseLost
from interlock.postgres.budgets import charge_together
from interlock.postgres.locks import OWNER_SEED, ThreadLocks, seed_of
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.runs import StoredRun, stored_run
from interlock.postgres.workers import Plan

SQL = load("queue")

LANES = 64
"""So many lines, each of a tenant and a graph, one claim looks at; the next one goes on behind what was served."""

SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
"""Seconds for which a thread that another process holds is left alone; doubled each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that was claimed, as it is executed.

    Attributes:
        crashes: how often in a row its worker died; such a run is a suspect until it has made a step.
        kill: the switch that stands over it; None for none.
    """

    stored: StoredRun
    crashes: int = 0
    kill: int | None = None


@dataclass(slots=True)
class _Pause:
    until: float
    seconds: float


@dataclass(slots=True)
class Claims:
    """Takes runs on for a worker, and holds their threads.

    Attributes:
        worker: its name.
        more: whether the last claim left out what may well be claimed.
    """

    locks: ThreadLocks
    worker: str
    plan: Plan
    graphs: Sequence[str]
    process: str
    more: bool = False
    _after: str = ""  # the tenant that was served last
    _rounds: int = 0  # how often all lines were looked at since
    _freed: list[str] = field(default_factory=list)
    _paused: dict[str, _Pause] = field(default_factory=dict)

    async def claim(self, most: int, *, suspect: bool) -> list[Claimed]:
        """Take on as many runs as are due, up to a number; raises `LeaseLost`.

        Args:
            most: how many.
            suspect: whether one of them may be a run that may have killed its worker.
        """
        release, self._freed = self._freed, []
        async with self.locks.session(self.worker) as connection:
            values = self._values(connection, most, suspect, release)
            try:
                rows = await fetch(connection, SQL["claim"], values)
            except BaseException:
                await self._let_go(connection)
                raise
            taken = [row["thread_id"] for row in rows if row["run_id"] is not None]
            self.locks.took(connection, taken, self.worker)
            await self._sort_out(connection, rows[0])
        return [_claimed(row) for row in rows if row["run_id"] is not None]

    def free(self, thread_id: str) -> None:
        """Let go of a thread; the next claim tells the database."""
        self.locks.freed([thread_id])
        self._freed.append(thread_id)

    async def flush(self) -> None:
        """Tell the database now which threads are free."""
        freed, self._freed = self._freed, []
        if freed:
            async with self.locks.session(self.worker) as connection:
                values = {"seed": seed_of(connection), "thread_ids": freed}
                await execute(connection, SQL["release_threads"], values)

    def _values(
        self, connection: Connection, most: int, suspect: bool, release: list[str]
    ) -> dict[str, Any]:  # SQL values
        plan = self.plan
        return {
            "worker": self.worker,
            "process": self.process,
            "seed": seed_of(connection),
            "release": release,
            "avoid": [*self.locks.holding(), *self._left_alone()],
            "most": most,
            "suspect": suspect,
            "lanes": LANES,
            "after": self._after,
            "graphs": list(self.graphs),
            "tenants": None if plan.tenants is None else list(plan.tenants),
        }

    def _left_alone(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        for thread in [each for each, pause in self._paused.items() if now > pause.until + 60]:
            del self._paused[thread]
        return [each for each, pause in self._paused.items() if now < pause.until]

    async def _sort_out(self, connection: Connection, look: DictRow) -> None:
        """Go on behind the lines that were looked at; leave alone what another holds, and what is not queued."""
        served = look["last_served"]
        self._after = look["last_seen"] or "" if served is None else served
        self._rounds = 0 if served is not None else self._rounds + bool(look["wrapped"])
        cut_short = (
            look["lanes"] >= LANES and self._rounds < 2
        )  # the second time it is all the way round
        # Others were faster with some, or several are suspects.
        self.more = cut_short or look["wished"] > look["tried"]
        for thread in look["busy_threads"] or ():
            self._leave(thread)
        if look["stale_runs"]:
            await execute(connection, SQL["drop_stale"], {"runs": look["stale_runs"]})
            values = {"seed": seed_of(connection), "thread_ids": look["stale_threads"]}
            await execute(connection, SQL["release_threads"], values)

    def _leave(self, thread_id: str) -> None:
        before = self._paused.get(thread_id)
        seconds = min(before.seconds * 2, LONGEST_PAUSE) if before else SHORTEST_PAUSE
        until = asyncio.get_running_loop().time() + seconds
        self._paused[thread_id] = _Pause(until, seconds)

    def soonest(self) -> float | None:
        """Return when the first thread is not left alone any more, by the loop's clock."""
        return min((each.until for each in self._paused.values()), default=None)

    async def _let_go(self, connection: Connection) -> None:
        """Let go of what a claim took that failed: its locks do not fall with it."""
        if connection.closed or connection.broken:
            return
        values = {
            "seed": seed_of(connection),
            "thread_ids": self.locks.holding(),
            "owner": self.worker,
            "owner_seed": OWNER_SEED,
        }
        await execute(connection, SQL["release_others"], values)


class _Ending(NamedTuple):
    run: str
    attempt: int
    charge: Charge | None
    answer: asyncio.Future[bool]


class Finisher:
    """Ends runs that have succeeded, all that come at about the same time in one commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[_Ending] = []
        self._task: asyncio.Task[None] | None = None

    async def finish(self, run_id: str, attempt: int, charge: Charge | None = None) -> bool:
        """End a run; False when it cannot be ended in this way, or not by this attempt.

        `charge` is what it took last. It is charged before, so that who is told of the end finds it.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Ending(run_id, attempt, charge, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="interlock-finish")
        return await asyncio.shield(answer)

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._end(batch)
        finally:
            self._task = None

    async def _end(self, batch: Sequence[_Ending]) -> None:
        values = {"runs": [each.run for each in batch], "attempts": [n.attempt for n in batch]}
        charges = [each.charge for each in batch if each.charge is not None]
        try:
            async with connected(self._pool) as connection:
                with suppress(InterlockError):  # what cannot be charged now ends no run
                    await charge_together(connection, charges)
                rows = await fetch(connection, SQL["finish"], values)
        except BaseException as error:
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
                    each.answer.exception()  # a caller that is gone has nobody to look at it
            if not isinstance(error, Exception):
                raise
        else:
            ended = {row["run_id"] for row in rows}
            for each in batch:
                if not each.answer.done():
                    each.answer.set_result(each.run in ended)


async def hand_back(pool: Pool, worker: str, run_ids: Sequence[str], error: str, kind: str) -> None:
    """Give runs of a worker back that it does not work on any more."""
    values = {"worker": worker, "runs": list(run_ids), "error": error, "error_kind": kind}
    async with connected(pool) as connection:
        await execute(connection, SQL["hand_back"], values)


async def absolve(pool: Pool, worker: str, run_id: str) -> None:
    """Note that a run which may have killed its worker has made a step since."""
    async with connected(pool) as connection:
        await execute(connection, SQL["absolve"], {"worker": worker, "run_id": run_id})


def _claimed(row: DictRow) -> Claimed:
    stored = stored_run(row)
    # As it was before this attempt, which the claim has begun.
    run = replace(stored.run, status="queued", attempts=stored.run.attempts - 1)
    stored = replace(stored, run=run, fresh=row["fresh"], limited=row["limited"])
    return Claimed(stored=stored, crashes=row["crashes"], kill=row["kill"])


__all__ = ["Claimed", "Claims", "Finisher", "LeaseLost", "absolve", "hand_back"]
