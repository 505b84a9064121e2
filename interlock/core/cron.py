"""When a cron is due: five fields in a time zone, and what happens at times that were missed. Time is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from interlock.core.queueing import MultitaskStrategy
from interlock.core.timing import CatchUp
from interlock.errors import UsageError

GRACE = timedelta(minutes=1)
"""How late a time may be and not count as missed."""

UNTIL = "until"
"""Under which a cron's context says when it ends."""

EXAMPLE = "`30 7 * * mon-fri` is half past seven on weekdays."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Runs that are submitted again and again.

    Attributes:
        schedule: minute, hour, day of month, month, day of week; six fields begin with a second.
        zone: the IANA time zone in which the schedule is read.
        thread_id: of all of its runs; empty: each begins a thread of its own.
        context: of its runs: the model, or a context of the graph's own, as JSON.
        multitask_strategy: what happens when the thread is busy; only for a cron with a thread.
        within: seconds after which a run that has not ended is stopped; None for never.
        enabled: whether it fires; False while it is paused.
        next_at: when it fires next; None while it is paused, and when its schedule has no further time.
        revision: how often it was changed.
        changed_at: when it was made or changed.
    """

    name: str
    graph: str
    input: Mapping[str, Any]
    schedule: str
    zone: str = "UTC"
    catch_up: CatchUp = "once"
    thread_id: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    multitask_strategy: MultitaskStrategy = "reject"
    priority: int = 0
    within: float | None = None
    enabled: bool = True
    next_at: datetime | None = None
    revision: int = 1
    created_by: str = ""
    created_at: datetime | None = None
    changed_at: datetime | None = None

    @property
    def until(self) -> datetime | None:
        """After which it fires no more; None for never."""
        said = self.context.get(UNTIL)  # there, because older workers know no other place
        return datetime.fromisoformat(said) if said else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What a cron did at one of its times.

    Attributes:
        outcome: `missed`: it was made up for by no run of its own; `refused`: its run was not accepted.
        run_id: the run; empty unless it was submitted.
        detail: why there is none.
    """

    cron: str
    due_at: datetime
    outcome: Literal["submitted", "missed", "refused"]
    happened_at: datetime
    run_id: str = ""
    thread_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a cron does when it is due: whether it submits a run, and when it is due next."""

    fires: bool
    next_at: datetime | None


def check(schedule: str, zone: str) -> None:
    """Raise `UsageError` when a schedule or a time zone means nothing."""
    try:
        CronSim(schedule, datetime.now(UTC))
    except CronSimError as error:
        raise UsageError(f"The schedule {schedule!r} is wrong: {error}.", hint=EXAMPLE) from error
    _zone(zone)


def upcoming(schedule: str, zone: str, after: datetime, count: int = 5) -> list[datetime]:
    """Return the next times after one, in the cron's zone."""
    times = CronSim(schedule, after.astimezone(_zone(zone)))
    # A time in the hour that comes twice is that of its first coming, which may be over.
    return list(islice((each for each in times if each.astimezone(UTC) > after), count))


def next_after(schedule: str, zone: str, after: datetime) -> datetime | None:
    """Return the next time after one, in UTC; None when there is none in fifty years."""
    found = upcoming(schedule, zone, after, 1)
    return found[0].astimezone(UTC) if found else None


def following(cron: Cron, after: datetime) -> datetime | None:
    """Return a cron's next time after one, in UTC; None when there is none before it ends."""
    found = next_after(cron.schedule, cron.zone, after)
    return None if found and cron.until and found > cron.until else found


def step(cron: Cron, due: datetime, now: datetime) -> Step:
    """Say what a cron does that was due at a time."""
    missed = now - due > GRACE
    if not missed or cron.catch_up == "all":
        return Step(fires=True, next_at=following(cron, due))
    if cron.catch_up == "once":
        return Step(fires=True, next_at=following(cron, now))
    return Step(fires=False, next_at=following(cron, now - GRACE))


def explained(schedule: str) -> str:
    """Return a schedule in words."""
    return CronSim(schedule, datetime.now(UTC)).explain()


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"There is no time zone {name!r}.", hint="Name one as Europe/Berlin, or UTC."
        ) from error
