"""Time, as the runtime offers it: timers fire, threads that sleep wake."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.application import Application
from interlock.core.sync import run_sync
from interlock.core.timing import Became, Due, Timer, TimerKind, TimerState
from interlock.crons import Crons, CronsNow
from interlock.errors import NotFound, UsageError
from interlock.postgres.approvals import PostgresApprovals
from interlock.postgres.stored_runs import StoredRun
from interlock.postgres.timers import BATCH, TimerStore
from interlock.settling import process_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What became of the timers that were due.

    Attributes:
        cancelled: there was nothing left to do.
        held: a kill switch stands over them, or somebody is at them.
        failed: they are tried again after a pause.
        latest: how many seconds late the latest was.
    """

    fired: int = 0
    cancelled: int = 0
    held: int = 0
    failed: int = 0
    latest: float = 0.0


class Timing(Crons):
    """The part of the runtime that keeps time."""

    application: Application
    approvals: PostgresApprovals
    timer_store: TimerStore

    async def afire_timers(
        self, *, most: int = BATCH, by: str = "", most_crons: int = sys.maxsize
    ) -> Fired:
        """Fire every timer that is due; any number of processes may, and each fires once.

        What is due is claimed and done in one transaction: a process that dies meanwhile has done nothing. Timers whose
        thread is just being changed are left for the next call. A worker does this by itself.

        Args:
            most: how many one transaction takes.
            by: who fires them; default: this process.
            most_crons: how many times of crons it fires behind all other timers; default: all that are due.
        """
        who, late, seen = by or process_name(), 0.0, Counter[Became]()
        while taken := await self.timer_store.fire(who, most):
            seen.update(became for _, became in taken)
            late = max([late, *(seconds for seconds, _ in taken)])
            if len(taken) < most:
                break
        for _ in range(most_crons):
            if (became := await self._fire_cron(who)) is None:
                break
            seen[became] += 1
            if became == "held":
                break
        return Fired(
            fired=seen["fired"],
            cancelled=seen["cancelled"],
            held=seen["held"],
            failed=seen["failed"],
            latest=late,
        )

    async def anext_due(self) -> Due:
        """Return when the next timer, cron and question is due."""
        return await self.timer_store.next_due(self.known_graphs())

    async def atimers(
        self,
        thread_id: str | None = None,
        *,
        states: Sequence[TimerState] = ("set", "failed"),
        kind: TimerKind | None = None,
        limit: int = 50,
    ) -> list[Timer]:
        """Return timers, the earliest first; of one thread or of all."""
        full = None if thread_id is None else await self.store.full_thread_id(thread_id)
        return await self.timer_store.timers(states=states, thread_id=full, kind=kind, limit=limit)

    async def aretry_timer(self, timer_id: int | None = None) -> int:
        """Let a timer that was set aside be due at once, or all of them, and return how many; raises `NotFound`."""
        again = await self.timer_store.retry(timer_id)
        if timer_id is not None and not again:
            raise NotFound(
                f"There is no timer {timer_id} that was set aside.",
                hint="`interlock timers list --failed` lists them.",
            )
        return again

    def known_graphs(self) -> list[str]:
        """Return the names of the application's graphs."""
        return list(self.application.targets)

    async def _fire_cron(self, who: str) -> Became | None:
        return await self.cron_store.fire(self.known_graphs(), who, self._accept_cron)

    async def _awake(self, stored: StoredRun) -> StoredRun:
        """Return the run that goes on with a thread that has slept long enough; any other run as it is.

        Raises:
            UsageError: it still sleeps, and no answer would let it go on.
        """
        run = stored.run
        asleep = await self.timer_store.asleep(run.run_id) if run.status == "waiting" else None
        if asleep is None:
            return stored
        until, over = asleep
        if over:
            await self.store.refuse_killed(run.run_id, f"Thread {run.thread_id} may not wake")
            woken = await self.timer_store.wake(run.run_id)
            return await (self.store.stored(woken) if woken else self.store.latest(run.thread_id))
        if await self.approvals.open_questions(run.thread_id):
            return stored
        raise UsageError(
            f"Thread {run.thread_id} sleeps until {until.astimezone():%Y-%m-%d %H:%M:%S %Z}.",
            hint=f"A worker wakes it then (`interlock worker`), or `interlock resume {run.thread_id}`.",
        )


class TimingNow(Timing, CronsNow):
    """The synchronous twins."""

    def fire_timers(self, *, most: int = BATCH, by: str = "") -> Fired:
        """Fire every timer that is due; see `afire_timers`."""
        return run_sync(self.afire_timers(most=most, by=by))

    def timers(
        self,
        thread_id: str | None = None,
        *,
        states: Sequence[TimerState] = ("set", "failed"),
        kind: TimerKind | None = None,
        limit: int = 50,
    ) -> list[Timer]:
        """Return timers, the earliest first; see `atimers`."""
        return run_sync(self.atimers(thread_id, states=states, kind=kind, limit=limit))

    def retry_timer(self, timer_id: int | None = None) -> int:
        """Let a timer that was set aside be due at once; see `aretry_timer`."""
        return run_sync(self.aretry_timer(timer_id))
