"""What a thread waits for when its run has stopped: people's answers, or a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from langgraph.types import Interrupt, StateSnapshot

from interlock.core import gate, sleeping
from interlock.core.actions import digest as digest_of
from interlock.core.questions import OpenQuestion
from interlock.core.runs import Run
from interlock.postgres.plain import plain


def questions_of(snapshot: StateSnapshot, run: Run) -> list[OpenQuestion]:
    """Return the questions that a thread waits for, each with an id that also names its arguments."""
    return [
        _question(interrupt, task.name, snapshot, run)
        for task in snapshot.tasks
        for interrupt in task.interrupts
        if sleeping.wakes_at(interrupt.value) is None
    ]


def wakes_of(snapshot: StateSnapshot) -> datetime | None:
    """Return when the first of a thread's sleeping tasks wakes; None when none sleeps."""
    times = [sleeping.wakes_at(each.value) for task in snapshot.tasks for each in task.interrupts]
    return min((each for each in times if each is not None), default=None)


def _question(interrupt: Interrupt, node: str, snapshot: StateSnapshot, run: Run) -> OpenQuestion:
    value = plain(interrupt.value)
    payload = value if isinstance(value, dict) else {"value": value}
    asked = payload.get("question")
    ours: Mapping[str, Any] = asked if gate.is_ours(asked) else {}
    digest = str(ours.get("digest", ""))
    named = (run.thread_id, interrupt.id, digest_of(payload))
    name = ours.get("id") or hashlib.sha256("\0".join(named).encode()).hexdigest()[:16]
    return OpenQuestion(
        id=str(name),
        thread_id=run.thread_id,
        run_id=run.run_id,
        graph=run.graph,
        node=node,
        interrupt_id=interrupt.id,
        digest=digest,
        payload=payload,
        asked_at=_time(snapshot),
    )


def _time(snapshot: StateSnapshot) -> datetime:
    return datetime.fromisoformat(snapshot.created_at) if snapshot.created_at else datetime.now(UTC)
