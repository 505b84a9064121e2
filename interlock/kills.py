"""The kill switch, as the runtime offers it."""

from __future__ import annotations

from abc import ABC

from interlock.core.context import Ports
from interlock.core.kills import Kill, KillEvent, KillScope
from interlock.core.sync import run_sync
from interlock.postgres.runs import RunStore
from interlock.settings import Settings


class Killing(ABC):
    """The part of the runtime that throws and lifts the kill switch."""

    settings: Settings
    store: RunStore
    _ports: Ports

    async def akill(self, scope: KillScope, name: str = "", *, reason: str, by: str = "") -> Kill:
        """Stop what runs, in every process, and refuse what is new until the switch is lifted.

        Args:
            scope: `run`, `thread`, `graph`, `tenant` or `all`.
            name: of the run, thread, graph or tenant; none for `all`.
            reason: for whoever finds something stopped.
            by: who says so.

        Raises:
            UsageError: no reason, no name, or a name that fits several.
            NotFound: no such run or thread.
        """
        return await self._ports.kills.throw(
            scope, name, reason=reason, by=by or self.settings.user
        )

    async def alift_kill(self, kill_id: int, *, reason: str = "", by: str = "") -> Kill:
        """Lift a switch; what it stopped can be resumed then. Raises `NotFound` unless it stands."""
        return await self._ports.kills.lift(kill_id, reason=reason, by=by or self.settings.user)

    async def acheck_switch(self, run_id: str) -> None:
        """Raise `Killed` while a switch stands over a run, as the database knows it now."""
        await self.store.refuse_killed(run_id, "It may not run")

    async def akills(self) -> list[Kill]:
        """Return the switches that stand, oldest first."""
        return await self._ports.kills.standing()

    async def akill_events(self, kill_id: int) -> list[KillEvent]:
        """Return what happened with a switch: who threw and lifted it, and which runs it stopped."""
        return await self._ports.kills.events(kill_id)


class KillingNow(Killing):
    """The synchronous twins."""

    def kill(self, scope: KillScope, name: str = "", *, reason: str, by: str = "") -> Kill:
        """Stop what runs, and refuse what is new; see `akill`."""
        return run_sync(self.akill(scope, name, reason=reason, by=by))

    def lift_kill(self, kill_id: int, *, reason: str = "", by: str = "") -> Kill:
        """Lift a switch; see `alift_kill`."""
        return run_sync(self.alift_kill(kill_id, reason=reason, by=by))

    def check_switch(self, run_id: str) -> None:
        """Raise `Killed` while a switch stands over a run; see `acheck_switch`."""
        run_sync(self.acheck_switch(run_id))

    def kills(self) -> list[Kill]:
        """Return the switches that stand; see `akills`."""
        return run_sync(self.akills())

    def kill_events(self, kill_id: int) -> list[KillEvent]:
        """Return what happened with a switch; see `akill_events`."""
        return run_sync(self.akill_events(kill_id))
