"""How the installation stands, as the runtime offers it."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from interlock.core.health import Health
from interlock.core.sync import run_sync
from interlock.postgres.health import HealthStore
from interlock.postgres.pool import Pool


class Examining(ABC):
    """The part of the runtime that looks at workers, queue, timers and everything else that runs depend on."""

    _pool: Pool

    async def ahealth(self) -> Health:
        """Return how the installation stands now, with what is wrong and what to do; raises `DatabaseUnavailable`."""
        return await HealthStore(self._pool).look()

    async def apending(self, threads: Sequence[str]) -> dict[str, str]:
        """Return which of some threads are `queued` for a worker, `asleep`, `retrying` or to begin `later`."""
        return await HealthStore(self._pool).pending(threads)


class ExaminingNow(Examining):
    """The synchronous twin."""

    def health(self) -> Health:
        """Return how the installation stands; see `ahealth`."""
        return run_sync(self.ahealth())

    def pending(self, threads: Sequence[str]) -> dict[str, str]:
        """Return which of some threads are queued for a worker, or wait for a timer; see `apending`."""
        return run_sync(self.apending(threads))
