"""Runs that are worked on where they are asked for: accepted, held and begun in one statement, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg
from psycopg.rows import DictRow

from interlock.core.runs import Run
from interlock.errors import DatabaseUnavailable, InterlockError
from interlock.postgres.accepting import Asked, Outcome, apart, is_plain, news_of
from interlock.postgres.checkpointer.arrays import prepare
from interlock.postgres.intake import MOST, Intake
from interlock.postgres.latest import MOST_BYTES, latest_of
from interlock.postgres.locks import PATIENCE, ThreadLocks, seed_of
from interlock.postgres.pool import Connection, fetch
from interlock.postgres.queries import load
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import Ending, NewRun, StoredRun
from interlock.postgres.together import Together

SQL = load("accepting")


class Beginner:
    """Begins with runs in this process; made and used on one event loop.

    What something stands in the way of is accepted by the intake, and begun with later.

    Args:
        process: what names this process to a person.
    """

    def __init__(self, locks: ThreadLocks, store: RunStore, intake: Intake, process: str) -> None:
        self._locks = locks
        self._store = store
        self._intake = intake
        self._process = process
        self._together: Together[Asked, Outcome] = Together(self._begun)
        self._leaving: set[asyncio.Task[None]] = set()

    async def begin(self, new: NewRun) -> StoredRun:
        """Accept a run, hold its thread and begin an attempt, all or nothing; `begun` says whether it came to that.

        Raises as `Intake.accept`.
        """
        if not is_plain(new, None):
            return await self._intake.accept(new, None, enqueue=False)
        asked = Asked.of(self._store, new, None, enqueue=False)
        try:
            outcome = await self._together.do(asked)
        except asyncio.CancelledError:
            await self._leave(asked)
            raise
        if isinstance(outcome, StoredRun):
            return outcome
        return await self._intake.ordinarily(new, sure=outcome == "in the way")

    async def hand_back(self, run: Run) -> None:
        """Let a run that was begun with stand as one that was stopped, and let go of its thread."""
        try:
            with suppress(InterlockError):  # else it stands as one whose process was lost
                ending = Ending(
                    status="queued", error="Stopped on request.", error_kind="cancelled"
                )
                await self._store.end(run, ending, self._process)
        finally:
            await self._locks.let_go(run.thread_id)

    async def _leave(self, asked: Asked) -> None:
        """Hand back what whoever asked for it did not wait for; it goes on where that one is cancelled again."""
        task = asyncio.ensure_future(self._left(asked))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        await asyncio.wait([task], timeout=PATIENCE)

    async def _left(self, asked: Asked) -> None:
        if isinstance(stored := await asked.outcome, StoredRun):
            await self.hand_back(stored.run)

    async def _begun(self, batch: list[Asked]) -> Sequence[Outcome]:
        now, _ = apart(batch, MOST)
        otherwise: Outcome = "in the way"
        try:
            rows = await self._taken_up(now)
        except DatabaseUnavailable:
            rows, otherwise = [], "unsure"  # it may have been committed
        except psycopg.Error:
            rows = []  # each by itself is told of its error
        except BaseException:
            _settle(batch, "unsure")
            raise
        by_name = {each.new.run_id: each for each in batch}
        begun = {row["run_id"]: _stored(by_name[row["run_id"]], row) for row in rows}
        _settle(batch, otherwise)
        return [begun.get(each.new.run_id, otherwise) for each in batch]

    async def _taken_up(self, some: Sequence[Asked]) -> list[DictRow]:
        async with self._locks.taking() as connection:
            held = set(self._locks.holding())  # a session is given the same lock twice
            free = [each for each in some if each.new.thread_id not in held]
            rows = await self._asked(connection, free) if free else []
            begun = {row["run_id"] for row in rows}
            self._locks.took(
                connection, [each.new.thread_id for each in free if each.new.run_id in begun], ""
            )
        return rows

    async def _asked(self, connection: Connection, some: Sequence[Asked]) -> list[DictRow]:
        prepare(connection)
        values = {
            "process": self._process,
            "seed": seed_of(connection),
            "most_bytes": MOST_BYTES,
            **news_of(some),
        }
        try:
            return await fetch(connection, SQL["begin"], values, binary=True)
        except BaseException:
            await self._locks.let_go_of_others(connection)
            raise


def _settle(batch: Sequence[Asked], outcome: Outcome) -> None:
    for each in batch:
        each.settle(outcome)


def _stored(asked: Asked, row: DictRow) -> StoredRun:
    """Tell of a run as it was before this attempt."""
    latest = latest_of(row, asked.new.thread_id)
    stored = replace(asked.stored(row), latest=latest, limited=row["limited"], begun=True)
    asked.settle(stored)
    return stored
