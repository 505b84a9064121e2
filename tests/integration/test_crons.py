"""Crons: a run at each of their times, once, whoever keeps time and whatever the clocks do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.queueing import Options
from interlock.core.timing import CatchUp
from interlock.errors import NotFound, UsageError
from interlock.settings import Settings
from tests.shifting import stop_at
from tests.working import rows, until, worker_at

CONFIG = Path(__file__).parents[1] / "sample" / "asleep" / "langgraph.json"
PAYMENTS = Path(__file__).parents[1] / "sample" / "langgraph.json"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOON = utc("2026-06-01 12:00")


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    await stop_at(database_url, NOON)
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    return {"folder": str(tmp_path), "seconds": 0.0, "later": 0.0, "said": []}


async def submitted(url: str) -> list[tuple[Any, ...]]:
    """The times at which crons submitted something, and whether each has a run."""
    return await rows(
        url,
        "select f.cron, to_char(f.due_at at time zone 'UTC', 'MM-DD HH24:MI'), f.outcome, r.status"
        " from interlock.cron_firings f left join interlock.runs r using (run_id) order by f.due_at",
    )


async def fire_until(il: Interlock, last: datetime, every: timedelta) -> None:
    """Let time pass, with two that keep it at once."""
    now = await il.cron_store.now()
    while now < last:
        now += every
        await stop_at(il.url, now)
        await asyncio.gather(il.afire_timers(), il.afire_timers())


async def test_a_cron_submits_a_run_at_its_times(
    il: Interlock, database_url: str, given: dict[str, Any]
) -> None:
    """Not when it is made, and once at each time; the runs are queued, each on a thread of its own."""
    cron = await il.acron_set("daily", "nap", given, "30 12 * * *")
    await il.afire_timers()
    assert cron.next_at == utc("2026-06-01 12:30")
    assert await submitted(database_url) == []
    await fire_until(il, utc("2026-06-02 13:00"), timedelta(minutes=30))

    assert await submitted(database_url) == [
        ("daily", "06-01 12:30", "submitted", "queued"),
        ("daily", "06-02 12:30", "submitted", "queued"),
    ]
    assert await rows(database_url, "select count(distinct thread_id) from interlock.queue") == [
        (2,)
    ]


@pytest.mark.parametrize(
    ("zone", "eve", "schedule", "expected"),
    [
        ("Europe/Berlin", "2026-03-28 20:00", "30 2 * * *", ["03-29 01:00", "03-30 00:30"]),
        ("Europe/Berlin", "2026-10-24 20:00", "30 2 * * *", ["10-25 00:30", "10-26 01:30"]),
        ("America/New_York", "2026-03-08 02:00", "30 2 * * *", ["03-08 07:00", "03-09 06:30"]),
        ("America/New_York", "2026-11-01 02:00", "30 1 * * *", ["11-01 05:30", "11-02 06:30"]),
    ],
)
async def test_two_workers_fire_it_once_a_day_over_a_change_of_the_clocks(
    il: Interlock,
    database_url: str,
    given: dict[str, Any],
    zone: str,
    eve: str,
    schedule: str,
    expected: list[str],
) -> None:
    """In the gap a time moves behind it; where an hour comes twice, it is the first."""
    await stop_at(database_url, utc(eve))
    await il.acron_set("nightly", "nap", given, schedule, zone=zone)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(worker_at(database_url, config=CONFIG))
        now = utc(eve)
        for number in range(1, 35):
            await stop_at(database_url, now + timedelta(hours=number))
            await asyncio.sleep(0)
            await until(lambda: _nothing_due(il))

        await until(lambda: _all_succeeded(database_url, 2))
    assert [(row[1], row[3]) for row in await submitted(database_url)] == [
        (each, "succeeded") for each in expected
    ]


async def _nothing_due(il: Interlock) -> bool:
    due = await il.anext_due()
    return due.cron is None or due.cron > 0


async def _all_succeeded(url: str, count: int) -> bool:
    found = await rows(url, "select count(*) from interlock.runs where status = 'succeeded'")
    return found == [(count,)]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", [("13:00", "missed"), ("17:00", "submitted")]),
        ("once", [("13:00", "submitted"), ("17:00", "submitted")]),
        ("all", [(f"{hour}:00", "submitted") for hour in (13, 14, 15, 16, 17)]),
    ],
)
async def test_what_was_missed_is_made_up_for(
    il: Interlock,
    database_url: str,
    given: dict[str, Any],
    catch_up: CatchUp,
    expected: list[tuple[str, str]],
) -> None:
    """Nobody kept time from one to half past four."""
    await il.acron_set("hourly", "nap", given, "0 * * * *", catch_up=catch_up)
    await stop_at(database_url, utc("2026-06-01 16:30"))
    await il.afire_timers()
    await stop_at(database_url, utc("2026-06-01 17:00"))
    await il.afire_timers()

    assert [(row[1][-5:], row[2]) for row in await submitted(database_url)] == expected


async def test_a_paused_cron_makes_up_for_nothing(
    il: Interlock, database_url: str, given: dict[str, Any]
) -> None:
    """It goes on with the first time after it was resumed."""
    await il.acron_set("hourly", "nap", given, "0 * * * *", catch_up="all")
    paused = await il.acron_pause("hourly")
    assert (paused.enabled, paused.next_at) == (False, None)
    await fire_until(il, utc("2026-06-01 15:30"), timedelta(hours=1))
    resumed = await il.acron_resume("hourly")
    assert resumed.next_at == utc("2026-06-01 17:00")
    await fire_until(il, utc("2026-06-01 17:30"), timedelta(minutes=30))

    assert [row[1] for row in await submitted(database_url)] == ["06-01 17:00"]


async def test_a_changed_cron_fires_by_its_new_schedule_alone(
    il: Interlock, database_url: str, given: dict[str, Any]
) -> None:
    """What was set for the old one does not happen."""
    await il.acron_set("c", "nap", given, "0 13 * * *")
    changed = await il.acron_set("c", "nap", given, "0 14 * * *")
    assert (changed.revision, len(await il.acrons())) == (2, 1)
    await fire_until(il, utc("2026-06-01 15:00"), timedelta(minutes=30))

    assert [row[1] for row in await submitted(database_url)] == ["06-01 14:00"]


async def test_a_removed_cron_is_gone_and_its_runs_stay(
    il: Interlock, database_url: str, given: dict[str, Any]
) -> None:
    """Nothing fires any more; a second removal finds nothing."""
    await il.acron_set("c", "nap", given, "0 * * * *")
    await fire_until(il, utc("2026-06-01 13:00"), timedelta(hours=1))
    await il.acron_remove("c")
    await fire_until(il, utc("2026-06-01 15:00"), timedelta(hours=1))

    assert await rows(database_url, "select count(*) from interlock.runs") == [(1,)]
    with pytest.raises(NotFound, match="There is no cron 'c'"):
        await il.acron_remove("c")


async def test_a_run_that_is_not_accepted_is_noted_and_the_next_time_comes(
    il: Interlock, given: dict[str, Any]
) -> None:
    """On a thread that is busy a run is refused, and a kill switch refuses all."""
    await il.acron_set("c", "nap", given, "0 * * * *", thread_id="t")
    await fire_until(il, utc("2026-06-01 14:00"), timedelta(hours=1))
    await il.akill("graph", "nap", reason="look first", by="ann")
    await fire_until(il, utc("2026-06-01 15:00"), timedelta(hours=1))

    cron, firings = await il.acron("c")
    assert cron.next_at == utc("2026-06-01 16:00")
    assert [each.outcome for each in firings] == ["refused", "refused", "submitted"]
    assert "already has a run" in firings[1].detail
    assert firings[2].thread_id == "t"


async def test_runs_of_a_cron_on_one_thread_can_wait_for_each_other(
    il: Interlock, database_url: str, given: dict[str, Any]
) -> None:
    """The strategy, the priority and the limit of time are those of the cron."""
    options = Options(multitask_strategy="enqueue", priority=3)
    await il.acron_set("c", "nap", given, "0 * * * *", thread_id="t", options=options, within=60)
    await fire_until(il, utc("2026-06-01 14:00"), timedelta(hours=1))

    found = await rows(
        database_url,
        "select o.multitask_strategy, o.priority, o.idempotency_key, t.due_at from interlock.run_options o"
        " join interlock.timers t using (run_id) where t.kind = 'deadline' order by t.due_at",
    )
    assert found == [
        ("enqueue", 3, f"cron:c:2026-06-01T{hour}:00:00+00:00", utc(f"2026-06-01 {hour}:01"))
        for hour in (13, 14)
    ]


async def test_a_cron_whose_graph_is_elsewhere_is_left_to_others(
    il: Interlock, database_url: str, given: dict[str, Any]
) -> None:
    """A worker of another application neither fires it nor waits for it."""
    await il.acron_set("c", "nap", given, "0 * * * *")
    await stop_at(database_url, utc("2026-06-01 13:00"))
    async with interlock.aopen(database_url, config=PAYMENTS) as other:
        assert (await other.afire_timers()).fired == 0
        assert (await other.anext_due()).cron is None

    assert (await il.afire_timers()).fired == 1


async def test_a_cron_keeps_its_tenant_and_its_input_is_encrypted(
    database_url: str, given: dict[str, Any]
) -> None:
    """Who fires it does not matter; with a key the input is not readable in its row."""
    await stop_at(database_url, NOON)
    ours = Settings(tenant="acme", encryption_key=(b"k" * 32,))
    async with interlock.aopen(database_url, config=CONFIG, settings=ours) as il:
        await il.acron_set("c", "nap", given, "0 * * * *")
        assert (await il.acron("c"))[0].input["folder"] == given["folder"]
    await stop_at(database_url, utc("2026-06-01 13:00"))
    theirs = Settings(encryption_key=(b"k" * 32,))
    async with interlock.aopen(database_url, config=CONFIG, settings=theirs) as il:
        await il.afire_timers()

    assert await rows(database_url, "select tenant from interlock.queue") == [("acme",)]
    [[stored]] = await rows(database_url, "select input from interlock.crons")
    assert given["folder"].encode() not in stored


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schedule": "61 * * * *"}, "Bad minute"),
        ({"zone": "Mars/Olympus"}, "There is no time zone 'Mars/Olympus'"),
        ({"graph": "no such"}, "There is no graph"),
        ({"name": " "}, "cannot be named"),
        ({"options": Options(idempotency_key="k")}, "keys and times of their own"),
        ({"within": 0.0}, "within 0.0 seconds"),
        ({"within": math.inf}, "within inf seconds"),
    ],
)
async def test_what_could_not_run_is_refused_when_it_is_set(
    il: Interlock, given: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    """Nobody finds out at three in the morning."""
    values: dict[str, Any] = {"name": "c", "graph": "nap", "input": given, "schedule": "0 * * * *"}
    with pytest.raises((UsageError, NotFound), match=told):
        await il.acron_set(**(values | change))

    assert await il.acrons() == []


async def test_an_input_that_does_not_fit_is_refused(database_url: str) -> None:
    """It is checked against the graph's schema, as that of a run."""
    async with interlock.aopen(database_url, config=PAYMENTS) as il:
        with pytest.raises(UsageError, match="amount"):
            await il.acron_set("c", "payment", {"payee": "ann", "amount": "much"}, "0 * * * *")
