"""Group commit: what all callers hand in at about the same time is saved in one statement and one commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain

import psycopg

from interlock.postgres.checkpointer.flushing import Flushing
from interlock.postgres.checkpointer.knowledge import Knowledge
from interlock.postgres.checkpointer.lines import Line
from interlock.postgres.checkpointer.patience import PATIENCE, Patience
from interlock.postgres.checkpointer.request import Request
from interlock.postgres.checkpointer.stats import Stats

MOST_ROWS = 4_000
MOST_BYTES = 16 << 20
"""A flush takes at most this many rows and bytes, and at least one caller's."""

COMPANY = 0.005
"""Seconds that a flush waits at most while others on the event loop have work, and are likely to hand something in."""

ALONE = 16
"""After so many flushes in a row with one thread's rows alone, none waits: what else the loop does is no saving."""

TICK = 0.000_5
"""Half of what clocks of event loops count in, or less; a timer may be early by as much."""

IDLE = 0.000_05
"""A pass of the event loop that took fewer seconds had nothing else to do."""


class SavingStopped(psycopg.OperationalError):
    """Saving was stopped before this checkpoint was committed; it may or may not be there."""


class Queue:
    """Saves what callers hand in; of one event loop."""

    def __init__(self, line: Line, knowledge: Knowledge, stats: Stats) -> None:
        self._flushing = Flushing(line, knowledge, stats, self._others)
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Request] = deque()
        self._held: dict[str, list[Request]] = {}  # by thread
        self._patience = Patience()
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = False  # something has waited in vain, as it seems
        self._flusher: asyncio.Task[None] | None = None
        self._alone = 0  # so many flushes in a row were of one thread

    async def save(self, request: Request) -> bool:
        """Save one caller's rows; returns after the commit, and raises what went wrong with these rows alone.

        What is held of its thread goes with it. A caller that is cancelled waits until nothing of its rows is under way
        any more.

        Returns:
            Whether the run ended that is to end with it.
        """
        self._accept(request)
        if request.thread in self._held:
            request.brings = self._held.pop(request.thread)
        self._enqueue(request)
        try:
            return await request.answer
        except asyncio.CancelledError:
            if request in self._waiting:
                self._waiting.remove(request)
                self._hold(request.thread, request.brings)
            elif not request.given:  # its answer was cancelled with its caller
                request.answer = self._loop.create_future()
                await asyncio.wait([request.answer])
            raise

    def hold(self, request: Request) -> None:
        """Keep a request back until more of its thread is saved, and with it what waits patiently of that thread."""
        self._accept(request)
        patient = [each for each in self._waiting if each.patient and each.thread == request.thread]
        for each in patient:
            self._waiting.remove(each)
            each.give()
        self._hold(request.thread, [*chain.from_iterable(each.parts for each in patient), request])

    def holds(self, thread: str) -> bool:
        """Say whether something of a thread is kept back."""
        return thread in self._held

    async def close(self) -> None:
        """Save what waits and what is held, and let go of the connection."""
        self._send_held()
        while self._waiting or self._flusher is not None:
            self._start()
            if self._flusher is not None:
                await asyncio.wait([self._flusher])
        await self._flushing.line.close()

    def _accept(self, request: Request) -> None:
        self._flushing.encode(request)
        request.answer = self._loop.create_future()
        request.since = self._loop.time()
        self._stats.requests += 1

    def _hold(self, thread: str, requests: list[Request]) -> None:
        if requests:
            self._held[thread] = [*requests, *self._held.get(thread, ())]

    def _send_held(self) -> None:
        held, self._held = self._held, {}
        for *before, last in held.values():
            last.brings = before
            self._waiting.append(last)

    def _others(self) -> Iterator[Request]:
        """Yield what was encoded and is not at work."""
        yield from self._waiting
        yield from chain.from_iterable(self._held.values())

    def _enqueue(self, request: Request) -> None:
        self._waiting.append(request)
        if self._flusher is not None:
            return
        if request.patient and self._patience.waits_for(request.thread):
            self._delay()
        else:
            self._start()

    def _delay(self) -> None:
        """Look later whether what waits patiently has waited long enough, and no more often than that."""
        if self._timer is None:
            left = PATIENCE - (self._loop.time() - self._waiting[0].since)
            self._timer = self._loop.call_later(max(left, TICK), self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        if self._waiting and not self._all_patient():
            self._overdue = True
            self._start()
        elif self._waiting:
            self._delay()

    def _note_missed(self) -> None:
        """Note for which threads it was in vain to wait; not where the event loop was late, and they go together."""
        self._overdue = False
        begun = {each.thread for each in self._waiting if not each.patient}
        for each in self._waiting:
            if each.thread not in begun and self._has_waited(each):
                self._patience.missed(each.thread)

    def _start(self) -> None:
        if self._waiting and self._flusher is None:
            self._flusher = self._loop.create_task(self._run(), name="interlock-checkpoints")

    async def _run(self) -> None:
        batch: list[Request] = []
        try:
            while self._waiting and not self._all_patient():
                if self._alone < ALONE:
                    await self._gather()
                if self._overdue:
                    self._note_missed()
                batch = self._take()
                self._alone = 0 if len({each.thread for each in batch}) > 1 else self._alone + 1
                await self._flushing.flush(batch)
            await self._flushing.line.rest()
        except BaseException as error:  # cancelled, or a fault of ours: nobody may wait for ever
            self._abandon([*batch, *self._waiting], error)
            raise
        finally:
            self._flusher = None
        if not self._all_patient():
            self._start()
        elif self._waiting:
            self._delay()

    async def _gather(self) -> None:
        """Wait while others on the event loop have work: what they hand in goes in the same commit.

        Each statement takes CPU of its own, and a loop that has work gets on with it meanwhile.
        """
        until = self._loop.time() + COMPANY
        while (now := self._loop.time()) < until:
            await asyncio.sleep(0)
            if self._loop.time() - now < IDLE:
                break

    def _all_patient(self) -> bool:
        for each in reversed(self._waiting):  # a checkpoint comes after what its tasks wrote
            if not each.patient or self._has_waited(each):
                return False
            if not self._patience.waits_for(each.thread, count=False):
                return False
        return True

    def _has_waited(self, request: Request) -> bool:
        return self._loop.time() - request.since > PATIENCE - TICK

    def _abandon(self, requests: Sequence[Request], error: BaseException) -> None:
        self._waiting.clear()
        stopped = SavingStopped("saving was stopped before this checkpoint was committed")
        stopped.__cause__ = error
        for request in requests:
            request.give(stopped)

    def _take(self) -> list[Request]:
        if not self._waiting:  # those who waited were cancelled
            return []
        batch = [self._waiting.popleft()]
        if not self._waiting:
            return batch
        rows, size = batch[0].count, batch[0].size
        while self._waiting:
            rows += self._waiting[0].count
            size += self._waiting[0].size
            if rows > MOST_ROWS or size > MOST_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch
