"""Sleeping under the runtime: nothing waits with the thread, and it goes on at its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Resume
from interlock.core.queueing import Options
from interlock.core.sleeping import sleep
from interlock.errors import Killed, ThreadBusy, UsageError
from tests.shifting import shift
from tests.working import rows, until, worker_at

CONFIG = Path(__file__).parents[1] / "sample" / "asleep" / "langgraph.json"
HOUR = 3600.0


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


def given(folder: Path, seconds: float = HOUR, later: float = 2 * HOUR) -> dict[str, Any]:
    return {"folder": str(folder), "seconds": seconds, "later": later, "said": []}


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


async def test_a_run_that_sleeps_waits_until_a_time(il: Interlock, tmp_path: Path) -> None:
    """It ends as waiting, asks nobody, and says until when it sleeps."""
    asked = datetime.now(UTC)
    run = await il.ainvoke("nap", given(tmp_path), thread_id="t")

    assert (run.status, run.interrupts) == ("waiting", ())
    assert run.wakes_at is not None
    assert 0 <= (run.wakes_at - asked).total_seconds() - HOUR < 30
    assert (await il.arun("t")).wakes_at == run.wakes_at
    assert await il.aquestions() == []
    assert log(tmp_path) == ["before", "rest begins"]


async def test_it_is_not_resumed_before_its_time(il: Interlock, tmp_path: Path) -> None:
    """The refusal says until when it sleeps, and nothing runs."""
    run = await il.ainvoke("nap", given(tmp_path), thread_id="t")
    assert run.wakes_at is not None
    when = run.wakes_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")

    with pytest.raises(UsageError, match=f"Thread t sleeps until {when}"):
        await il.aresume("t")
    assert log(tmp_path) == ["before", "rest begins"]


async def test_without_a_worker_it_is_resumed_after_its_time(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The node runs again from its first line and passes the sleep; what had ended before is not run again."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)

    run = await il.aresume("t")

    assert (run.status, run.output["said"]) == ("succeeded", ["before", "rested", "after"])
    assert log(tmp_path) == ["before", "rest begins", "rest begins", "rest ends", "after"]
    assert (await il.afire_timers()).fired == 0


async def test_a_worker_wakes_it(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """Nobody resumes it: the worker does, also a run that was begun elsewhere."""
    async with worker_at(database_url, config=CONFIG):
        await il.ainvoke("nap", given(tmp_path, seconds=0.2), thread_id="t")
        await until(lambda: "after" in log(tmp_path))

        async def succeeded() -> bool:
            return (await il.arun("t")).status == "succeeded"

        await until(succeeded)
    kinds = await rows(database_url, "select kind from interlock.run_events order by id")
    assert ("woken",) in kinds


async def test_two_sleeps_of_a_node_come_after_each_other(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The second is counted from when the node came to it, after the first."""
    first = await il.ainvoke("twice", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR + 1)
    second = await il.aresume("t")
    assert second.status == "waiting"
    assert first.wakes_at is not None
    assert second.wakes_at is not None
    between = (second.wakes_at - first.wakes_at).total_seconds()
    assert 2 * HOUR <= between < 2 * HOUR + 60
    await shift(database_url, 3 * HOUR + 60)

    assert (await il.aresume("t")).status == "succeeded"
    assert log(tmp_path) == ["begins", "begins", "between", "begins", "between", "ends"]


async def test_branches_sleep_each_until_its_own_time(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The thread goes on with the first that wakes; the other's time stays where it was."""
    first = await il.ainvoke("branches", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    second = await il.aresume("t")
    await shift(database_url, 2 * HOUR)
    third = await il.aresume("t")

    assert first.wakes_at is not None
    assert second.wakes_at is not None
    assert (second.wakes_at - first.wakes_at).total_seconds() == pytest.approx(HOUR, abs=5)
    assert third.status == "succeeded"
    assert log(tmp_path).count("rest ends") == 1
    assert log(tmp_path).count("longer ends") == 1


async def test_a_question_beside_a_sleep_is_answered_meanwhile(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The answer does not wake the other branch, whose time stays where it was."""
    first = await il.ainvoke("beside", given(tmp_path), thread_id="t")
    assert len(first.interrupts) == 1
    second = await il.aresume("t", Resume(first.interrupts[0].id, "yes", by="ann"))
    assert (second.status, second.interrupts) == ("waiting", ())
    assert second.wakes_at == first.wakes_at
    assert log(tmp_path).count("answered yes") == 1
    await shift(database_url, HOUR)

    assert (await il.aresume("t")).status == "succeeded"
    assert log(tmp_path).count("answered yes") == log(tmp_path).count("rest ends") == 1


async def test_a_sleep_beside_a_question_ends_meanwhile(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The question stays open, the same one, and its answer then goes on with the thread."""
    first = await il.ainvoke("beside", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    second = await il.aresume("t")
    assert (second.status, second.wakes_at) == ("waiting", None)
    assert [each.id for each in second.interrupts] == [each.id for each in first.interrupts]

    third = await il.aresume("t", Resume(first.interrupts[0].id, "yes", by="ann"))
    assert third.status == "succeeded"
    assert log(tmp_path).count("rest ends") == 1


async def test_a_subgraph_sleeps(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """Both sleeps of its node are passed in turn, and the graph around it goes on."""
    await il.ainvoke("nested", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    assert (await il.aresume("t")).status == "waiting"
    await shift(database_url, 4 * HOUR)

    assert (await il.aresume("t")).status == "succeeded"
    assert log(tmp_path)[-2:] == ["ends", "after"]


async def test_a_retry_of_the_node_does_not_sleep_again(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A node that fails after its sleep is tried again at once."""
    await il.ainvoke("flaky", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)

    assert (await il.aresume("t")).status == "succeeded"
    assert log(tmp_path) == ["begins", "begins", "begins", "begins", "ends"]


async def test_a_time_that_has_passed_is_no_sleep(il: Interlock, tmp_path: Path) -> None:
    """The run goes on at once."""
    run = await il.ainvoke("nap", given(tmp_path, seconds=0.0), thread_id="t")

    assert run.status == "succeeded"
    assert log(tmp_path) == ["before", "rest begins", "rest ends", "after"]


async def test_a_cancelled_thread_does_not_wake(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its timer is gone with it."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")
    assert (await il.acancel("t", reason="not needed")).status == "cancelled"
    await shift(database_url, HOUR)

    assert (await il.afire_timers()).fired == 0
    assert (await il.arun("t")).wakes_at is None
    assert log(tmp_path) == ["before", "rest begins"]


async def test_a_killed_thread_wakes_once_the_switch_is_lifted(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """While the switch stands nothing is submitted; lifted, the thread goes on by itself."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")
    kill = await il.akill("thread", "t", reason="look first", by="ann")
    await shift(database_url, HOUR)
    held = await il.afire_timers()
    assert (held.fired, held.held) == (0, 1)
    with pytest.raises(Killed):
        await il.aresume("t")
    await il.alift_kill(kill.id)
    await shift(database_url, HOUR + 60)

    async with worker_at(database_url, config=CONFIG):
        await until(lambda: "after" in log(tmp_path))


async def test_a_worker_and_a_person_wake_it_once(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Whoever comes second finds that the thread goes on already."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    await asyncio.gather(*(il.afire_timers() for _ in range(4)))

    assert await rows(database_url, "select count(*) from interlock.runs") == [(2,)]
    run = await il.aresume("t")
    assert run.status == "succeeded"
    assert log(tmp_path).count("rest ends") == 1


async def test_a_fork_sleeps_anew(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """Its time is counted from the fork, and its parent's stays where it was."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    await il.aresume("t")
    steps = await il.ahistory("t")
    fork = await il.afork("t", at=next(s.number for s in steps if s.next == ("rest",)))

    assert fork.status == "waiting"
    assert fork.wakes_at is not None
    assert fork.wakes_at > datetime.now(UTC) + timedelta(seconds=2 * HOUR - 30)


async def test_a_replay_does_not_sleep(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """It passes the sleeps that its thread passed, and comes to the same end."""
    await il.ainvoke("twice", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    await il.aresume("t")
    asleep = await il.areplay("t")
    await shift(database_url, 4 * HOUR)
    await il.aresume("t")
    awake = await il.areplay("t")

    assert (asleep.run.status, awake.run.status) == ("waiting", "succeeded")
    assert (asleep.divergence, awake.divergence) == (None, None)
    assert await rows(
        database_url, "select count(*) from interlock.timers where state = 'set'"
    ) == [(0,)]


async def test_sleeping_is_no_time_at_work(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """What is charged is what the process worked."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")
    await shift(database_url, HOUR)
    await il.aresume("t")

    assert (await il.abudget("thread", "t")).spent.seconds < 60


async def test_another_run_is_refused_while_the_thread_sleeps(
    il: Interlock, tmp_path: Path
) -> None:
    """The refusal says that it goes on later."""
    await il.ainvoke("nap", given(tmp_path), thread_id="t")

    with pytest.raises(ThreadBusy, match="Thread t sleeps"):
        await il.ainvoke("nap", given(tmp_path), thread_id="t")


async def test_the_time_is_fixed_when_the_node_first_asks(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A run that lost its process before it could end sleeps until the time that it first asked for."""
    first = await il.ainvoke("nap", given(tmp_path), thread_id="t")
    await rows(database_url, "alter table interlock.runs disable trigger runs_transitions")
    await rows(database_url, "update interlock.runs set status = 'running'")
    await rows(database_url, "alter table interlock.runs enable trigger runs_transitions")
    await rows(database_url, "delete from interlock.timers")
    await shift(database_url, HOUR / 2)

    again = await il.aresume("t")
    assert again.status == "waiting"
    assert again.wakes_at == first.wakes_at
    assert log(tmp_path) == ["before", "rest begins", "rest begins"]


@pytest.mark.parametrize(
    ("graph", "what"),
    [("catches", "sleep"), ("catches_all", "sleep"), ("catches_question", "question")],
)
async def test_a_node_that_catches_everything_does_not_swallow_its_sleep_nor_its_question(
    il: Interlock, tmp_path: Path, graph: str, what: str
) -> None:
    """Its run fails before anything behind it runs, says why, and what to write."""
    with pytest.raises(UsageError, match=f"caught what its {what} raises, and went on") as told:
        await il.ainvoke(graph, given(tmp_path), thread_id="t")

    assert "except GraphBubbleUp: raise" in told.value.hint
    assert (await il.arun("t")).status == "failed"
    assert "after" not in log(tmp_path)


@pytest.mark.parametrize("hours", [-12, 12])
async def test_a_time_that_no_clock_can_tell_is_refused(il: Interlock, hours: int) -> None:
    """With a zone it lies behind the last year, or before the first: it could be written and not be read again."""
    zone = timezone(timedelta(hours=hours))
    edge = datetime.max.replace(tzinfo=zone) if hours < 0 else datetime.min.replace(tzinfo=zone)
    with pytest.raises(UsageError, match="written down"):
        await sleep(until=edge)
    with pytest.raises(UsageError, match="written down"):
        await il.asubmit("nap", {}, options=Options(start_at=edge))
