"""The log of streams: workers write it in batches, and whoever looks on reads it a page at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import DictRow

from interlock.core.runs import Run
from interlock.core.stream_events import StreamEvent
from interlock.errors import DatabaseUnavailable, LeaseLost, NotFound
from interlock.postgres.encryption import KeyRing, missing
from interlock.postgres.pool import (
    Connection,
    Pool,
    connected,
    execute,
    fetch,
    own_connection,
)
from interlock.postgres.queries import load

SQL = load("streams")

NAME = "interlock streams"

BUFFER = 8_000_000
"""Bytes that wait for the database at most, of all runs of a process; then runs wait for it, too."""

BATCH = 1_000
BATCH_BYTES = 1_000_000

PATIENCE = 10.0
"""Seconds in which a lost connection is made again, before the runs whose events wait are given up."""

RETRY_SECONDS = 0.2

PAGE = 200
PAGE_BYTES = 500_000
"""What is read at once: as much, and one event more, is all that is ever held for a client."""

FORGET_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Entry:
    recorder: Recorder
    place: int  # among the events of its attempt, from 1
    event: str
    cipher: str
    data: bytes


@dataclass(slots=True, eq=False)
class _Batch:
    entries: list[_Entry] = field(default_factory=list)
    recorders: dict[str, Recorder] = field(default_factory=dict)  # by run
    size: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, recorder: Recorder) -> bool:
        """Say whether there is room, and no other attempt at the same run in it."""
        mine = self.recorders.setdefault(recorder.run.run_id, recorder)
        return mine is recorder and len(self.entries) < BATCH and self.size < BATCH_BYTES


@dataclass(slots=True, eq=False)
class Recorder:
    """Writes down the events of one attempt at a run, which a worker has claimed."""

    log: StreamLog
    run: Run
    attempt: int
    worker: str
    noted: int = 0
    lost: Exception | None = None
    _last: _Batch | None = None

    async def note(self, event: str, data: bytes) -> None:
        """Have an event written soon; waits only while the database is far behind.

        Raises:
            LeaseLost: the run is another's by now.
            DatabaseUnavailable: it has not answered for a while.
        """
        if self.lost is not None:
            raise self.lost
        await self.log.room()
        self.noted += 1
        self._last = self.log.put(self, event, data)

    async def flush(self) -> None:
        """Return when all that was noted can be read by everybody; raises as `note`."""
        if self._last is not None:
            await self._last.done.wait()
        if self.lost is not None:
            raise self.lost

    async def tell(self) -> None:
        """Tell whoever looks on that the run has changed, where its end tells nobody."""
        await self.log.tell(self.run)


class StreamLog:
    """Writes what the runs of a process tell, all that came at about the same time in one commit."""

    def __init__(self, url: str, ring: KeyRing | None) -> None:
        self._url = url
        self._ring = ring
        self._batches: deque[_Batch] = deque()
        self._size = 0
        self._freed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._guard = asyncio.Lock()

    async def room(self) -> None:
        """Wait while too much waits for the database."""
        while self._size >= BUFFER:
            self._freed.clear()
            await self._freed.wait()

    def put(self, recorder: Recorder, event: str, data: bytes) -> _Batch:
        """Add an event to what is written next."""
        cipher, hidden = self._ring.encrypt(data) if self._ring else ("", data)
        batch = self._batches[-1] if self._batches else None
        if batch is None or not batch.takes(recorder):
            batch = _Batch(recorders={recorder.run.run_id: recorder})
            self._batches.append(batch)
        batch.entries.append(_Entry(recorder, recorder.noted, event, cipher, hidden))
        batch.size += len(hidden)
        self._size += len(hidden)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name=NAME)
        return batch

    async def tell(self, run: Run) -> None:
        """Tell whoever looks at a run, or at its thread, to look again."""
        values = {"run_id": run.run_id, "thread_id": run.thread_id}
        async with self._guard:
            await fetch(await self._opened(), SQL["tell"], values)

    async def close(self) -> None:
        """Write what waits, for a short time, and give the connection back."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=1.0)
            self._task.cancel()
        await self._drop()

    async def _work(self) -> None:
        try:
            while self._batches:
                batch = self._batches.popleft()
                await self._write(batch)
                self._size -= batch.size
                self._freed.set()
                batch.done.set()
        finally:
            self._task = None

    async def _write(self, batch: _Batch) -> None:
        """Write a batch; a run for which that was not possible is told so."""
        runs = batch.recorders
        try:
            async with self._guard:
                alive = await self._patiently(_values(batch))
        except Exception as error:
            for recorder in runs.values():
                recorder.lost = recorder.lost or error
            return
        for run_id, recorder in runs.items():
            if not alive.get(run_id):
                recorder.lost = _lost(recorder)

    async def _patiently(self, values: Mapping[str, Any]) -> dict[str, bool]:  # SQL values
        until = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                rows = await fetch(await self._opened(), SQL["write"], values)
                return {row["run_id"]: row["alive"] for row in rows}
            except DatabaseUnavailable:
                await self._drop()  # what was written all the same is not written again
                if asyncio.get_running_loop().time() > until:
                    raise
            except psycopg.errors.ForeignKeyViolation:
                pass  # a run was deleted just now: the next time it is not found
            await asyncio.sleep(RETRY_SECONDS)

    async def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await own_connection(self._url, NAME)
            # What a crash of the server takes back is told again by the next attempt, under later numbers; the end of
            # a run is waited for on the disk, and what was written before it is there then, too.
            await execute(self._connection, SQL["hurry"], {})
        return self._connection

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A run at one moment: how it stands, and what it had told behind a place.

    Attributes:
        more: there may be more behind these events.
    """

    run_id: str
    thread_id: str
    status: str
    error: str
    error_kind: str
    events: list[StreamEvent]
    more: bool

    @property
    def is_over(self) -> bool:
        """Whether this run tells nothing more: what goes on after an answer is another one."""
        stopped = self.status == "queued" and self.error_kind == "breakpoint"
        return stopped or self.status not in ("queued", "running")


class StreamStore:
    """What stands in the log."""

    def __init__(self, pool: Pool, ring: KeyRing | None) -> None:
        self._pool = pool
        self._ring = ring

    async def look(self, run_id: str, after: int) -> Looked:
        """Return how a run stands and a page of its events behind a place; raises `NotFound`."""
        values = {"run_id": run_id, "after": after, "most": PAGE, "bytes": PAGE_BYTES}
        if not (rows := await self._fetch("look", **values)):
            raise NotFound(f"There is no run {run_id!r}.")
        head = rows[0]
        events = [self._event(row) for row in rows if row["id"] is not None]
        return Looked(
            run_id=head["run_id"],
            thread_id=head["thread_id"],
            status=head["status"],
            error=head["error"],
            error_kind=head["error_kind"],
            events=events,
            more=_may_be_more(events),
        )

    async def look_at_thread(self, thread_id: str, after: int) -> tuple[list[StreamEvent], bool]:
        """Return a page of what a thread's runs told, and whether there may be more.

        Among it are their ends, without a name, and `state_update` for each time its state was written from outside.
        """
        values = {"thread_id": thread_id, "after": after, "most": PAGE, "bytes": PAGE_BYTES}
        events = [self._event(row) for row in await self._fetch("look_at_thread", **values)]
        return events, _may_be_more(events)

    async def newest(self, thread_id: str) -> int:
        """Return the place behind all that a thread has told; raises `NotFound`."""
        if not await self._fetch("thread", thread_id=thread_id):
            raise NotFound(f"There is no thread {thread_id!r}.")
        return int((await self._fetch("newest", thread_id=thread_id))[0]["id"])

    async def beginning(self, thread_id: str, place: int | None) -> int:
        """Return the place before the run that a place is in; without one, before the run that a thread is at."""
        rows = await self._fetch("beginning", thread_id=thread_id, place=place)
        return int(rows[0]["id"])

    async def note_state(self, thread_id: str, checkpoint_id: str) -> None:
        """Note the checkpoint that was made when a thread's state was written from outside; the thread is held."""
        await self._fetch("note_state", thread_id=thread_id, checkpoint_id=checkpoint_id)

    async def forget(self, seconds: float) -> int:
        """Remove what runs told that ended so long ago, and what is as old of states; return of how many runs."""
        async with connected(self._pool) as connection:
            await execute(connection, SQL["forget_states"], {"seconds": seconds})
            values = {"seconds": seconds, "most": FORGET_AT_ONCE}
            return await execute(connection, SQL["forget"], values)

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)

    def _event(self, row: DictRow) -> StreamEvent:
        data = bytes(row["data"])
        if row["cipher"]:
            if self._ring is None:
                raise missing(row["cipher"])
            data = self._ring.decrypt(row["cipher"], data)
        run_id = row["run_id"]
        return StreamEvent(id=f"{row['id']:016d}", event=row["event"], data=data, run_id=run_id)


def _may_be_more(events: list[StreamEvent]) -> bool:
    return len(events) == PAGE or sum(len(each.data) for each in events) >= PAGE_BYTES


def _values(batch: _Batch) -> dict[str, Any]:  # SQL values
    counts: dict[Recorder, list[_Entry]] = {}
    for entry in batch.entries:
        counts.setdefault(entry.recorder, []).append(entry)
    return {
        "runs": [each.run.run_id for each in counts],
        "threads": [each.run.thread_id for each in counts],
        "attempts": [each.attempt for each in counts],
        "written": [entries[-1].place for entries in counts.values()],
        "events": [len(entries) for entries in counts.values()],
        "workers": [each.worker for each in counts],
        "event_run": [each.recorder.run.run_id for each in batch.entries],
        "event_place": [each.place - counts[each.recorder][0].place + 1 for each in batch.entries],
        "event_name": [each.event for each in batch.entries],
        "event_cipher": [each.cipher for each in batch.entries],
        "event_data": [each.data for each in batch.entries],
    }


def _lost(recorder: Recorder) -> LeaseLost:
    return LeaseLost(
        f"Worker {recorder.worker[:8]} was taken for dead while it told what run {recorder.run.run_id} does.",
        hint="The run goes on from its last checkpoint.",
    )
