"""Accepts the runs of a process, all that come at about the same time in one statement.

Where a worker lives in the process, that is its own next claim, which takes them on at once. What something stands in
the way of takes the ordinary path, that of `RunStore.add`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import psycopg

from interlock.core.queueing import OnlyOn, Options
from interlock.errors import DatabaseUnavailable, LeaseLost, NotFound, ThreadBusy
from interlock.postgres.accepting import Asked, apart, is_plain, news_of
from interlock.postgres.checkpointer.arrays import prepare
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import NewRun, StoredRun
from interlock.postgres.thread_metadata import (
    Metadata,
    MetadataChanged,
    metadata_of,
    without_names,
)

SQL = load("accepting")

MOST = 100
"""How many runs one statement accepts: their threads are held for as long as it takes."""

PATIENCE_SECONDS = 0.25
"""How long a run waits for the worker of this process; then it is accepted without it."""


class Taker(Protocol):
    """A worker of this process, which brings along what is to be accepted."""

    def takes(self) -> bool:
        """Say whether it claims something soon."""

    def tell(self) -> None:
        """Tell it that there is something."""


class Intake:
    """Accepts runs; made and used on one event loop."""

    def __init__(self, pool: Pool, store: RunStore) -> None:
        self._pool = pool
        self._store = store
        self._taker: Taker | None = None
        self._waiting: list[Asked] = []  # for the worker
        self._overdue: asyncio.TimerHandle | None = None
        self._others: list[Asked] = []  # which go without it
        self._task: asyncio.Task[None] | None = None

    async def accept(self, new: NewRun, options: Options | None, *, enqueue: bool) -> StoredRun:
        """Accept a run, and return it as it is executed.

        Raises as `RunStore.add`, and `NotFound` or `MetadataChanged` where it is to be accepted on other threads only.
        """
        if not is_plain(new, options):
            return await self._slowly(new, options, enqueue=enqueue)
        asked = Asked.of(self._store, new, options, enqueue=enqueue)
        self._ask(asked)
        match await asked.outcome:
            case "in the way":
                return await self._slowly(new, options, enqueue=enqueue)
            case "unsure":
                return await self._surely(new, options, enqueue=enqueue)
            case stored:
                return stored

    async def ordinarily(self, new: NewRun, *, sure: bool) -> StoredRun:
        """Accept a run by itself, which no worker takes on; `sure`: that it has not been accepted yet."""
        accept = self._slowly if sure else self._surely
        return await accept(new, None, enqueue=False)

    # --- the worker ---

    def offer(self, taker: Taker) -> None:
        """Let a worker bring along what is to be accepted."""
        self._taker = taker

    def withdraw(self, taker: Taker) -> None:
        """Let a worker go; what it did not come to is accepted without it."""
        if self._taker is taker:
            self._taker = None
        self.pass_by()

    @property
    def has_worker(self) -> bool:
        """Whether a worker brings along what is to be accepted."""
        return self._taker is not None

    @property
    def waits(self) -> bool:
        """Whether something waits for the worker."""
        return bool(self._waiting)

    def batch(self) -> list[Asked]:
        """Return what goes with the worker's next claim; whoever takes it settles it."""
        self._in_time()
        batch, self._waiting = apart(self._waiting, MOST)
        return batch

    def pass_by(self) -> None:
        """Accept without the worker what waits for it."""
        self._in_time()
        some, self._waiting = self._waiting, []
        self._by_itself(some)

    # --- inside ---

    def _ask(self, asked: Asked) -> None:
        if self._taker is None or not self._taker.takes():
            self._by_itself([asked])
            return
        if self._overdue is None:
            loop = asyncio.get_running_loop()
            self._overdue = loop.call_later(PATIENCE_SECONDS, self.pass_by)
        self._waiting.append(asked)
        self._taker.tell()

    def _in_time(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _by_itself(self, some: Sequence[Asked]) -> None:
        self._others += some
        if self._others and self._task is None:
            self._task = asyncio.create_task(self._work(), name="interlock-accept")

    async def _work(self) -> None:
        try:
            while self._others:
                batch, self._others = apart(self._others, MOST)
                await self._accept(batch)
        finally:
            self._task = None

    async def _accept(self, batch: Sequence[Asked]) -> None:
        try:
            async with connected(self._pool) as connection:
                prepare(connection)
                rows = await fetch(connection, SQL["accept"], news_of(batch))
        except BaseException as error:
            _refuse(batch, error)
            if not isinstance(error, Exception):
                raise
        else:
            by_name = {each.new.run_id: each for each in batch}
            for row in rows:
                by_name[row["run_id"]].accepted(row)
            for each in batch:
                each.settle("in the way")

    async def _slowly(self, new: NewRun, options: Options | None, *, enqueue: bool) -> StoredRun:
        if options is not None and options.only_on is not None:
            await self._check(new.thread_id, options.only_on)
        return await self._store.stored(await self._store.add(new, options, enqueue=enqueue))

    async def _surely(self, new: NewRun, options: Options | None, *, enqueue: bool) -> StoredRun:
        """Accept a run that may have been accepted before, or may yet be: its statement may still be at work."""
        with suppress(NotFound):
            return await self._store.stored(new.run_id)
        try:
            return await self._slowly(new, options, enqueue=enqueue)
        except (ThreadBusy, psycopg.errors.UniqueViolation):
            with suppress(NotFound):
                return await self._store.stored(new.run_id)
            raise

    async def _check(self, thread_id: str, only_on: OnlyOn) -> None:
        try:
            found = await self._store.thread(thread_id)
        except NotFound:
            if only_on.must_exist:
                raise
            return
        if only_on.tenant not in (None, str(found["context"].get("tenant") or "")):
            raise NotFound(
                f"There is no thread {thread_id!r}.",
                hint="`interlock status` lists the latest ones.",
            )
        await self._compare(thread_id, only_on)

    async def _compare(self, thread_id: str, only_on: OnlyOn) -> None:
        if only_on.metadata is None:
            return
        async with connected(self._pool) as connection:
            (metadata,) = await metadata_of(connection, thread_id)
        if _as_json(without_names(metadata)) != _as_json(only_on.metadata):
            raise MetadataChanged(f"The metadata of thread {thread_id} are not what they were.")


def _as_json(metadata: Metadata) -> str:
    return json.dumps(metadata, sort_keys=True)  # in Python a 1 is a True


def settle_failed(batch: Iterable[Asked], error: BaseException) -> None:
    """Tell what came of runs whose statement failed: one that is refused has changed nothing."""
    unsure = isinstance(error, DatabaseUnavailable | LeaseLost) or not isinstance(error, Exception)
    for each in batch:
        each.settle("unsure" if unsure else "in the way")


def _refuse(batch: Sequence[Asked], error: BaseException) -> None:
    """Tell of an error: of the database's absence as it is, of any other to each by itself, on the ordinary path."""
    for each in batch:
        if not isinstance(error, DatabaseUnavailable):
            each.settle("in the way")
        elif not each.outcome.done():
            each.outcome.set_exception(error)
            each.outcome.exception()  # a caller that is gone has nobody to look at it
