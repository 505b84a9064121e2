"""Limits on wall time under the runtime: what is charged, what is not, and what happens when it is used up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Resume
from interlock.core.budget import Limits
from interlock.errors import BudgetSpent

CONFIG = Path(__file__).parents[1] / "sample" / "timed" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that lets a node end."""
    return tmp_path / "go"


async def seconds(il: Interlock, kind: Any, name: str) -> float:
    return (await il.abudget(kind, name)).spent.seconds


async def test_time_at_work_is_charged_to_all_that_pay(il: Interlock, go: Path) -> None:
    """The run, its thread and its graph are charged the same; two branches at once are one time."""
    go.touch()
    began = time.monotonic()
    run = await il.ainvoke("slow", {"go": str(go), "takes": 0.2}, thread_id="t")
    took = time.monotonic() - began

    charged = [
        await seconds(il, kind, name)
        for kind, name in (("run", run.run_id), ("thread", "t"), ("graph", "slow"))
    ]
    assert charged[0] == charged[1] == charged[2]
    assert 0.2 <= charged[0] <= took


async def test_the_deadline_interrupts_and_a_raised_limit_goes_on(il: Interlock, go: Path) -> None:
    """What it waited for is cancelled, what had ended is kept; with more time the thread is resumed, and finishes."""
    given = {"go": str(go), "takes": 0.0}
    began = time.monotonic()
    with pytest.raises(BudgetSpent, match="time at work of thread t is used up") as raised:
        await timed(il, given, Limits(seconds=0.5))
    assert raised.value.unit == "seconds"
    assert time.monotonic() - began < 3
    assert (await il.arun("t")).status == "failed"

    with pytest.raises(BudgetSpent):
        await il.aresume("t")
    go.touch()
    await il.aset_budget("thread", "t", Limits(seconds=60))
    assert (await il.aresume("t")).output == {"said": ["beside", "waited"]}


async def timed(il: Interlock, given: dict[str, Any], limits: Limits) -> interlock.Run:
    """Run on a thread whose time is limited."""
    run = await il.asubmit("slow", given, thread_id="t")
    await il.aset_budget("thread", "t", limits)
    return await il.aresume(run.thread_id)


async def test_a_person_costs_no_time(il: Interlock, go: Path) -> None:
    """A run waits for a while, and only what it works is charged."""
    waiting = await il.ainvoke("asks", {"go": str(go)}, thread_id="t")
    before = await seconds(il, "thread", "t")
    await asyncio.sleep(0.3)

    assert await seconds(il, "thread", "t") == before
    await il.aresume("t", Resume(waiting.interrupts[0].id, "yes"))
    assert before < await seconds(il, "thread", "t") < before + 0.3


async def test_a_run_out_of_time_lands(il: Interlock, go: Path) -> None:
    """The graph delivers what there is, and the run says that it is partial, and why."""
    began = time.monotonic()
    run = await il.ainvoke("lands", {"go": str(go), "takes": 0.0})

    assert time.monotonic() - began < 3
    assert (run.status, run.output["said"]) == ("succeeded", ["beside", "landed"])
    assert "time at work" in run.partial


async def test_time_is_charged_while_it_runs(
    il: Interlock, go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a process that dies has not worked for nothing."""
    monkeypatch.setattr("interlock.core.walltime.CHARGE_SECONDS", 0.05)
    running = asyncio.ensure_future(il.ainvoke("slow", {"go": str(go)}, thread_id="t"))
    async with asyncio.timeout(10):
        while await seconds_or_nothing(il) < 0.2:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)

    go.touch()
    assert (await running).status == "succeeded"


async def seconds_or_nothing(il: Interlock) -> float:
    return (await il._ports.budgets.account("thread", "t")).spent.seconds


async def test_a_graph_that_declares_nothing_is_stopped_too(il: Interlock, go: Path) -> None:
    """Whatever application it is of: the run is cancelled, fails with what was spent, and can be resumed."""
    run = await il.asubmit("foreign", {"go": str(go)}, thread_id="t")
    await il.aset_budget("graph", "foreign", Limits(seconds=0.4))

    with pytest.raises(BudgetSpent, match="time at work of graph foreign"):
        await il.aresume(run.thread_id)

    go.touch()
    await il.aset_budget("graph", "foreign", Limits(seconds=60))
    assert (await il.aresume("t")).output == {"said": ["beside", "waited"]}
