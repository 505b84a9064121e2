"""Group commit: what all callers hand in at about the same time is saved in one statement and one commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import chain
from weakref import WeakSet

import psycopg
from psycopg_pool import PoolTimeout

from interlock.errors import LeaseLost
from interlock.postgres.checkpointer.encoding import Encoder
from interlock.postgres.checkpointer.knowledge import Knowledge
from interlock.postgres.checkpointer.lines import Connection, Line
from interlock.postgres.checkpointer.patience import PATIENCE, Patience
from interlock.postgres.checkpointer.request import Request
from interlock.postgres.checkpointer.rows import Rows, merged
from interlock.postgres.checkpointer.sending import committing, sent
from interlock.postgres.checkpointer.stats import Stats
from interlock.postgres.queries import load

SQL = load("checkpoints")

MOST_ROWS = 4_000
MOST_BYTES = 16 << 20
"""A flush takes at most this many rows and bytes, and at least one caller's."""

ATTEMPTS = 3
"""How often a flush is sent when connections break, or two processes wait for each other in a circle."""

REMOVED = "IL001"
"""The state of the error with which `interlock.fenced_flush` refuses what a removed worker saves."""

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
        self._line = line
        self._knowledge = knowledge
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Request] = deque()
        self._held: dict[str, list[Request]] = {}  # by thread
        self._patience = Patience()
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = False  # something has waited in vain, as it seems
        self._flusher: asyncio.Task[None] | None = None
        self._alone = 0  # so many flushes in a row were of one thread
        self._met: WeakSet[Connection] = WeakSet()
        self._sessions: set[str] = set()

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
        await self._line.close()

    def _accept(self, request: Request) -> None:
        self._encode(request)
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

    def _encode(self, request: Request) -> None:
        request.generation = self._knowledge.generation
        request.rows = Rows(request.thread)
        known = self._knowledge.of(request.thread)
        request.fill(Encoder(request.seal, known, request.rows))

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
                await self._flush(batch)
            await self._line.rest()
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

    async def _flush(self, batch: Sequence[Request]) -> None:
        """Save a batch; rows that the server refuses are found by halving, and fail their own caller only."""
        try:
            batch = await self._persist(batch)
        except Exception as error:
            if _concerns_all(error):
                for request in batch:
                    request.give(error)
            else:
                await self._part(batch, error)
        else:
            for request in batch:
                for part in request.parts:
                    self._knowledge.saved(part.rows)
                request.give()

    async def _part(self, batch: Sequence[Request], error: Exception) -> None:
        if len(batch) == 1:
            await self._refused(batch[0], error)
            return
        middle = len(batch) // 2
        await self._flush(batch[:middle])
        await self._flush(batch[middle:])

    async def _refused(self, request: Request, error: Exception) -> None:
        lost = _lease_lost(error)
        if request.end is None or lost is not None:
            request.give(lost or error)
            return
        request.end = (
            None  # its checkpoint is saved all the same; whoever waits ends the run by itself
        )
        await self._flush([request])

    async def _persist(self, batch: Sequence[Request]) -> Sequence[Request]:
        """Save a batch, again where a connection broke; return those that were still allowed to be saved.

        Sending twice what was committed the first time changes nothing.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._write(batch)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if attempt == ATTEMPTS or not _worth_repeating(error):
                    raise
                self._stats.retries += 1
                batch = await self._still_allowed(batch)
            else:
                break
        return batch

    async def _still_allowed(self, batch: Sequence[Request]) -> list[Request]:
        allowed = []
        for request in batch:
            try:
                if request.check is not None:
                    await request.check()
            except Exception as error:
                request.give(error)
            else:
                allowed.append(request)
        return allowed

    async def _write(self, batch: Sequence[Request]) -> None:
        if not batch:
            return
        connection = await self._line.lend()
        try:
            if connection not in self._met:
                await self._meet(connection, batch)
            while (present := await self._send(connection, batch)) is not None:
                await self._catch_up(connection, present)
        finally:
            self._line.take_back()

    async def _meet(self, connection: Connection, batch: Sequence[Request]) -> None:
        """Forget what is stored where a connection is new and the server has none of those that were used before.

        It may have lost what was committed last then: one that crashed with `synchronous_commit` off, or a standby in
        its place. No session outlives that.
        """
        self._stats.round_trips += 1
        async with committing(connection):
            cursor = connection.cursor(row_factory=psycopg.rows.tuple_row)
            await cursor.execute(SQL["sessions"], {"known": list(self._sessions)})
            there: set[str] = {row[0] for row in await cursor.fetchall()}
        if self._sessions and not self._sessions & there:
            self._knowledge.doubt()
            for request in (*batch, *self._waiting, *chain.from_iterable(self._held.values())):
                request.outdate()
        self._sessions = there
        self._met.add(connection)

    async def _send(self, connection: Connection, batch: Sequence[Request]) -> int | None:
        all_rows = self._rows(batch)
        values = merged(all_rows, self._knowledge.generation)
        ends = [request.end for request in batch if request.end is not None]
        self._stats.round_trips += 1
        present, ended = await sent(
            connection,
            values,
            plain=values["seen"] is None and not any(rows.replaces for rows in all_rows),
            fence=sorted({request.fence for request in batch} - {""}),
            ends=ends,
        )
        self._stats.commits += 1
        if present is None:
            self._note(all_rows)
            for request in batch if ends else ():
                request.ended = request.end is not None and request.end.run in ended
        return present

    def _rows(self, batch: Sequence[Request]) -> list[Rows]:
        """Return the rows of a batch; what may rely on what is deleted is encoded anew."""
        all_rows = []
        for request in batch:
            for part in request.parts:
                if part.generation != self._knowledge.generation:
                    self._encode(part)
                all_rows.append(part.rows)
        return all_rows

    def _note(self, all_rows: Sequence[Rows]) -> None:
        self._stats.flushes += 1
        for rows in all_rows:
            self._stats.rows += rows.count
            if rows.content:
                self._stats.content_bytes += sum(len(body) for _, body in rows.content.values())

    async def _catch_up(
        self,
        connection: Connection,
        present: int,
    ) -> None:
        """Forget what other processes deleted."""
        self._stats.round_trips += 1
        async with committing(connection):
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            await cursor.execute(SQL["sweeps"], {"seen": self._knowledge.generation})
            rows = await cursor.fetchall()
        self._knowledge.catch_up([(row["generation"], row["holder"]) for row in rows], present)


def _worth_repeating(error: psycopg.Error) -> bool:
    circular = psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure
    return isinstance(error, circular) or _lost(error)


def _lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is gone: by the server's word, or without one from it."""
    return error.sqlstate is None or error.sqlstate[:2] in {"08", "57"}


def _lease_lost(error: Exception) -> LeaseLost | None:
    if getattr(error, "sqlstate", None) != REMOVED:
        return None
    return LeaseLost(
        "This worker was taken for dead, or its session has ended, so nothing was saved.",
        hint="Its runs go on from their last checkpoint in another worker.",
    )


def _concerns_all(error: Exception) -> bool:
    """Tell whether parts of a batch would fare no better: no connection, no disk, no tables."""
    full = psycopg.errors.DiskFull | psycopg.errors.OutOfMemory | psycopg.errors.UndefinedObject
    missing = psycopg.errors.UndefinedFunction | psycopg.errors.UndefinedTable
    if isinstance(error, full | missing | PoolTimeout):
        return True
    return isinstance(error, psycopg.OperationalError) and _lost(error)
