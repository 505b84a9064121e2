"""Timers: each fires once, whoever comes first, and one that goes wrong stops no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Interlock
from interlock.core.queueing import Options
from interlock.errors import NotFound
from interlock.postgres.pool import connected
from interlock.postgres.timers import TRIES, cancel_timers, set_timer
from tests.shifting import shift
from tests.working import rows, until, worker_at

CONFIG = Path(__file__).parents[1] / "sample" / "asleep" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


def given(folder: Path) -> dict[str, Any]:
    return {"folder": str(folder), "seconds": 0.0, "later": 0.0, "said": []}


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def accepted(il: Interlock, folder: Path, thread: str) -> str:
    """Accept a run that nobody works on, and return its id."""
    run = await il.asubmit("nap", given(folder), thread_id=thread, options=later(3600))
    await rows(il.url, "delete from interlock.timers where run_id = %s", run.run_id)
    return run.run_id


def later(seconds: float) -> Options:
    return Options(start_at=in_seconds(seconds))


async def queued(url: str) -> list[str]:
    return [row[0] for row in await rows(url, "select thread_id from interlock.queue order by 1")]


async def test_a_run_that_starts_later_is_queued_then(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Before its time it is in no queue; at its time it is, once."""
    await il.asubmit("nap", given(tmp_path), thread_id="t", options=later(3600))
    assert (await il.afire_timers()).fired == 0
    assert await queued(database_url) == []
    await shift(database_url, 3601)

    fired = await asyncio.gather(*(il.afire_timers() for _ in range(4)))
    assert sum(each.fired for each in fired) == 1
    assert await queued(database_url) == ["t"]


async def test_a_worker_starts_it_at_its_time(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The worker is told of the timer, and does not wait for its next look."""
    async with worker_at(database_url, config=CONFIG):
        start = in_seconds(0.3)
        options = Options(start_at=start)
        run = await il.asubmit("nap", given(tmp_path), thread_id="t", options=options)
        assert (await il.await_run(run.run_id, timeout=20)).status == "succeeded"
    [[fired]] = await rows(database_url, "select fired_at from interlock.timers")
    assert 0 <= (fired - start).total_seconds() < 2


async def test_a_deadline_stops_what_has_not_ended(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A thread that sleeps past its deadline is cancelled, and does not wake."""
    options = Options(deadline=in_seconds(600))
    async with worker_at(database_url, config=CONFIG):
        values = given(tmp_path) | {"seconds": 3600.0}
        run = await il.asubmit("nap", values, thread_id="t", options=options)
        assert (await il.await_run(run.run_id, timeout=20)).status == "waiting"
        await shift(database_url, 601)
        await until(lambda: _stands(il, "t", "cancelled"))
    ended = await il.arun("t")
    assert "deadline" in ended.error
    assert ended.wakes_at is None


async def test_a_deadline_of_a_run_that_has_ended_does_nothing(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The run stays as it ended."""
    options = Options(deadline=in_seconds(600))
    async with worker_at(database_url, config=CONFIG):
        run = await il.asubmit("nap", given(tmp_path), thread_id="t", options=options)
        await il.await_run(run.run_id, timeout=20)
    await shift(database_url, 601)

    fired = await il.afire_timers()
    assert (fired.fired, fired.failed) == (0, 0)
    assert (await il.arun("t")).status == "succeeded"


async def test_a_retry_queues_the_run_again(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The same run is handed to the workers, unless somebody has begun it since."""
    for thread in ("a", "b"):
        run_id = await accepted(il, tmp_path, thread)
        async with connected(il.pool) as connection, connection.transaction():
            await set_timer(connection, kind="retry", after_seconds=5, run_id=run_id)
    await rows(database_url, "update interlock.runs set attempts = 1 where thread_id = 'b'")
    await shift(database_url, 6)

    fired = await il.afire_timers()
    assert (fired.fired, fired.cancelled) == (1, 1)
    assert await queued(database_url) == ["a"]


async def test_a_name_is_used_once(il: Interlock, tmp_path: Path) -> None:
    """A second timer of one name is not set, also when the first is over."""
    run_id = await accepted(il, tmp_path, "t")
    async with connected(il.pool) as connection:
        set_them = [
            await set_timer(connection, kind="retry", after_seconds=0, run_id=run_id, dedupe="x")
            for _ in range(2)
        ]
        await il.afire_timers()
        again = await set_timer(connection, kind="retry", run_id=run_id, dedupe="x")

    assert [each is not None for each in (*set_them, again)] == [True, False, False]


async def test_cancelled_timers_do_not_fire(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Only those of the kinds that are named are cancelled."""
    run_id = await accepted(il, tmp_path, "t")
    async with connected(il.pool) as connection:
        await set_timer(connection, kind="retry", after_seconds=1, run_id=run_id)
        await set_timer(connection, kind="deadline", after_seconds=1000, run_id=run_id)
        assert await cancel_timers(connection, run_id=run_id, kinds=["retry"]) == 1
    await shift(database_url, 2)

    assert (await il.afire_timers()).fired == 0
    assert [each.kind for each in await il.atimers("t")] == ["deadline"]


async def test_one_bad_timer_stops_no_other_and_is_set_aside(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It is tried again after pauses that double, then shown with its error until a person lets it be tried again."""
    for thread in ("bad", "good"):
        await il.asubmit("nap", given(tmp_path), thread_id=thread, options=later(10))
    await refuse(database_url, "bad")
    await shift(database_url, 11)
    first = await il.afire_timers()
    assert (first.fired, first.failed) == (1, 1)
    assert await queued(database_url) == ["good"]
    assert (await il.afire_timers()).failed == 0
    for tried in range(1, TRIES):
        await shift(database_url, 11 + 2 ** (tried + 1))
        assert (await il.afire_timers()).failed == 1

    [aside] = await il.atimers(states=["failed"])
    assert (aside.thread_id, aside.tries) == ("bad", TRIES)
    assert "this thread is not to be queued" in aside.error
    assert (await il.ahealth()).failed_timers == 1
    await rows(database_url, "drop trigger refuse on interlock.queue")
    assert await il.aretry_timer(aside.id) == 1
    assert (await il.afire_timers()).fired == 1
    with pytest.raises(NotFound, match=f"no timer {aside.id} that was set aside"):
        await il.aretry_timer(aside.id)


async def test_a_thread_that_is_held_holds_up_no_other(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its timers are left for later, however many they are; those behind them fire."""
    for thread in ("held", "free"):
        run_id = await accepted(il, tmp_path, thread)
        async with connected(il.pool) as connection:
            for _ in range(60 if thread == "held" else 1):
                await set_timer(connection, kind="retry", after_seconds=0, run_id=run_id)
    hold = "select from interlock.threads where thread_id = 'held' for no key update"
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute(hold)
        async with worker_at(database_url, config=CONFIG):
            await until(lambda: _stands(il, "free", "succeeded"))
            assert (await il.arun("held")).status == "queued"
            await holder.rollback()
            await until(lambda: _stands(il, "held", "succeeded"))


async def test_what_was_over_long_ago_is_forgotten(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Timers that fired are kept for a week."""
    await il.asubmit("nap", given(tmp_path), thread_id="t", options=later(1))
    await shift(database_url, 2)
    await il.afire_timers()
    await shift(database_url, 6 * 86400)
    assert await il.timer_store.forget() == 0
    await shift(database_url, 8 * 86400)

    assert await il.timer_store.forget() == 1


async def _stands(il: Interlock, thread: str, status: str) -> bool:
    return (await il.arun(thread)).status == status


async def refuse(url: str, thread: str) -> None:
    """Let whatever queues a thread fail."""
    await rows(
        url,
        "create function refuse() returns trigger language plpgsql as $$ begin"
        " raise exception 'this thread is not to be queued'; end $$",
    )
    await rows(
        url,
        "create trigger refuse before insert on interlock.queue for each row"
        f" when (new.thread_id = '{thread}') execute function refuse()",
    )
