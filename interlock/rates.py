"""Rate limits, as the runtime offers them: what limits models, how full it is, and who waits."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from interlock.core.context import Ports
from interlock.core.rates import Rate, Standing, Waiting
from interlock.core.sync import run_sync
from interlock.core.targets import check_target
from interlock.errors import NotFound, UsageError
from interlock.settings import Settings


class Pacing(ABC):
    """The part of the runtime that keeps rate limits."""

    settings: Settings
    _ports: Ports

    async def arates(self) -> Sequence[Standing]:
        """Return how each target stands that is limited or was asked: providers, models, tenants; by name."""
        return await self._ports.rates.standing()

    async def arate(self, target: str) -> Standing:
        """Return how a target stands; raises `NotFound` for one that is not limited and was never asked."""
        check_target(target)
        found = next((each for each in await self.arates() if each.name == target), None)
        if found is None:
            raise NotFound(
                f"{target} is not limited, and was not asked so far.",
                hint="`interlock limits` lists what is.",
            )
        return found

    async def arate_waits(self) -> Sequence[Waiting]:
        """Return the model calls that wait for their turn, the oldest first."""
        return await self._ports.rates.waiting()

    async def aset_rate(self, target: str, rate: Rate, *, by: str = "") -> Standing:
        """Store a limit, the numbers that are given over those that are stored; all processes know it in two seconds.

        Args:
            target: `provider:openai`, `model:openai:gpt-5`, `tenant:acme`, `tenant:*` for each tenant, or one of the
                first two for one tenant or each of them: `provider:openai/tenant:acme`.
            rate: what may be asked of it.
            by: who says so.

        Raises:
            UsageError: it is no target, or nothing is limited.
        """
        check_target(target)
        if rate.else_(Rate(burst=0.0)) == Rate(burst=rate.burst or 0.0):
            raise UsageError(
                f"Nothing of {target} would be limited.",
                hint="Name requests, tokens or concurrent calls.",
            )
        before = (await self._ports.rates.look()).stored.get(target, Rate())
        who = by or self.settings.user
        await self._ports.rates.store(target, rate.else_(before), by=who)
        return await self.arate(target)

    async def aremove_rate(self, target: str) -> bool:
        """Remove a stored limit; what a file declares holds on. Say whether there was one."""
        return await self._ports.rates.remove(check_target(target))


class PacingNow(Pacing):
    """The synchronous twins."""

    def rates(self) -> Sequence[Standing]:
        """Return how each target stands; see `arates`."""
        return run_sync(self.arates())

    def rate(self, target: str) -> Standing:
        """Return how a target stands; see `arate`."""
        return run_sync(self.arate(target))

    def rate_waits(self) -> Sequence[Waiting]:
        """Return the model calls that wait; see `arate_waits`."""
        return run_sync(self.arate_waits())

    def set_rate(self, target: str, rate: Rate, *, by: str = "") -> Standing:
        """Store a limit; see `aset_rate`."""
        return run_sync(self.aset_rate(target, rate, by=by))

    def remove_rate(self, target: str) -> bool:
        """Remove a stored limit; see `aremove_rate`."""
        return run_sync(self.aremove_rate(target))
