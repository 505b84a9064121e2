"""Timers as callers see them: what is to happen to a run, when, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

TimerKind = Literal["start", "wake", "deadline", "retry", "cron"]
"""`start`: a run that was accepted for later is handed to the workers; `wake`: a thread that sleeps goes on;
`deadline`: a run that has not ended is stopped; `retry`: a run that failed is handed to the workers again;
`cron`: a new run is submitted."""

CatchUp = Literal["skip", "once", "all"]
"""Of times that were missed: none is made up for; all of them with one run; each with a run of its own."""

Became = Literal["fired", "cancelled", "held", "failed"]
"""What became of a timer that was due: `cancelled`: nothing was left to do; `held`: it is not to happen yet, because a
kill switch stands over it or somebody is at it; `failed`: it is tried again after a pause."""

TimerState = Literal["set", "fired", "cancelled", "failed"]
"""`failed`: what it was to do went wrong again and again; it is set aside with its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """In how many seconds something is due next; not above 0: now; None: never."""

    timer: float | None
    cron: float | None
    question: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something that happens at a time.

    Attributes:
        run_id: what it is about; empty for a cron.
        cron: name of the cron; empty for all others.
        tries: how often it was tried in vain.
        error: what went wrong the last time.
        late: seconds between when it was due and when it fired, or until now; 0 before it is due.
        fired_by: the process.
    """

    id: int
    kind: TimerKind
    due_at: datetime
    state: TimerState
    run_id: str = ""
    thread_id: str = ""
    cron: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)  # JSON
    tries: int = 0
    error: str = ""
    late: float = 0.0
    fired_at: datetime | None = None
    fired_by: str = ""
