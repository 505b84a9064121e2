"""What happens to a run, as whoever watches it is told: values, and how far one has read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from interlock.core.run_states import ENDED, RunStatus
from interlock.errors import UsageError

NOTHING = "1:1:"
"""The snapshot in which nothing was visible."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
_SNAPSHOT = re.compile(r"[0-9]{1,20}:[0-9]{1,20}:[0-9,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a run.

    Attributes:
        key: names it; the same for everybody who watches, and whenever.
        cursor: hand it to `awatch(since=...)` to go on behind this event, also in another process and much later.
        kind: `submitted`, `queued`, `claimed`, `released`, `lost`, `retried`, `woken`, or how the run ended; `step`,
            `model_call`, `act`, `refused`, `question`, or `limited` when a call waits for a rate limit.
        at: by the database's clock; of a step, by the clock of the process that made it.
        node: where in the graph; empty where it is not in one.
        worker: the name of the worker's session, where one had to do with it.
        detail: more of it, as JSON, by kind.
        values: of a step, where they were asked for: each changed key with its value before and after.
    """

    key: str
    kind: str
    run_id: str
    thread_id: str
    at: datetime
    cursor: str = ""
    node: str = ""
    worker: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON
    values: Mapping[str, tuple[Any, Any]] | None = field(default=None, repr=False)  # any state


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands, or the one that goes on with it.

    Attributes:
        process: that works on it, or did last.
        worker: the process of the worker that has it; empty where none has.
        queued: whether it is among the runs that workers take; else nobody takes it on unasked.
        ready: whether it is the next of its thread.
        due_at: when it begins, wakes, or is tried again; None where it has no time.
        stopping: the order to stop it that was given: `cancel`, `interrupt`, `rollback`, `deadline`; empty for none.
        calls: how many model calls are under way.
        calls_seconds: since when the first of them is.
        limited: how many calls wait for a rate limit.
        limited_by: the limit.
        at: when it stood so, by the database's clock.
        alive: whether a process holds its thread; None where nobody looked.
    """

    run_id: str
    thread_id: str
    graph: str
    status: RunStatus
    attempts: int
    process: str
    error: str
    error_kind: str
    model: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    at: datetime
    queued: bool = False
    ready: bool = False
    worker: str = ""
    due_at: datetime | None = None
    stopping: str = ""
    calls: int = 0
    calls_seconds: float = 0.0
    limited: int = 0
    limited_by: str = ""
    alive: bool | None = None

    @property
    def rests(self) -> bool:
        """Whether nothing more happens of its own accord, unless it sleeps."""
        return self.status == "waiting" or self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far somebody has read: everything of a snapshot, and of what a later one brought the part up to a place.

    Attributes:
        since: everything that was visible in this snapshot of the database was told.
        until: what was visible in this one was told up to `at` and `key`; the same as `since` for nothing.
    """

    since: str = NOTHING
    until: str = NOTHING
    at: datetime = LONG_AGO
    key: str = ""

    @property
    def is_between(self) -> bool:
        """Whether a part of what the later snapshot brought is still to be read."""
        return self.until != self.since

    def behind(self, event: Event, snapshot: str) -> Cursor:
        """Return the place behind an event among those that a snapshot brought."""
        return replace(self, until=snapshot, at=event.at, key=event.key)

    def __str__(self) -> str:
        if not self.is_between:
            return self.since
        return f"{self.since}|{self.until}|{self.at.isoformat()}|{self.key}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Return the cursor of a text; the beginning for an empty one. Raises `UsageError`."""
        if not text:
            return cls()
        since, *rest = text.split("|", 3)
        try:
            until, at, key = rest or (since, LONG_AGO.isoformat(), "")
            found = cls(since=since, until=until, at=datetime.fromisoformat(at), key=key)
        except ValueError:
            raise _unreadable(text) from None
        if not all(map(_SNAPSHOT.fullmatch, (since, until))):
            raise _unreadable(text)
        return found

    def check(self, snapshot: str) -> None:
        """Raise `UsageError` when it lies behind the present snapshot: then it is another database's."""
        if _next(self.until) > _next(snapshot):
            raise UsageError(
                "The cursor is of another database, or this one was restored since.",
                hint="Watch from the beginning: leave it out.",
            )


def _next(snapshot: str) -> int:
    return int(snapshot.split(":")[1])


def _unreadable(text: str) -> UsageError:
    return UsageError(f"{text[:80]!r} is no cursor.", hint="Hand back one that an event carried.")
