"""The port of sleeps: until when a node sleeps is written down when it first asks, and stays as it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from interlock.core.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Nap:
    """A sleep that a node asks for.

    Attributes:
        id: the same in each attempt at the task.
        seconds: how long; None when `until` is given.
        until: a time with a zone.
    """

    id: str
    site: Site
    seconds: float | None = None
    until: datetime | None = None


@runtime_checkable
class Sleeps(Protocol):
    """The port; in Postgres in `interlock.postgres.sleeps`."""

    async def due(self, nap: Nap) -> datetime | None:
        """Return until when it sleeps, as it was when it was first asked for; None once that is over."""
        ...


class AwakeSleeps:
    """The sleeps of plain `graph.invoke`: the process waits."""

    async def due(self, nap: Nap) -> datetime | None:
        """Wait, here and now."""
        await asyncio.sleep(left(nap.seconds, nap.until))
        return None


def left(seconds: float | None, until: datetime | None) -> float:
    """Return how many seconds there are to wait by the clock of this machine."""
    if until is not None:
        return max((until - datetime.now(UTC)).total_seconds(), 0.0)
    return max(seconds or 0.0, 0.0)
