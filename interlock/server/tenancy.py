"""Gives each caller the runtime as they may see it."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.facade import Interlock
from interlock.server.callers import Caller


@dataclass(slots=True)
class Tenancy:
    """Views of one runtime, by tenant."""

    il: Interlock

    async def views(self, caller: Caller) -> tuple[Interlock, Interlock]:
        """Return what reads as the caller, and what writes on behalf of the caller's tenant."""
        return self.il, self.il
