"""Writes down who did what through the server, and who was refused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from interlock.postgres.audit import AuditStore, Entry
from interlock.server.callers import Caller

THIS_REQUEST: ContextVar[list[str]] = ContextVar("interlock_noted")
"""What was noted of the request that is being served, where something collects it."""

REFUSED_SECONDS = 60.0
"""How often one caller's refused requests are written down: with their number since the last time."""

MOST_REFUSED = 1000
"""Callers whose refused requests are counted one by one; those of others are counted together."""


@dataclass(slots=True)
class Audit:
    """The log as the server writes it."""

    store: AuditStore
    _refused: dict[tuple[str, str, int], Refusals] = field(default_factory=dict)

    async def note(
        self,
        caller: Caller,
        act: str,
        subject: str = "",
        detail: Mapping[str, Any] | None = None,  # JSON
    ) -> None:
        """Write down what a caller did; returns once that is committed.

        Args:
            caller: who.
            act: what was done, in a word: `answer`, `key.create`.
            subject: to what: an id.
            detail: more of it; no secrets.
        """
        await self.store.note(
            Entry(
                identity=caller.identity,
                kind=caller.kind,
                tenant=caller.tenant or "",
                act=act,
                subject=subject,
                detail=detail or {},
            )
        )
        THIS_REQUEST.get([]).append(act)

    async def refused(self, caller: Caller | None, host: str, status: int, what: str) -> None:
        """Count a request that was refused, and write the count down now and then: a flood of them fills nothing."""
        name = (caller.identity if caller else "", host, status)
        if name not in self._refused and len(self._refused) >= MOST_REFUSED:
            name = ("", "", status)
        count = self._refused.setdefault(name, Refusals())
        if not (number := count.due(time.monotonic())):
            return
        nobody = Caller(identity="", kind="key")
        await self.note(
            caller or nobody, "refused", what, {"from": host, "status": status, "times": number}
        )


@dataclass(slots=True)
class Refusals:
    """How often somebody was refused since it was written down."""

    times: int = 0
    noted_at: float = float("-inf")

    def due(self, now: float) -> int:
        """Count one, and return how many there are when it is time to write that down; 0 else."""
        self.times += 1
        if now - self.noted_at < REFUSED_SECONDS:
            return 0
        self.noted_at, number, self.times = now, self.times, 0
        return number
