"""Forks of a subgraph that was compiled with `checkpointer=True`: it remembers what its thread's parent remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import interlock
from interlock import Interlock, Run, Step

CONFIG = Path(__file__).parents[1] / "sample" / "nested" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def week(il: Interlock, log: Path, days: int = 3) -> Run:
    """A finished thread that told its diary of each day."""
    run = await il.ainvoke("diary", {"days": days, "log": str(log)})
    assert run.output["said"] == ", ".join(f"day {n + 1}" for n in range(days))
    log.unlink()
    return run


async def before(il: Interlock, thread: str, node: str, day: int) -> Step:
    """The step from which a node of the diary, or of the week, ran on a day."""
    return next(
        step
        for step in await il.ahistory(thread, inside=True)
        if step.next == (node,) and step.values.get("day") == day
    )


async def test_a_fork_remembers_what_its_parent_did_up_to_there(il: Interlock, log: Path) -> None:
    """Before a memory is used again, it holds the days behind the fork and not those after it; it is used, too."""
    run = await week(il, log)
    at = await before(il, run.thread_id, "diary", 2)

    fork = await il.afork(run.thread_id, at=at.number)

    assert fork.output["said"] == "day 1, day 2, day 3"
    assert log.read_text().split("\n")[:-1] == ["tell 2", "say 2", "wake 3", "tell 3", "say 3"]


async def test_a_fork_with_another_day_is_told_to_the_diary(il: Interlock, log: Path) -> None:
    """The memory is that of the parent at the step, and what is told next is the fork's own."""
    run = await week(il, log)
    at = await before(il, run.thread_id, "diary", 2)

    fork = await il.afork(run.thread_id, at=at.number, values={"day": 7})

    assert fork.output["said"] == "day 1, day 7"


async def test_a_fork_inside_the_memory_goes_on_there(il: Interlock, log: Path) -> None:
    """What was told that day is not told again, and days after it are forgotten."""
    run = await week(il, log)
    at = await before(il, run.thread_id, "say", 2)

    fork = await il.afork(run.thread_id, at=at.checkpoint_id, values={"told": ["night 2"]})

    assert fork.output["said"] == "day 1, day 2, night 2, day 3"
    assert log.read_text().split("\n")[:-1] == ["say 2", "wake 3", "tell 3", "say 3"]


async def test_a_fork_behind_the_memory_keeps_it(il: Interlock, log: Path) -> None:
    """A memory that was used by the step before the fork has that day."""
    run = await week(il, log)
    at = await before(il, run.thread_id, "wake", 2)

    fork = await il.afork(run.thread_id, at=at.number)

    assert fork.output["said"] == "day 1, day 2, day 3"
    assert log.read_text().split("\n")[:-1] == ["wake 3", "tell 3", "say 3"]


async def test_a_parent_does_not_learn_of_its_forks(il: Interlock, log: Path) -> None:
    """What a fork remembers is its own."""
    run = await week(il, log)
    at = await before(il, run.thread_id, "diary", 2)
    await il.afork(run.thread_id, at=at.number, values={"day": 2, "days": 9})

    more = await il.ainvoke("diary", {"days": 4, "log": str(log)}, thread_id=run.thread_id)

    assert more.output["said"] == "day 1, day 2, day 3, day 4"


async def test_a_resumed_step_that_had_not_begun_takes_its_input(il: Interlock, log: Path) -> None:
    """A memory of earlier steps is no interrupted run: what is resumed before it begins is told to it."""
    given = {"days": 3, "log": str(log)}
    async for part in il.astream("diary", given, thread_id="t", stream_mode=["updates"]):
        if part["type"] == "updates" and part["data"].get("wake", {}).get("day") == 2:
            il.drain()
    stopped = await il.arun("t")

    resumed = await il.aresume("t")

    assert (stopped.status, stopped.error_kind) == ("queued", "drained")
    assert resumed.output["said"] == "day 1, day 2, day 3"
    assert [line for line in log.read_text().splitlines() if line.endswith("2")] == [
        "wake 2",
        "tell 2",
        "say 2",
    ]
