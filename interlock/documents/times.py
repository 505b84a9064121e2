"""Crons and timers as documents. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from interlock.core.cron import Cron, Firing, upcoming
from interlock.core.timing import Timer
from interlock.documents.runs import plain

NEXT = 5
"""How many of its next times a cron is told with."""


def cron_document(cron: Cron, now: datetime, firings: Sequence[Firing] = ()) -> dict[str, Any]:
    """Return a cron as a JSON object, with its next times in its own zone."""
    found: dict[str, Any] = plain(asdict(cron))  # JSON
    times = [each.isoformat() for each in next_times(cron, now)]
    return found | {"next": times, "firings": [plain(asdict(each)) for each in firings]}


def next_times(cron: Cron, now: datetime) -> list[datetime]:
    """Return when a cron fires next, in its own zone; nothing while it is paused."""
    return upcoming(cron.schedule, cron.zone, now, NEXT) if cron.enabled else []


def timer_document(timer: Timer) -> dict[str, Any]:  # a JSON object
    """Return a timer."""
    found: dict[str, Any] = plain(asdict(timer))  # JSON
    return found
