"""Keeps time beside the runs of a worker: timers and crons fire, questions are swept, people are told."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from interlock.core.endless import side_by_side
from interlock.core.timing import Due
from interlock.errors import DatabaseUnavailable
from interlock.facade import Interlock
from interlock.postgres.timers import BATCH
from interlock.timers import Fired
from interlock.worker.expiring import expire
from interlock.worker.listening import keep_listening
from interlock.worker.log import Log

POLL_SECONDS = 5.0
"""How often it looks whatever it was told: the news may be lost."""

SWEEP_SECONDS = 1.0
"""How soon after another questions are swept: what cannot take its step now stays due."""

BLOCKED_SECONDS, BLOCKED_LONGEST, MOST = 0.005, 0.25, 10_000
"""How soon it looks again for timers whose threads others are at, and how many at most: both are doubled each time."""

CRONS = 5
"""How many times of crons fire before what else is due has its turn: a cron may have to make up for thousands."""

DELIVER_SECONDS = 5.0
CARRY_OUT_SECONDS = 5.0
"""How often it looks for runs that are to be stopped and have lost their process."""

FORGET_SECONDS = 60.0
RETRY_SECONDS = 0.5


async def keep_time(il: Interlock, *, log: Log | None = None, by: str = "") -> None:
    """Do what is due, whenever it is, until it is cancelled; any number of processes may.

    Args:
        il: opened on this loop.
        log: what it tells; default: nothing.
        by: who fires timers, for their rows; default: this process.
    """
    keeper = Keeper(il, log=log or Log(), by=by)
    await side_by_side(keeper.listen(), keeper.deliver(), expire(il, keeper.log), keeper.keep())


@dataclass(slots=True, eq=False)
class Keeper:
    """What keeps time in one process."""

    il: Interlock
    log: Log = field(default_factory=Log)
    by: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _swept: asyncio.Event = field(default_factory=asyncio.Event)
    _sweep_at: float = 0.0
    _forget_at: float = 0.0
    _carry_out_at: float = 0.0
    _due: Due = field(default_factory=lambda: Due(timer=0.0, cron=0.0, question=0.0))
    _blocked: float = 0.0
    _most: int = BATCH

    async def keep(self) -> None:
        """Fire what is due, and sleep until the next is, or until an earlier one is set."""
        while True:
            self._news.clear()  # before it looks: what is set from now on wakes it
            try:
                pause = await self.turn()
            except DatabaseUnavailable as error:
                self.log.warn("time.unavailable", why=str(error.args[0]))
                pause = RETRY_SECONDS
            except Exception as error:  # one fault must not stop the clock of a worker
                self.log.warn("time.failed", why=f"{type(error).__name__}: {error}")
                pause = RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def turn(self) -> float:
        """Do what is due now, and return in how many seconds to look again."""
        crons = CRONS if _now(self._due.cron) else 0
        fired = await self.il.afire_timers(most=self._most, by=self.by, most_crons=crons)
        if fired.fired or fired.failed:
            tell = self.log.warn if fired.failed else self.log.detail
            tell("timers.fired", fired=fired.fired, failed=fired.failed, late=f"{fired.latest:.3f}")
        await self._forget()
        await self._carry_out()
        self._due = await self.il.anext_due()
        if _now(self._due.question) and time.monotonic() >= self._sweep_at:
            await self._sweep()
        return min(
            POLL_SECONDS,
            self._until_timer(self._due.timer, moved=fired != Fired()),
            POLL_SECONDS if self._due.cron is None else max(self._due.cron, BLOCKED_SECONDS),
            self._until_sweep(self._due.question),
        )

    async def deliver(self) -> None:
        """Tell people of what happened to their questions; it may take long, and holds up no timer."""
        while self.il.deliverer.targets:
            self._swept.clear()
            try:
                await self.il.adeliver()
            except DatabaseUnavailable:
                pass  # the next time
            except Exception as error:  # one target's fault must not end the telling
                self.log.warn("delivery.failed", why=f"{type(error).__name__}: {error}")
            with suppress(TimeoutError):
                async with asyncio.timeout(DELIVER_SECONDS):
                    await self._swept.wait()

    async def listen(self) -> None:
        """Hear of timers that are set, on a connection of its own."""
        await keep_listening(self.il.url, "listen interlock_timers", self._news.set)

    async def _sweep(self) -> None:
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        if await self.il.asweep():
            self._swept.set()
        self._due = await self.il.anext_due()

    async def _carry_out(self) -> None:
        if (now := time.monotonic()) >= self._carry_out_at:
            self._carry_out_at = now + CARRY_OUT_SECONDS
            await self.il.acarry_out_stops()

    async def _forget(self) -> None:
        if (now := time.monotonic()) >= self._forget_at:
            self._forget_at = now + FORGET_SECONDS
            await self.il.timer_store.forget()
            await self.il.aforget_streams()

    def _until_timer(self, timer: float | None, *, moved: bool) -> float:
        """Return how long to wait for the next timer; when none of what is due moves, others are at it."""
        if timer is None or timer > 0 or moved:
            self._blocked, self._most = 0.0, BATCH
            return POLL_SECONDS if timer is None else max(timer, 0.0)
        pause, self._most = self._blocked, min(self._most * 2, MOST)
        self._blocked = min(max(pause * 2, BLOCKED_SECONDS), BLOCKED_LONGEST)
        return pause

    def _until_sweep(self, question: float | None) -> float:
        if question is None:
            return POLL_SECONDS
        return max(question, self._sweep_at - time.monotonic(), 0.0)


def _now(seconds: float | None) -> bool:
    return seconds is not None and seconds <= 0
