"""Rate limits in Postgres: a row for each target, taken for many calls at once, shared by all processes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.pacing import Row
from interlock.core.rates import (
    Ask,
    Bound,
    Caller,
    End,
    Outcome,
    Rate,
    RatePlan,
    Slot,
    Standing,
    View,
    Waiting,
)
from interlock.core.rates_standing import standing_of
from interlock.core.targets import check_target, rows_of
from interlock.postgres.aside import Aside, Reachable
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.plain import clean, jsonb
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.together import Together

SQL = load("rates")

FRESH_SECONDS = 1.0
"""How old what a process knows of limits and breakers may be for a call that comes under none."""


@dataclass(slots=True)
class _Known:
    """What this process knows, and what it has not told yet; shared by its event loops."""

    view: View = field(default_factory=View)
    at: float = float("-inf")
    worked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def untold(self) -> list[Outcome]:
        """Take the successes that nobody was told of."""
        with self.lock:
            counts, self.worked = self.worked, Counter()
        return [Outcome(name=name, ok=count) for name, count in counts.items()]


class PostgresRates(Reachable):
    """Rate limits as rows, which are locked in one order for as long as one statement takes.

    Made on the event loop of the pool; other loops, and synchronous code, work through connections of their own.
    """

    def __init__(
        self,
        pool: Pool,
        aside: Aside,
        locks: ThreadLocks,
        plan: RatePlan | None = None,
        *,
        known: _Known | None = None,
        owner: str = "",
    ) -> None:
        self._pool = pool
        self._aside = aside
        self._locks = locks
        self._plan = plan or RatePlan()
        self._known = known or _Known()
        self._loop = asyncio.get_running_loop()
        self._named = owner
        self._owner = owner
        self._taking = Together(self._take_all)
        self._settling = Together(self._settle_all)
        self._beside: PostgresRates | None = None

    @property
    def plan(self) -> RatePlan:
        """Return what is declared."""
        return self._plan

    async def look(self) -> View:
        """Return what is known of the limits, a second old at most; what succeeded here is told on this occasion."""
        known = self._known
        if time.monotonic() - known.at > FRESH_SECONDS:
            known.at = time.monotonic()  # others need not look at the same time
            try:
                if untold := known.untold():
                    await self.settle(End(ask=Ask(key=""), made=False, outcomes=tuple(untold)))
                row = (await self._fetch("look", {}))[0]
            except BaseException:
                known.at = float("-inf")
                raise
            stored = {each["target"]: _rate(each) for each in row["limits"]}
            known.view = View(stored=stored, loud=frozenset(row["loud"]))
        return known.view

    async def take(self, ask: Ask) -> Slot:
        """Take all that a call needs, or a place in line."""
        await self._name()
        return await self._taking.do(ask)

    async def settle(self, end: End) -> None:
        """Note how a call ended; what succeeded here before is told first."""
        if any(each.failed for each in end.outcomes):
            self._known.at = float("-inf")  # a breaker may have opened
            end = End(
                ask=end.ask,
                made=end.made,
                tokens=end.tokens,
                outcomes=(*self._known.untold(), *end.outcomes),
                pushed=end.pushed,
            )
        if end.pushed:
            self._known.at = float("-inf")
        await self._settling.do(end)

    def worked(self, names: Sequence[str]) -> None:
        """Note a call that succeeded; it is told with the next failure, or within a second of calls."""
        with self._known.lock:
            self._known.worked.update(names)

    async def store(self, target: str, rate: Rate, *, by: str = "") -> None:
        """Store a limit in place of the one before."""
        values = {"target": clean(check_target(target)), "by": clean(by), **asdict(rate)}
        await self._execute("store", values)
        await self._begin_anew(target)

    async def remove(self, target: str) -> bool:
        """Remove a stored limit; say whether there was one."""
        removed = await self._execute("remove", {"target": clean(target)})
        await self._begin_anew(target)
        return bool(removed)

    async def standing(self) -> list[Standing]:
        """Return how each target stands that is limited or was asked, by name."""
        with suppress(
            psycopg.errors.ReadOnlySqlTransaction
        ):  # a tenant looks, and tidies nothing up
            await self._execute("forget_dead", {})
        self._known.at = float("-inf")
        stored = (await self.look()).stored
        rows = {each["name"]: each for each in await self._fetch("standing", {})}
        return [
            self._stands(name, rows.get(name), stored)
            for name in sorted({*rows, *stored, *self._plan.limits})
        ]

    async def waiting(self) -> list[Waiting]:
        """Return the calls that wait, the oldest first."""
        return [_waiting(row) for row in await self._fetch("waiting", {})]

    async def stood_in(self, caller: Caller, model: str, why: str) -> None:
        """Note on a run that a model is asked in place of the one that it had asked."""
        told = {"asked": caller.model, "model": model, "why": why, "node": caller.node}
        await self._execute("stood_in", {"run_id": caller.run_id, "detail": jsonb(told)})

    def _over(self, pool: Pool) -> PostgresRates:
        beside = self._beside
        if beside is None or beside._pool is not pool or beside._named != self._owner:
            beside = self._beside = PostgresRates(
                pool, self._aside, self._locks, self._plan, known=self._known, owner=self._owner
            )
        return beside

    async def _begin_anew(self, target: str) -> None:
        """Forget what is owed to a limit that was another, and what the provider has said."""
        names = [row["name"] for row in await self._fetch("names", {})]
        await self._execute("begin_anew", {"names": rows_of(clean(target), names)})
        self._known.at = float("-inf")

    async def _take_all(self, asks: list[Ask]) -> list[Slot]:
        given = Jsonb([_asked(each) for each in asks])
        rows = await self._fetch("take", {"asks": given, "owner": self._owner})
        found = {row["key"]: _slot(row) for row in rows}
        return [found[each.key] for each in asks]

    async def _settle_all(self, ends: list[End]) -> list[None]:
        rule = asdict(self._plan.breaker)
        await self._execute("settle", {"ends": Jsonb([_ended(each) for each in ends]), **rule})
        return [None] * len(ends)

    def _stands(self, name: str, row: DictRow | None, stored: Mapping[str, Rate]) -> Standing:
        at = row["at"] if row else time.time()
        waiting = row["waiting"] if row else 0
        return standing_of(
            name, _row(row) if row else Row(), self._plan, stored, waiting=waiting, at=at
        )

    async def _name(self) -> str:
        self._owner = self._named or await self._locks.owner()
        return self._owner

    async def _fetch(
        self, statement: str, values: Mapping[str, Any]
    ) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)

    async def _execute(self, statement: str, values: Mapping[str, Any]) -> int:  # SQL values
        async with connected(self._pool) as connection:
            return await execute(connection, SQL[statement], values)


def _asked(ask: Ask) -> dict[str, Any]:  # JSON
    return {
        "key": ask.key,
        "limits": [_bound(each) for each in ask.bounds],
        "breakers": [clean(each) for each in ask.breakers],
        "tokens": ask.tokens,
        "booked": ask.booked,
        "waited": ask.waited,
        "who": {name: clean(value) for name, value in asdict(ask.caller).items()},
    }


def _bound(bound: Bound) -> dict[str, Any]:  # JSON
    return {**asdict(bound.rate), "name": clean(bound.name), "burst": bound.burst}


def _ended(end: End) -> dict[str, Any]:  # JSON
    ask = end.ask
    left = [] if end.made or not ask.booked else [_place(ask, each) for each in ask.bounds]
    return {
        "key": ask.key,
        "waited": ask.waited,
        "slots": [clean(b.name) for b in ask.bounds if b.rate.concurrent and end.made],
        "tokens": _corrected(end),
        "left": left,
        "outcomes": [asdict(each) | {"told": clean(each.told)} for each in end.outcomes],
        "pushed": [asdict(each) | {"told": clean(each.told)} for each in end.pushed],
    }


def _place(ask: Ask, bound: Bound) -> dict[str, Any]:  # JSON
    tokens = bound.per_token * ask.tokens
    return {
        "name": clean(bound.name),
        "requests": bound.per_request,
        "tokens": tokens,
        "pace": bound.per_token,
    }


def _corrected(end: End) -> list[dict[str, Any]]:  # JSON
    asked = end.ask.tokens
    if not end.made or end.tokens is None or not asked:
        return []
    share, over = end.tokens / asked or None, end.tokens - asked  # what failed teaches nothing
    return [
        {
            "name": clean(each.name),
            "seconds": over * each.per_token,
            "share": share,
            "pace": each.per_token,
        }
        for each in end.ask.bounds
        if each.per_token
    ]


def _slot(row: DictRow) -> Slot:
    return Slot(
        verdict=row["verdict"],
        seconds=row["seconds"],
        name=row["name"],
        why=row["why"],
        probes=row["probes"],
    )


def _rate(row: Mapping[str, Any]) -> Rate:  # JSON
    return Rate(
        requests=row["requests"],
        tokens=row["tokens"],
        concurrent=row["concurrent"],
        burst=row["burst"],
    )


def _row(row: DictRow) -> Row:
    names = ("requests_at", "tokens_at", "not_before", "opened_at", "open_until")
    kept = {name: row[name] for name in (*names, "requests_pace", "tokens_pace")}
    outcomes = list(zip(row["outcomes"], row["outcomes_at"], strict=True))
    return Row(
        **kept,
        outcomes=outcomes,
        probe_by=row["probe_by"],
        told=row["told"],
        calls=set(row["calls"]),
    )


def _waiting(row: DictRow) -> Waiting:
    names = ("model", "run_id", "thread_id", "graph", "tenant", "node")
    return Waiting(
        key=row["key"],
        name=row["name"],
        why=row["why"],
        caller=Caller(**{name: row[name] for name in names}),
        since=row["since"],
        until=row["until"],
    )
