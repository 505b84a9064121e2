"""The queue as a worker sees it: runs are claimed and handed back in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg.rows import DictRow

from interlock.errors import LeaseLost
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


__all__ = ["Claimed", "Claims", "LeaseLost", "absolve", "hand_back"]
