"""When a cron is due, also where the clocks are changed, and what it does about times that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from interlock.core.cron import Cron, check, next_after, step, upcoming
from interlock.core.timing import CatchUp
from interlock.errors import UsageError

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(schedule: str, zone: str, after: str, count: int) -> list[str]:
    return [f"{each:%m-%d %H:%M %z}" for each in upcoming(schedule, zone, utc(after), count)]


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (BERLIN, "2026-03-28 12:00", ["03-29 03:00 +0200", "03-30 02:30 +0200"]),
        (NEW_YORK, "2026-03-07 12:00", ["03-08 03:00 -0400", "03-09 02:30 -0400"]),
        (BERLIN, "2026-10-24 12:00", ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        (NEW_YORK, "2026-10-31 12:00", ["11-01 02:30 -0500", "11-02 02:30 -0500"]),
        ("UTC", "2026-03-28 12:00", ["03-29 02:30 +0000", "03-30 02:30 +0000"]),
    ],
)
def test_a_time_of_day_comes_once_a_day(zone: str, after: str, expected: list[str]) -> None:
    """Where the clocks skip it, it is the first minute after the gap; where it comes twice, the first."""
    assert local("30 2 * * *", zone, after, 2) == expected


def test_the_hour_that_comes_twice_counts_once_in_new_york() -> None:
    """Half past one comes at daylight time, and not again an hour later."""
    assert local("30 1 * * *", NEW_YORK, "2026-10-31 12:00", 2) == [
        "11-01 01:30 -0400",
        "11-02 01:30 -0500",
    ]


@pytest.mark.parametrize("after", ["2026-10-25 00:40", "2026-10-25 01:10", "2026-10-25 01:40"])
def test_a_time_whose_first_coming_is_over_is_not_due_again(after: str) -> None:
    """Between the two comings, and after both, it is due the next day."""
    assert local("30 2 * * *", BERLIN, after, 1) == ["10-26 02:30 +0100"]


def test_every_hour_is_every_hour_that_passes() -> None:
    """An hour that is skipped does not come, and one that comes twice comes twice."""
    assert local("0 * * * *", BERLIN, "2026-03-28 23:30", 3) == [
        "03-29 01:00 +0100",
        "03-29 03:00 +0200",
        "03-29 04:00 +0200",
    ]
    assert local("0 * * * *", NEW_YORK, "2026-11-01 04:30", 3) == [
        "11-01 01:00 -0400",
        "11-01 01:00 -0500",
        "11-01 02:00 -0500",
    ]


def test_a_change_by_half_an_hour_is_a_change_too() -> None:
    """On Lord Howe Island the clocks go back from two to half past one."""
    assert local("45 1 * * *", LORD_HOWE, "2026-04-04 12:00", 2) == [
        "04-05 01:45 +1100",
        "04-06 01:45 +1030",
    ]


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "days"),
    [
        ("30 2 * * *", BERLIN, "2026-03-20 00:00", 20),
        ("30 2 * * *", BERLIN, "2026-10-20 00:00", 20),
        ("0 2,3 * * *", NEW_YORK, "2026-03-01 05:00", 20),
        ("0 1,2 * * *", NEW_YORK, "2026-10-25 05:00", 20),
    ],
)
def test_asking_one_by_one_is_asking_for_all(
    schedule: str, zone: str, after: str, days: int
) -> None:
    """A cron that goes on from each of its times comes to no other than one that looks ahead."""
    ahead = [each.astimezone(UTC) for each in upcoming(schedule, zone, utc(after), days)]
    one_by_one, now = [], utc(after)
    for _ in range(days):
        found = next_after(schedule, zone, now)
        assert found is not None
        assert found > now
        one_by_one.append(now := found)
    assert one_by_one == ahead


@pytest.mark.parametrize(
    ("schedule", "zone", "told"),
    [
        ("61 * * * *", "UTC", "The schedule '61 . . . .' is wrong: Bad minute"),
        ("* *", "UTC", "Wrong number of fields"),
        ("0 0 31 2 *", "UTC", "Bad day-of-month"),
        ("0 0 * * *", "Europe/Atlantis", "There is no time zone 'Europe/Atlantis'"),
        ("0 0 * * *", "../etc/passwd", "There is no time zone"),
        ("0 0 * * *", "", "There is no time zone"),
    ],
)
def test_what_means_nothing_is_refused(schedule: str, zone: str, told: str) -> None:
    """The refusal says what is wrong."""
    with pytest.raises(UsageError, match=told):
        check(schedule, zone)


NINE = utc("2026-06-01 09:00")


@pytest.mark.parametrize(
    ("catch_up", "late", "fires", "next_at"),
    [
        ("skip", timedelta(seconds=59), True, "10:00"),
        ("skip", timedelta(hours=3, minutes=30), False, "13:00"),
        ("skip", timedelta(hours=3, seconds=30), False, "12:00"),
        ("once", timedelta(seconds=59), True, "10:00"),
        ("once", timedelta(hours=3, minutes=30), True, "13:00"),
        ("all", timedelta(hours=3, minutes=30), True, "10:00"),
    ],
)
def test_what_was_missed_is_made_up_for_as_the_cron_says(
    catch_up: CatchUp, late: timedelta, fires: bool, next_at: str
) -> None:
    """A minute late is not missed; behind that, `skip` waits for the next, `once` runs once, `all` each time."""
    cron = Cron(name="c", graph="g", input={}, schedule="0 * * * *", catch_up=catch_up)
    found = step(cron, NINE, NINE + late)

    assert (found.fires, found.next_at) == (fires, utc(f"2026-06-01 {next_at}"))
