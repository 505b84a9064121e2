"""The clock of a run at work: what it charges, whom it interrupts, and what it keeps back for landing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from interlock.core.allowance import Allowance
from interlock.core.budget import Amounts, Limits, Scope
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.interrupting import Interruptible
from interlock.core.walltime import WorkClock, at_work
from interlock.errors import BudgetSpent

PATIENCE = 120


def scope(seconds: float | None = None, keep: float = 0.0) -> Scope:
    return Scope(kind="run", name="r", default=Limits(seconds=seconds), keep=keep)


async def taken(budgets: MemoryBudgets) -> float:
    return (await budgets.account("run", "r")).spent.seconds


async def hang(clock: WorkClock, *, landing: bool = False) -> None:
    """A node that never ends by itself."""
    async with Interruptible() as block, asyncio.timeout(PATIENCE):
        with clock.node(block.interrupt, landing=landing):
            await asyncio.Event().wait()


async def test_time_at_work_is_charged() -> None:
    """Two nodes that work at the same time take it once."""
    budgets = MemoryBudgets()
    clock = WorkClock(budgets=budgets, scopes=[scope()])

    began = time.monotonic()
    async with clock.running():
        await asyncio.gather(asyncio.sleep(0.1), asyncio.sleep(0.1))
    took = time.monotonic() - began

    assert 0.1 <= await taken(budgets) <= took


async def test_it_is_charged_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed loses no more than what it took since the last time."""
    monkeypatch.setattr("interlock.core.walltime.CHARGE_SECONDS", 0.02)
    budgets = MemoryBudgets()
    async with WorkClock(budgets=budgets, scopes=[scope()]).running():
        async with asyncio.timeout(PATIENCE):
            while await taken(budgets) < 0.1:  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(0.01)


class NothingAhead(MemoryBudgets):
    """Budgets of which nothing may be reserved."""

    async def reserve(self, *args: Any, **more: Any) -> bool:  # whatever it is
        raise AssertionError("something was reserved")


async def test_supersteps_that_nobody_limits_are_charged_with_the_time() -> None:
    """Nothing is asked before they begin, and each counts once, however many tasks it has."""
    allowance = Allowance(budgets=NothingAhead(), scopes=(scope(),))
    async with at_work(allowance):
        for number in (1, 1, 2, 3):
            await allowance.step(number)

    assert (await allowance.budgets.account("run", "r")).spent.steps == 3


class SlowlyCharging(MemoryBudgets):
    """Budgets whose first charge is made at once, and answered late."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def run(self, work: Any) -> Any:  # as its own
        found = await super().run(work)
        if not self.asked.is_set() and (await self.account("run", "r")).spent.steps:
            self.asked.set()
            await self.may_answer.wait()
        return found


async def test_a_run_that_ends_while_it_is_charged_is_charged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its time and its steps are under way to the database, and who asked for that is stopped."""
    monkeypatch.setattr("interlock.core.walltime.CHARGE_SECONDS", 0.2)
    allowance = Allowance(budgets=(budgets := SlowlyCharging()), scopes=(scope(),))
    began = time.monotonic()
    async with at_work(allowance):
        await allowance.step(1)
        await allowance.step(2)
        await asyncio.wait_for(budgets.asked.wait(), PATIENCE)
        asyncio.get_running_loop().call_soon(budgets.may_answer.set)
    took = time.monotonic() - began

    spent = (await budgets.account("run", "r")).spent
    assert spent.steps == 2
    assert 0.2 <= spent.seconds <= took


async def test_limited_supersteps_are_charged_before_they_begin() -> None:
    """The one that is too many does not begin."""
    limited = Scope(kind="run", name="r", default=Limits(steps=2))
    allowance = Allowance(budgets=MemoryBudgets(), scopes=(limited,))
    async with at_work(allowance):
        await allowance.step(1)
        await allowance.step(2)
        with pytest.raises(BudgetSpent):
            await allowance.step(3)

    assert (await allowance.budgets.account("run", "r")).spent.steps == 2


async def test_a_limit_of_supersteps_that_comes_while_it_runs_holds_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was taken before it came counts."""
    monkeypatch.setattr("interlock.core.walltime.CHARGE_SECONDS", 0.01)
    allowance = Allowance(budgets=MemoryBudgets(), scopes=(scope(),))
    async with at_work(allowance):
        await allowance.step(1)
        await allowance.step(2)
        await allowance.budgets.limit("run", "r", Limits(steps=3))
        async with asyncio.timeout(PATIENCE):
            while allowance.course.uncounted is not None:  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(0.01)
            while (await allowance.budgets.account("run", "r")).spent.steps < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await allowance.step(3)
        with pytest.raises(BudgetSpent):
            await allowance.step(4)

    assert (await allowance.budgets.account("run", "r")).spent.steps == 3


async def test_the_deadline_interrupts_what_is_under_way() -> None:
    """Whatever the node waits for is cancelled, and the node raises what was spent and of what."""
    budgets = MemoryBudgets()
    clock = WorkClock(budgets=budgets, scopes=[scope(0.1)])

    async with clock.running():
        with pytest.raises(
            BudgetSpent, match=r"of run r is used up: 0\.1 seconds of 0\.1"
        ) as raised:
            await hang(clock)

    assert (raised.value.scope, raised.value.unit) == ("run r", "seconds")


async def test_what_was_taken_before_counts() -> None:
    """A later attempt has only what is left; with nothing left its first node is refused."""
    budgets = MemoryBudgets()
    await budgets.charge([scope()], Amounts(seconds=7))

    clock = WorkClock(budgets=budgets, scopes=[scope(7)])
    async with clock.running():
        with pytest.raises(BudgetSpent):
            await hang(clock)


async def test_the_share_is_for_the_landing() -> None:
    """At its part of the time a node is interrupted; the landing then has the rest, and no more."""
    budgets, stopped = MemoryBudgets(), asyncio.Event()
    clock = WorkClock(
        budgets=budgets,
        scopes=[scope(0.4, keep=0.5)],
        lands=True,
        stop=lambda error: stopped.set(),
    )

    began = time.monotonic()
    async with clock.running():
        with pytest.raises(BudgetSpent):
            await hang(clock)
        worked = time.monotonic() - began
        with pytest.raises(BudgetSpent):
            await hang(clock, landing=True)
        landed = time.monotonic() - began
        await stopped.wait()

    assert worked >= 0.2
    assert landed >= 0.4


async def test_time_of_others_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another run takes of the same thread meanwhile is not there for this one."""
    monkeypatch.setattr("interlock.core.walltime.CHARGE_SECONDS", 0.02)
    budgets = MemoryBudgets()
    clock = WorkClock(budgets=budgets, scopes=[scope(60)])

    async with clock.running():
        await budgets.charge([scope()], Amounts(seconds=60))
        with pytest.raises(BudgetSpent):
            await hang(clock)


async def test_no_limit_interrupts_nothing() -> None:
    """A run without a limit is charged, and never stopped."""
    budgets = MemoryBudgets()
    clock = WorkClock(budgets=budgets, scopes=[scope()])
    async with clock.running(), Interruptible() as block:
        with clock.node(block.interrupt):
            await asyncio.sleep(0.05)

    assert await taken(budgets) >= 0.05


async def test_a_landing_has_a_moment_where_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A graph that lands without a share of its own is given a short time for it, once."""
    monkeypatch.setattr("interlock.core.walltime.GRACE", 0.2)
    clock = WorkClock(budgets=MemoryBudgets(), scopes=[scope(0.1)], lands=True)

    began = time.monotonic()
    async with clock.running():
        with pytest.raises(BudgetSpent):
            await hang(clock)
        with pytest.raises(BudgetSpent):
            await hang(clock, landing=True)

    assert time.monotonic() - began >= 0.3


async def test_a_short_run_has_no_task_for_its_clock() -> None:
    """It is begun only when there is something to charge, and what was taken is charged at the end."""
    budgets = MemoryBudgets()
    before = asyncio.all_tasks()
    async with WorkClock(budgets=budgets, scopes=[scope()]).running():
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
    assert await taken(budgets) > 0
