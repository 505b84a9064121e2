"""Budgets, as the runtime offers them: who has one, what is left of it, and what a run may take."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property

from interlock.application import Application, Graph
from interlock.core.allowance import Allowance, Course
from interlock.core.bounded import declaration_of
from interlock.core.budget import (
    ONE_STEP,
    UNITS,
    Account,
    Limits,
    Scope,
    ScopeKind,
    limits_of,
)
from interlock.core.context import Around, Ports
from interlock.core.metering import Meter
from interlock.core.sync import run_sync
from interlock.errors import InterlockError, NotFound, UsageError
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import StoredRun
from interlock.settings import Settings

KINDS: tuple[ScopeKind, ...] = ("run", "thread", "graph", "tenant")

NO_LIMITS = Limits()


class Bounding(ABC):
    """The part of the runtime that keeps budgets."""

    settings: Settings
    application: Application
    store: RunStore
    _ports: Ports

    async def abudget(self, kind: ScopeKind, name: str) -> Account:
        """Return how a budget stands; raises `NotFound` for a thread or a run that does not exist.

        Args:
            kind: `run`, `thread`, `graph` or `tenant`.
            name: of a run its thread's id will do, for the run that it is at.
        """
        return await self._ports.budgets.account(kind, await self._budget_name(kind, name))

    async def abudgets(
        self, kind: ScopeKind | None = None, *, limited: bool = False, limit: int = 50
    ) -> Sequence[Account]:
        """Return the budgets that something was taken from lately; `limited`: only those with a stored limit."""
        return await self._ports.budgets.accounts(kind, limited=limited, limit=limit)

    async def aset_budget(
        self, kind: ScopeKind, name: str, limits: Limits, *, instead: bool = False
    ) -> Account:
        """Store limits, those that are given over the ones before; they hold from the next call on.

        `instead`: in place of the ones before, what is not given is no limit any more. Raises as `abudget`.
        """
        budgets, full = self._ports.budgets, await self._budget_name(kind, name)
        before = Limits() if instead else (await budgets.account(kind, full)).limits
        await budgets.limit(kind, full, limits.else_(before))
        return await budgets.account(kind, full)

    async def aremove_budget(self, kind: ScopeKind, name: str) -> Account:
        """Remove the stored limits; declared ones and those of the settings hold on. Raises as `abudget`."""
        full = await self._budget_name(kind, name)
        before = await self._ports.budgets.account(kind, full)
        if before.limits == Limits():
            return before
        await self._ports.budgets.limit(kind, full, Limits())
        return await self._ports.budgets.account(kind, full)

    async def alimits(self, kind: ScopeKind, name: str) -> Limits:
        """Return the limits that hold: the stored ones or else the declared ones, within those of the settings.

        Raises as `abudget`.
        """
        full = await self._budget_name(kind, name)
        stored = (await self._ports.budgets.account(kind, full)).limits
        declared = await self._declared(full) if kind == "run" else Limits()
        return stored.else_(declared).within(self._ceilings[kind])

    async def _declared(self, run_id: str) -> Limits:
        """Return what the graph of a run declares; nothing for one that this application does not have."""
        try:
            graph = self.application.graph((await self.store.stored(run_id)).run.graph)
        except InterlockError:
            return Limits()
        declaration = declaration_of(graph)
        return declaration.limits if declaration else Limits()

    async def _budget_name(self, kind: ScopeKind, name: str) -> str:
        if kind not in KINDS:
            raise UsageError(
                f"There is no budget of a {kind!r}.", hint=f"It is one of {', '.join(KINDS)}."
            )
        if kind == "thread":
            return await self.store.full_thread_id(name)
        return await self._run_name(name) if kind == "run" else name

    async def _run_name(self, name: str) -> str:
        known = await self._ports.budgets.account("run", name)
        if known.updated_at is not None:
            return name
        with suppress(NotFound):
            return (await self.store.stored(name)).chain[0]
        return (await self.store.latest(await self.store.full_thread_id(name))).chain[0]

    async def _allowance(self, stored: StoredRun, graph: Graph) -> Allowance:
        """Return what a run may take: nothing is taken by a replay, which pays for nothing."""
        budgets = self._ports.budgets
        if stored.lineage.recorded_only:
            return Allowance(budgets=budgets)
        declaration = declaration_of(graph)
        land = declaration.land if declaration else ""
        declared = declaration.limits if declaration else NO_LIMITS
        landed, keep = None, 0.0
        if land:  # else it does not matter what stands in its account
            account = await budgets.account("run", stored.chain[0])
            landed = account.landed
            keep = account.limits.landing or declared.landing or ONE_STEP
        return Allowance(
            budgets=budgets,
            scopes=self._scopes(stored, declared, keep),
            land=land,
            course=Course(landed=landed),
        )

    def _scopes(self, stored: StoredRun, declared: Limits, keep: float) -> tuple[Scope, ...]:
        names = {
            "run": stored.chain[0],
            "thread": stored.run.thread_id,
            "graph": stored.run.graph,
            "tenant": str(stored.context.get("tenant", "")),
        }
        return tuple(
            Scope(
                kind=kind,
                name=names[kind],
                default=declared if kind == "run" else NO_LIMITS,
                ceiling=self._ceilings[kind],
                keep=keep,
            )
            for kind in KINDS
            if names[kind]
        )

    @cached_property
    def _ceilings(self) -> Mapping[ScopeKind, Limits]:
        """What the settings name, read once; whoever this runtime works for, it is the same."""
        return ceilings_of(self.settings)


class BoundingNow(Bounding):
    """The synchronous twins."""

    def budget(self, kind: ScopeKind, name: str) -> Account:
        """Return how a budget stands; see `abudget`."""
        return run_sync(self.abudget(kind, name))

    def budgets(
        self, kind: ScopeKind | None = None, *, limited: bool = False, limit: int = 50
    ) -> Sequence[Account]:
        """Return the budgets that something was taken from lately; see `abudgets`."""
        return run_sync(self.abudgets(kind, limited=limited, limit=limit))

    def limits(self, kind: ScopeKind, name: str) -> Limits:
        """Return the limits that hold; see `alimits`."""
        return run_sync(self.alimits(kind, name))

    def set_budget(
        self, kind: ScopeKind, name: str, limits: Limits, *, instead: bool = False
    ) -> Account:
        """Store limits; see `aset_budget`."""
        return run_sync(self.aset_budget(kind, name, limits, instead=instead))

    def remove_budget(self, kind: ScopeKind, name: str) -> Account:
        """Remove the stored limits; see `aremove_budget`."""
        return run_sync(self.aremove_budget(kind, name))


def metered(around: Around, allowance: Allowance) -> tuple[Around, Meter | None]:
    """Return a run's surroundings with what counts its model calls; nobody counts a replay's."""
    if not allowance.scopes:
        return around, None
    meter = Meter(allowance=allowance, prices=around.ports.prices)
    return replace(around, meter=meter), meter


def ceilings_of(settings: Settings) -> dict[ScopeKind, Limits]:
    """Return the limits that the settings name, by what they are for; raises `UsageError` for a unit that is none."""
    given: dict[ScopeKind, Mapping[str, float] | None] = {
        "run": settings.budget_run,
        "thread": settings.budget_thread,
        "graph": settings.budget_graph,
        "tenant": settings.budget_tenant,
    }
    return {
        kind: read_limits(values or {}, f"INTERLOCK_BUDGET_{kind.upper()}")
        for kind, values in given.items()
    }


def read_limits(values: Mapping[str, float], what: str) -> Limits:
    """Return limits by unit, and the share for landing; raises `UsageError` that says what is wrong with them."""
    for name, value in values.items():
        _check(name, value, what)
    units = {unit: values[unit] for unit in UNITS if unit in values}
    return limits_of(units, landing=values.get("landing", 0.0))


def _meant(name: str) -> str:
    near = get_close_matches(name, UNITS, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}? " if near else ""


def _check(name: str, value: float, what: str) -> None:
    if name not in (*UNITS, "landing"):
        raise UsageError(
            f"{what}: {name!r} is no unit.",
            hint=f"{_meant(name)}The units are {', '.join(UNITS)}; landing is the share that is kept back.",
        )
    if not 0 <= value < (1 if name == "landing" else math.inf):
        most = " and less than 1" if name == "landing" else ""
        raise UsageError(f"{what}: {name}={value:g} is no limit.", hint=f"Write 0 or more{most}.")
    if name not in ("usd", "seconds", "landing") and value != int(value):
        raise UsageError(f"{what}: {name}={value:g} is no whole number.")
