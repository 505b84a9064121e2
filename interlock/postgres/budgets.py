"""Budgets in Postgres: one round trip each, atomic over all scopes, shared by all processes."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.budget import (
    UNITS,
    Account,
    Amounts,
    Facts,
    Landed,
    Limits,
    Scope,
    ScopeKind,
    Unit,
    amounts_of,
    limits_of,
    spent,
)
from interlock.core.budget_memory import left_of
from interlock.core.walltime import Charge
from interlock.errors import BudgetSpent
from interlock.postgres.aside import Aside, Reachable
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("budgets")

REMEMBERED = 1024
"""How many budgets that refused are known by name."""


class PostgresBudgets(Reachable):
    """Budgets as rows, which are locked in one order for as long as one statement takes.

    Made on the event loop of the pool; other loops, and synchronous code, work through connections of their own.
    """

    def __init__(self, pool: Pool, aside: Aside, locks: ThreadLocks, *, owner: str = "") -> None:
        self._pool = pool
        self._aside = aside
        self._locks = locks
        self._loop = asyncio.get_running_loop()
        self._named = owner
        self._owner = owner
        self._refused: set[str] = set()  # lately

    async def reserve(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str, at_once: bool = False
    ) -> bool:
        """Hold amounts until they are settled or released; return whether this call took them."""
        if not scopes:
            return True
        values = _limited(scopes) | {
            "key": key,
            "wanted": _numbers(amounts.values()),
            "at_once": at_once,
        }
        values |= {"owner": await self._name()}
        looks = bool(self._refused) and any(str(each) in self._refused for each in scopes)
        row = (await self._fetch("reserve_left" if looks else "reserve", values))[0]
        if row["verdict"] == "refused":
            await self.sweep()  # asked again in any case: another branch may have swept meanwhile
            row = (await self._fetch("reserve_left", values))[0]
        if row["verdict"] == "refused":
            self._remember(str(scopes[row["scope"] - 1]))
            raise _refusal(row, scopes, amounts)
        if looks:
            self._refused.difference_update(map(str, scopes))
        return bool(row["verdict"] == "taken")

    async def settle(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str, facts: Facts | None = None
    ) -> None:
        """Charge what was taken in full, and let the rest of what was held go; once."""
        if not scopes:
            return
        facts = facts or Facts()
        values = {
            "key": key,
            "taken": _numbers(amounts.values()),
            "model": clean(facts.model[:200]),
            "prices": clean(facts.prices),
            "estimated": facts.estimated,
        }
        await self._fetch("settle", _named(scopes) | values)

    async def release(self, key: str) -> None:
        """Give back what was held, or spent at once; once."""
        await self._fetch("release", {"key": key, "status": "released"})

    async def charge(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str = "", steps: Sequence[str] = ()
    ) -> None:
        """Charge what was taken already, in full, whatever the limits say; and a superstep for each new key."""
        if scopes:
            await self._fetch("charge", _charged(scopes, amounts, key, steps))

    async def left(self, scopes: Sequence[Scope]) -> Mapping[Unit, float]:
        """Return what is left of each unit that is limited; the least over the scopes."""
        rows = await self._fetch("accounts", _named(scopes))
        found = {(each["kind"], each["name"]): account_of(each) for each in rows}
        return left_of(
            [
                (scope, found.get((scope.kind, scope.name)) or _none(scope.kind, scope.name))
                for scope in scopes
            ]
        )

    async def account(self, kind: ScopeKind, name: str) -> Account:
        """Return how a budget stands; one that nobody took from is empty."""
        await self._name()  # known from now on, also where this loop stands still
        rows = await self._fetch("accounts", {"kinds": [kind], "names": [clean(name)]})
        return account_of(rows[0]) if rows else _none(kind, name)

    async def accounts(
        self, kind: ScopeKind | None = None, *, limited: bool = False, limit: int = 50
    ) -> list[Account]:
        """Return the budgets that something was taken from lately; `limited`: only those with a stored limit."""
        values = {"kind": kind, "limited": limited, "limit": limit}
        return [account_of(row) for row in await self._fetch("latest", values)]

    async def limit(self, kind: ScopeKind, name: str, limits: Limits) -> None:
        """Store a budget's limits in place of the ones before."""
        values = {"kind": kind, "name": name, "limits": _bounds(limits), "landing": limits.landing}
        await self._fetch("limit", values)

    async def land(self, name: str, landed: Landed) -> Landed:
        """Note that a run is steered to its landing; return the first such note."""
        values = {"name": name, "landed": Jsonb(asdict(landed))}
        return Landed(**(await self._fetch("land", values))[0]["landed"])

    async def sweep(self) -> int:
        """Give back what processes hold that do not live any more; return how many calls that were."""
        keys = [row["key"] for row in await self._fetch("held_by_the_dead", {})]
        given = [await self._fetch("release", {"key": key, "status": "lost"}) for key in keys]
        return sum(bool(rows[0]["released"]) for rows in given)

    def _over(self, pool: Pool) -> PostgresBudgets:
        own = PostgresBudgets(pool, self._aside, self._locks, owner=self._owner)
        own._refused = self._refused
        return own

    def _remember(self, refused: str) -> None:
        if len(self._refused) >= REMEMBERED:
            self._refused.clear()
        self._refused.add(refused)

    async def _name(self) -> str:
        self._owner = self._named or await self._locks.owner()
        return self._owner

    async def _fetch(
        self, statement: str, values: Mapping[str, Any]
    ) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


async def charge_together(connection: Connection, charges: Sequence[Charge]) -> None:
    """Charge what several runs took last, each budget once; what may have been charged before, by its keys."""
    totals: defaultdict[tuple[ScopeKind, str], Counter[str]] = defaultdict(Counter)
    for charge in charges:
        if charge.again:
            seconds = Amounts(seconds=charge.seconds)
            values = _charged(charge.scopes, seconds, charge.clock, charge.keys)
            await fetch(connection, SQL["charge"], values)
        else:
            for scope in charge.scopes:
                taken = {"seconds": charge.seconds, "steps": len(charge.steps)}
                totals[scope.kind, clean(scope.name)].update(taken)
    if totals:
        values = {
            "kinds": [kind for kind, _ in totals],
            "names": [name for _, name in totals],
            "steps": [each["steps"] for each in totals.values()],
            "seconds": [each["seconds"] for each in totals.values()],
        }
        await fetch(connection, SQL["charge_time"], values)


def _named(scopes: Sequence[Scope]) -> dict[str, Any]:  # SQL values
    return {"kinds": [each.kind for each in scopes], "names": [clean(s.name) for s in scopes]}


def _charged(
    scopes: Sequence[Scope], amounts: Amounts, key: str, steps: Sequence[str]
) -> dict[str, Any]:  # SQL values
    values = {
        "key": key,
        "taken": _numbers(amounts.values()),
        "keys": list(steps),
        "step": _numbers(Amounts(steps=1).values()),
    }
    return _named(scopes) | values


def _limited(scopes: Sequence[Scope]) -> dict[str, Any]:  # SQL values
    return _named(scopes) | {
        "defaults": _array(_bounds(each.default) for each in scopes),
        "ceilings": _array(_bounds(each.ceiling) for each in scopes),
        "keeps": _numbers(each.keep for each in scopes),
    }


@lru_cache(maxsize=1024)  # the same few limits hold for each call
def _bounds(limits: Limits) -> str:
    return _numbers(limits.of(unit) for unit in UNITS)


def _numbers(values: Iterable[float | None]) -> str:
    """Return an array of numbers as its text, which is a fifth of the driver's work with a list."""
    return _array("null" if each is None else repr(float(each)) for each in values)


def _array(items: Iterable[str]) -> str:
    return "{" + ",".join(items) + "}"


def _refusal(row: DictRow, scopes: Sequence[Scope], amounts: Amounts) -> BudgetSpent:
    unit = UNITS[row["unit"] - 1]
    limit, left = float(row["bound"]), float(row["rest"])
    return spent(scopes[row["scope"] - 1], unit, asked=amounts.of(unit), left=left, limit=limit)


def _none(kind: ScopeKind, name: str) -> Account:
    return Account(kind=kind, name=name)


def account_of(row: DictRow) -> Account:
    """Return the budget of a row."""
    stored = dict(zip(UNITS, row["limits"], strict=True))
    bounds = {unit: None if each is None else float(each) for unit, each in stored.items()}
    return Account(
        kind=row["kind"],
        name=row["name"],
        limits=limits_of(bounds, landing=float(row["landing"])),
        spent=amounts_of(row["spent"]),
        held=amounts_of(row["held"]),
        over=amounts_of(row["over"]),
        estimated=row["estimated"],
        landed=Landed(**row["landed"]) if row["landed"] else None,
        updated_at=row["updated_at"],
    )
