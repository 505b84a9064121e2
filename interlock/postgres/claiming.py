"""The queue as a worker takes from it: runs are claimed in groups, and accepted with the same statement."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.rows import DictRow

from interlock.postgres.accepting import Asked, news_of
from interlock.postgres.checkpointer.arrays import TextArray, prepare
from interlock.postgres.intake import settle_failed
from interlock.postgres.latest import MOST_BYTES, latest_of
from interlock.postgres.locks import LET_GO_SECONDS, ThreadLocks, seed_of
from interlock.postgres.pool import Connection, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.stored_runs import StoredRun, stored_run
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
    """For how long a thread is left alone, by the loop's clock; `over`: a claim has looked at it since."""

    until: float
    seconds: float
    over: bool = False


@dataclass(slots=True)
class Claims:
    """Takes runs on for a worker, and holds their threads.

    Attributes:
        worker: its name.
        more: whether the last claim left out what may well be claimed.
        lets_go_at: when it tells the database of threads that are free, by the loop's clock, unless a claim did.
    """

    locks: ThreadLocks
    worker: str
    plan: Plan
    graphs: Sequence[str]
    process: str
    more: bool = False
    lets_go_at: float = float("inf")
    _after: str = ""  # the tenant that was served last
    _rounds: int = 0  # how often all lines were looked at since
    _freed: list[str] = field(default_factory=list)
    _paused: dict[str, _Pause] = field(default_factory=dict)

    async def claim(self, most: int, *, suspect: bool, news: Sequence[Asked] = ()) -> list[Claimed]:
        """Take on as many runs as are due, up to a number, and accept others in the same commit; raises `LeaseLost`.

        Args:
            most: how many.
            suspect: whether one of them may be a run that may have killed its worker.
            news: what is to be accepted, at most one run of each thread; it is told what came of it.
        """
        try:
            async with self.locks.session(self.worker) as connection:
                rows = await self._asked(connection, most, suspect, news)
                taken = _taken(rows, news)
                threads = [each.stored.run.thread_id for each in taken]
                self.locks.took(connection, threads, self.worker)
        except BaseException as error:
            settle_failed(news, error)
            if news and isinstance(error, psycopg.Error):
                self.more = (
                    True  # each by itself is told of its error, and what is due is claimed next
                )
                return []
            raise
        self._sort_out(rows[-1]["look"] if rows else None)
        return taken

    async def _asked(
        self, connection: Connection, most: int, suspect: bool, news: Sequence[Asked]
    ) -> list[DictRow]:
        prepare(connection)
        values = self._values(connection, most, suspect, self._told_free())
        try:
            return await fetch(connection, SQL["claim"], {**values, **news_of(news)}, binary=True)
        except BaseException:
            await self.locks.let_go_of_others(connection)
            raise

    def free(self, thread_id: str) -> None:
        """Let go of a thread; the next claim tells the database, or `flush` does."""
        if not self._freed:
            self.lets_go_at = asyncio.get_running_loop().time() + LET_GO_SECONDS
        self.locks.freed([thread_id])
        self._freed.append(thread_id)

    async def flush(self, now: float = float("inf")) -> None:
        """Tell the database which threads are free, unless a claim may still do that in time; default: at once."""
        if now < self.lets_go_at:
            return
        freed = self._told_free()
        if freed:
            async with self.locks.session(self.worker) as connection:
                values = {"seed": seed_of(connection), "thread_ids": freed}
                await execute(connection, SQL["release_threads"], values)

    def _told_free(self) -> list[str]:
        freed, self._freed, self.lets_go_at = self._freed, [], float("inf")
        return freed

    def _values(
        self, connection: Connection, most: int, suspect: bool, release: list[str]
    ) -> dict[str, Any]:  # SQL values
        plan = self.plan
        return {
            "worker": self.worker,
            "process": self.process,
            "seed": seed_of(connection),
            "release": TextArray(release),
            "avoid": TextArray([*self.locks.holding(), *self._left_alone()]),
            "most": most,
            "suspect": suspect,
            "lanes": LANES,
            "after": self._after,
            "graphs": TextArray(self.graphs),
            "tenants": None if plan.tenants is None else TextArray(plan.tenants),
            "most_bytes": MOST_BYTES,
        }

    def _left_alone(self) -> list[str]:
        """Return the threads that a claim does not look at; how long it was is remembered beyond that."""
        now = asyncio.get_running_loop().time()
        for thread in [each for each, pause in self._paused.items() if now > pause.until + 60]:
            del self._paused[thread]
        for pause in self._paused.values():
            pause.over = now >= pause.until
        return [each for each, pause in self._paused.items() if not pause.over]

    def _sort_out(self, look: Mapping[str, Any] | None) -> None:  # JSON
        """Go on behind the lines that were looked at, and leave alone what another holds."""
        look = look or {}
        served = look.get("last_served")
        if served is not None:
            self._after, self._rounds = served, 0
        elif "lanes" in look:
            self._after = look.get("last_seen") or ""
            self._rounds += bool(look["wrapped"])
        # The second time it is all the way round.
        cut_short = look.get("lanes", 0) >= LANES and self._rounds < 2
        # Others were faster with some, or several are suspects.
        self.more = cut_short or look.get("wished", 0) > look.get("tried", 0)
        for thread in look.get("busy_threads") or ():
            self._leave(thread)

    def _leave(self, thread_id: str) -> None:
        before = self._paused.get(thread_id)
        seconds = min(before.seconds * 2, LONGEST_PAUSE) if before else SHORTEST_PAUSE
        until = asyncio.get_running_loop().time() + seconds
        self._paused[thread_id] = _Pause(until, seconds)

    def soonest(self) -> float | None:
        """Return when the first thread is to be looked at again that is left alone, by the loop's clock."""
        waits = (each.until for each in self._paused.values() if not each.over)
        return min(waits, default=None)


def _taken(rows: Iterable[DictRow], news: Iterable[Asked]) -> list[Claimed]:
    """Tell of each run whether it was accepted, and return those that are begun with."""
    asked = {each.new.run_id: each for each in news}
    taken = []
    for row in rows:
        if row["accepted"]:
            stored = asked[row["run_id"]].accepted(row)
            if row["claimed"]:
                stored = replace(
                    stored, latest=latest_of(row, stored.run.thread_id), limited=row["limited"]
                )
                taken.append(Claimed(stored=stored))
        elif row["claimed"]:
            taken.append(_claimed(row))
    for each in news:
        each.settle("in the way")
    return taken


def _claimed(row: DictRow) -> Claimed:
    stored = stored_run(row)
    # As it was before this attempt, which the claim has begun.
    run = replace(stored.run, status="queued", attempts=stored.run.attempts - 1)
    latest = latest_of(row, run.thread_id)
    stored = replace(stored, run=run, latest=latest, limited=row["limited"])
    return Claimed(stored=stored, crashes=row["crashes"], kill=row["kill"])
