"""Sleeping: a node waits for a time, and under the runtime no process and no memory waits with it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from interlock.core.actions import digest
from interlock.core.context import around_here
from interlock.core.pausing import pause
from interlock.core.site import here, nth
from interlock.core.sleeps import Nap, left
from interlock.errors import UsageError

KEY = "interlock_sleep"
"""Under which an interrupt says that it waits for a time, and not for a person."""

LONGEST = timedelta(days=366 * 100).total_seconds()

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""With a zone a time may lie before the first year, or after the last, that can be read."""


async def sleep(seconds: float | timedelta | None = None, *, until: datetime | None = None) -> None:
    """Wait in a node, for hours or for weeks.

    Under the runtime the run ends here as `waiting`, and goes on at its time in whatever process. The node then runs
    again from its first line, and this call returns: acts and recorded model calls before it are answered from their
    records. The time is fixed when the node first comes here; neither a crash nor a retry moves it. In plain LangGraph
    the process waits.

    Args:
        seconds: how long; or
        until: a time with a zone.

    Raises:
        UsageError: neither or both were given, or a time without a zone; it is called outside of a node; or the node
            caught what stopped it here, and went on.
    """
    wait = _seconds(seconds, until)
    if (around := around_here()) is None:
        return await asyncio.sleep(left(wait, until))
    site = here()
    name = digest((site.thread_id, site.task, "sleep", nth("sleep")))[:16]
    nap = Nap(id=name, site=site, seconds=wait, until=until)
    if (due := await around.ports.sleeps.due(nap)) is not None:
        pause({KEY: {"id": name, "until": due.isoformat()}}, "its sleep")
    return None


def wakes_at(value: object) -> datetime | None:
    """Return until when an interrupt with this value sleeps; None when it is no sleep."""
    asked = value.get(KEY) if isinstance(value, Mapping) else None
    if not isinstance(asked, Mapping):
        return None
    return datetime.fromisoformat(str(asked["until"]))


def _seconds(given: float | timedelta | None, until: datetime | None) -> float | None:
    if (given is None) == (until is None):
        raise UsageError("A sleep takes either seconds or `until`.")
    if until is not None and until.utcoffset() is None:
        raise UsageError(
            f"Until {until.isoformat()} is no time without a zone.",
            hint="Give one: datetime(..., tzinfo=ZoneInfo('Europe/Berlin')).",
        )
    if until is not None and not EARLIEST <= until <= LATEST:
        raise UsageError(f"A sleep until {until.isoformat()} has no end that can be written down.")
    if given is None:
        return None
    seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
    if not math.isfinite(seconds) or seconds > LONGEST:
        raise UsageError(f"A sleep of {given} seconds has no end.")
    return max(seconds, 0.0)
