"""The kill switch of one process, for plain LangGraph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from interlock.core.kills import (
    Kill,
    KillEvent,
    KillEventKind,
    KillScope,
    Subject,
    Watched,
    check_order,
    first_over,
    not_standing,
)
from interlock.core.queueing import StopOrder


@dataclass(slots=True)
class MemoryKills:
    """The switch of one process, for plain LangGraph; safe to be used by several threads."""

    _kills: list[Kill] = field(default_factory=list)
    _events: list[KillEvent] = field(default_factory=list)
    _watched: list[Watched] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.RLock, repr=False)  # threading types no RLock

    def over(self, subject: Subject) -> Kill | None:
        """Return a switch that stands over a run."""
        with self._lock:
            return first_over(self._standing(), subject)

    @contextmanager
    def watching(
        self,
        subject: Subject,
        stop: Callable[[Kill], None],
        ordered: Callable[[StopOrder], None] | None = None,
    ) -> Iterator[None]:
        """Call a function once when a switch over a run is thrown, or stands; nobody here can order anything else."""
        watched = Watched(subject, stop)
        with self._lock:
            self._watched.append(watched)
            self._tell()
        try:
            yield
        finally:
            with self._lock:
                self._watched.remove(watched)

    async def throw(self, scope: KillScope, name: str = "", *, reason: str, by: str = "") -> Kill:
        """Throw a switch; one that stands already is returned."""
        check_order(scope, name, reason)
        with self._lock:
            same = [k for k in self._standing() if (k.scope, k.name) == (scope, name)]
            kill = same[0] if same else self._thrown(scope, name, reason, by)
            self._note(kill.id, "thrown", by, reason)
            self._tell()
            return kill

    async def lift(self, kill_id: int, *, reason: str = "", by: str = "") -> Kill:
        """Lift a switch."""
        with self._lock:
            standing = [kill for kill in self._standing() if kill.id == kill_id]
            if not standing:
                raise not_standing(kill_id)
            kill = replace(standing[0], lifted_at=datetime.now(UTC), lifted_by=by)
            self._kills[kill_id - 1] = kill
            self._note(kill_id, "lifted", by, reason)
            return kill

    async def standing(self) -> list[Kill]:
        """Return the switches that stand."""
        with self._lock:
            return self._standing()

    async def events(self, kill_id: int) -> list[KillEvent]:
        """Return what happened with a switch."""
        with self._lock:
            return [event for event in self._events if event.kill == kill_id]

    def _thrown(self, scope: KillScope, name: str, reason: str, by: str) -> Kill:
        number, now = len(self._kills) + 1, datetime.now(UTC)
        self._kills.append(Kill(id=number, scope=scope, name=name, reason=reason, by=by, at=now))
        return self._kills[-1]

    def _standing(self) -> list[Kill]:
        return [kill for kill in self._kills if kill.lifted_at is None]

    def _tell(self) -> None:
        for watched in tuple(self._watched):
            if (kill := watched.tell(self._standing())) is not None:
                run = watched.subject.runs[-1] if watched.subject.runs else ""
                self._note(kill.id, "stopped", "", "", run, watched.subject.thread_id)

    def _note(
        self, kill: int, kind: KillEventKind, who: str, why: str, run: str = "", thread: str = ""
    ) -> None:
        now = datetime.now(UTC)
        self._events.append(
            KillEvent(kill=kill, kind=kind, who=who, why=why, at=now, run_id=run, thread_id=thread)
        )
