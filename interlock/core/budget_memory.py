"""Budgets for one process: what plain `graph.invoke` uses, and tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from interlock.core.budget import (
    Account,
    Amounts,
    Budgets,
    Facts,
    Landed,
    Limits,
    Scope,
    ScopeKind,
    Unit,
    refused,
    usable,
)
from interlock.core.recordings import finished

T = TypeVar("T")
Status = Literal["held", "spent", "released"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    scopes: tuple[tuple[ScopeKind, str], ...]
    amounts: Amounts
    status: Status
    facts: Facts = field(default_factory=Facts)


class MemoryBudgets:
    """Budgets in this process's memory; any number of threads and event loops may share them."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[ScopeKind, str], Account] = {}
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    async def reserve(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str, at_once: bool = False
    ) -> bool:
        """Hold amounts until they are settled or released; return whether this call took them."""
        if not scopes:
            return True
        with self._lock:
            known = self._entries.get(key)
            if known is not None and known.status != "released":
                return False
            self._check(scopes, amounts)
            status: Status = "spent" if at_once else "held"
            self._entries[key] = _Entry(scopes=_names(scopes), amounts=amounts, status=status)
            self._book(self._entries[key], amounts)
            return True

    async def settle(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str, facts: Facts | None = None
    ) -> None:
        """Charge what was taken in full, and let the rest of what was held go; once."""
        if not scopes:
            return
        with self._lock:
            known = self._entries.get(key)
            if known is not None and known.status != "held":
                return
            if known is not None:
                self._book(known, -known.amounts)
            entry = _Entry(
                scopes=known.scopes if known else _names(scopes),
                amounts=amounts,
                status="spent",
                facts=facts or Facts(),
            )
            self._entries[key] = entry
            self._book(entry, amounts)
            self._note(entry, amounts.beyond(known.amounts if known else Amounts()))

    async def release(self, key: str) -> None:
        """Give back what was held, or spent at once; once."""
        with self._lock:
            known = self._entries.get(key)
            if known is not None and known.status != "released":
                self._book(known, -known.amounts)
                self._entries[key] = replace(known, status="released")

    async def charge(
        self, scopes: Sequence[Scope], amounts: Amounts, *, key: str = "", steps: Sequence[str] = ()
    ) -> None:
        """Charge what was taken already, in full, whatever the limits say; and a superstep for each new key."""
        with self._lock:
            known = self._entries.get(key)
            taken = _Entry(scopes=_names(scopes), amounts=amounts, status="spent")
            self._book(taken, amounts.beyond(known.amounts) if known else amounts)
            if key:
                self._entries[key] = taken
            one = _Entry(scopes=_names(scopes), amounts=Amounts(steps=1), status="spent")
            for step in dict.fromkeys(steps):
                if step not in self._entries:
                    self._entries[step] = one
                    self._book(one, one.amounts)

    async def left(self, scopes: Sequence[Scope]) -> Mapping[Unit, float]:
        """Return what is left of each unit that is limited; the least over the scopes."""
        with self._lock:
            found = [self._at(each.kind, each.name) for each in scopes]
        return left_of(list(zip(scopes, found, strict=True)))

    async def account(self, kind: ScopeKind, name: str) -> Account:
        """Return how a budget stands."""
        with self._lock:
            return self._at(kind, name)

    async def accounts(
        self, kind: ScopeKind | None = None, *, limited: bool = False, limit: int = 50
    ) -> list[Account]:
        """Return the budgets that something was taken from lately; `limited`: only those with a stored limit."""
        with self._lock:
            found = [each for each in self._accounts.values() if kind in (None, each.kind)]
        wanted = [each for each in found if not limited or each.limits.given()]
        return wanted[::-1][:limit]

    async def limit(self, kind: ScopeKind, name: str, limits: Limits) -> None:
        """Store a budget's limits in place of the ones before."""
        with self._lock:
            self._accounts[kind, name] = replace(self._at(kind, name), limits=limits)

    async def land(self, name: str, landed: Landed) -> Landed:
        """Note that a run is steered to its landing; return the first such note."""
        with self._lock:
            account = self._at("run", name)
            first = account.landed or landed
            self._accounts["run", name] = replace(account, landed=first)
            return first

    def forget(self, run: str) -> None:
        """Drop a run that nobody goes on with, with the graphs that were invoked in it."""
        with self._lock:
            for name in [each for each in self._accounts if _belongs(each, run)]:
                del self._accounts[name]
            gone = [
                key
                for key, each in self._entries.items()
                if any(_belongs(scope, run) for scope in each.scopes)
            ]
            for key in gone:
                del self._entries[key]

    async def run(self, work: Callable[[Budgets], Coroutine[Any, Any, T]]) -> T:
        """Do some work."""
        return await work(self)

    def wait(self, work: Callable[[Budgets], Coroutine[Any, Any, T]]) -> T:
        """Do some work, which never waits for anything."""
        return finished(work(self))

    def _at(self, kind: ScopeKind, name: str) -> Account:
        return self._accounts.get((kind, name)) or Account(kind=kind, name=name)

    def _check(self, scopes: Sequence[Scope], wanted: Amounts) -> None:
        for scope in scopes:
            account = self._at(scope.kind, scope.name)
            if error := refused(scope, account.limits, account.spent + account.held, wanted):
                raise error

    def _note(self, entry: _Entry, over: Amounts) -> None:
        for kind, name in entry.scopes:
            account = self._at(kind, name)
            self._accounts[kind, name] = replace(
                account,
                over=account.over + over,
                estimated=account.estimated + entry.facts.estimated,
            )

    def _book(self, entry: _Entry, amounts: Amounts) -> None:
        for kind, name in entry.scopes:
            account = self._at(kind, name)
            if entry.status == "held":
                changed = replace(account, held=account.held + amounts)
            else:
                changed = replace(account, spent=account.spent + amounts)
            self._accounts[kind, name] = changed


def left_of(accounts: Sequence[tuple[Scope, Account]]) -> dict[Unit, float]:
    """Return what is left of each unit that is limited in one of the scopes; the least over them."""
    least: dict[Unit, float] = {}
    for scope, account in accounts:
        taken = account.spent + account.held
        for unit, limit in scope.limits(account.limits).given().items():
            rest = max(0.0, usable(limit, scope.keep, unit) - taken.of(unit))
            least[unit] = min(rest, least.get(unit, rest))
    return least


def _names(scopes: Sequence[Scope]) -> tuple[tuple[ScopeKind, str], ...]:
    return tuple((each.kind, each.name) for each in scopes)


def _belongs(account: tuple[ScopeKind, str], run: str) -> bool:
    kind, name = account
    return kind == "run" and (name == run or name.startswith(f"{run}/"))
