"""Keeping time beside a worker's runs: told at once, swept when due, and ended by no fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.queueing import Options
from interlock.worker.log import Log
from interlock.worker.timing import POLL_SECONDS, Keeper, keep_time
from tests.questions import ask
from tests.working import rows, until

CONFIG = Path(__file__).parents[1] / "sample" / "asleep" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
async def told(il: Interlock) -> AsyncIterator[list[str]]:
    """What one that keeps time tells meanwhile."""
    lines: list[str] = []
    task = asyncio.create_task(keep_time(il, log=Log(write=lines.append, verbose=True), by="me"))
    yield lines
    task.cancel()
    await asyncio.wait([task])


async def start_in(il: Interlock, folder: Path, thread: str, seconds: float) -> None:
    given: dict[str, Any] = {"folder": str(folder), "seconds": 0.0, "said": []}
    start = datetime.now(UTC) + timedelta(seconds=seconds)
    await il.asubmit("nap", given, thread_id=thread, options=Options(start_at=start))


async def queued(url: str) -> int:
    [[count]] = await rows(url, "select count(*) from interlock.queue")
    return int(count)


async def test_with_nothing_to_do_it_sleeps(il: Interlock) -> None:
    """It looks again only because the news may be lost."""
    keeper = Keeper(il)
    await keeper.turn()

    assert await keeper.turn() == POLL_SECONDS


async def test_a_cron_with_much_to_make_up_for_holds_up_nothing_else(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """What is due besides has its turn after a few of its times; then it goes on at once."""
    given: dict[str, Any] = {"folder": str(tmp_path), "seconds": 0.0, "said": []}
    await il.acron_set("c", "nap", given, "* * * * * *", catch_up="all")
    await rows(
        database_url,
        "update interlock.timers set due_at = due_at - interval '1 h',"
        " payload = jsonb_set(payload, '{due}', to_jsonb((due_at - interval '1 h')::text))",
    )
    keeper = Keeper(il)

    assert await keeper.turn() < 0.1
    [[fired]] = await rows(database_url, "select count(*) from interlock.cron_firings")
    assert 0 < fired < 10


async def test_it_sleeps_until_the_earliest(il: Interlock, tmp_path: Path) -> None:
    """A timer that is due before the next look is not late."""
    await start_in(il, tmp_path, "t", 2.0)

    assert 1.0 < await Keeper(il).turn() <= 2.0


async def test_an_earlier_timer_wakes_it(
    il: Interlock, database_url: str, tmp_path: Path, told: list[str]
) -> None:
    """It is told when one is set that is due before all that it knows."""
    await start_in(il, tmp_path, "late", 3600)
    await start_in(il, tmp_path, "soon", 0.1)
    await until(lambda: queued(database_url), seconds=POLL_SECONDS - 1)

    found = await rows(
        database_url, "select thread_id, fired_by from interlock.timers where state = 'fired'"
    )
    assert found == [("soon", "me")]
    assert any("timers.fired fired=1" in line for line in told)


async def test_a_fault_does_not_end_it(
    il: Interlock, database_url: str, tmp_path: Path, told: list[str]
) -> None:
    """It tells of it, and goes on; so it does when its connections are cut."""
    await rows(database_url, "alter table interlock.timers rename to gone")
    await rows(database_url, "notify interlock_timers")
    await until(lambda: any("time.failed" in line for line in told))
    await rows(database_url, "alter table interlock.gone rename to timers")
    await rows(
        database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()",
    )
    await start_in(il, tmp_path, "t", 0.0)

    await until(lambda: queued(database_url))


async def test_a_question_whose_deadline_has_passed_is_answered(
    il: Interlock, database_url: str, told: list[str]
) -> None:
    """Nobody runs `interlock approvals sweep`."""
    [question] = await ask(il.store, {"within": 0.3})

    async def answered() -> bool:
        return (await il.aquestion(question.id))[0].status == "answered"

    await until(answered)
