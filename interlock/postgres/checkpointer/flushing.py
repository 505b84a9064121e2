"""One flush: its rows are sent, again where a connection broke, and each caller is told what became of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from weakref import WeakSet

import psycopg
from psycopg_pool import PoolTimeout

from interlock.errors import LeaseLost
from interlock.postgres.checkpointer.encoding import Encoder
from interlock.postgres.checkpointer.knowledge import Knowledge
from interlock.postgres.checkpointer.lines import Connection, Line
from interlock.postgres.checkpointer.request import Request
from interlock.postgres.checkpointer.rows import Rows, merged
from interlock.postgres.checkpointer.sending import committing, sent
from interlock.postgres.checkpointer.stats import Stats
from interlock.postgres.queries import load

SQL = load("checkpoints")

ATTEMPTS = 3
"""How often a flush is sent when connections break, or two processes wait for each other in a circle."""

REMOVED = "IL001"
"""The state of the error with which `interlock.fenced_flush` refuses what a removed worker saves."""


class Flushing:
    """Saves batches, one after the other.

    Args:
        line: the connection.
        knowledge: what is stored, by which rows are made.
        stats: counts what is done.
        others: what was encoded, and is in no batch yet.

    Attributes:
        line: as above.
    """

    def __init__(
        self,
        line: Line,
        knowledge: Knowledge,
        stats: Stats,
        others: Callable[[], Iterable[Request]],
    ) -> None:
        self.line = line
        self._knowledge = knowledge
        self._stats = stats
        self._others = others
        self._met: WeakSet[Connection] = WeakSet()
        self._sessions: set[str] = set()

    def encode(self, request: Request) -> None:
        """Make a request's rows by what is known to be stored."""
        request.generation = self._knowledge.generation
        request.rows = Rows(request.thread)
        known = self._knowledge.of(request.thread)
        request.fill(Encoder(request.seal, known, request.rows))

    async def flush(self, batch: Sequence[Request]) -> None:
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
        await self.flush(batch[:middle])
        await self.flush(batch[middle:])

    async def _refused(self, request: Request, error: Exception) -> None:
        lost = _lease_lost(error)
        if request.end is None or lost is not None:
            request.give(lost or error)
            return
        request.end = (
            None  # its checkpoint is saved all the same; whoever waits ends the run by itself
        )
        await self.flush([request])

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
        connection = await self.line.lend()
        try:
            if connection not in self._met:
                await self._meet(connection, batch)
            while (present := await self._send(connection, batch)) is not None:
                await self._catch_up(connection, present)
        finally:
            self.line.take_back()

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
            for request in chain(batch, self._others()):
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
                    self.encode(part)
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
