"""Tells that runs have told something: one connection that listens, for all that look on in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from interlock.errors import DatabaseUnavailable
from interlock.postgres.pool import STEADY, Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("streams")

NAME = "interlock stream news"

IDLE_SECONDS = 5.0
"""How long it goes on listening when nobody looks on any more."""

RETRY_SECONDS = 0.2


class StreamNews:
    """Sets events when there may be something to read; for one event loop.

    Whoever looks on reads, and then waits: while the connection lives nothing is lost, and when it was made anew all
    are told. So nobody has to look again and again.
    """

    def __init__(self, url: str, pool: Pool) -> None:
        self._url = url
        self._pool = pool
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._threads: set[str] = set()  # those of the names that are threads
        self._ended: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._finding: asyncio.Task[None] | None = None
        self.cut = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether all that look on are cut off."""
        return self.cut.is_set()

    @contextmanager
    def of_run(self, run_id: str) -> Iterator[asyncio.Event]:
        """Set an event when a run has told something or has ended, and whenever that is not known."""
        news = asyncio.Event()
        self._waiting[run_id].add(news)
        self._listen()
        try:
            yield news
        finally:
            self._waiting[run_id].discard(news)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    @contextmanager
    def of_thread(self, thread_id: str) -> Iterator[asyncio.Event]:
        """Set an event when any run of a thread has told something or has ended."""
        with self.of_run(thread_id) as news:
            self._threads.add(thread_id)
            try:
                yield news
            finally:
                if len(self._waiting[thread_id]) == 1:
                    self._threads.discard(thread_id)

    def stop(self) -> None:
        """Let all that look on be cut off: this process stops, and another one can tell them the rest."""
        self.cut.set()
        self._tell_all()

    async def close(self) -> None:
        """Stop listening."""
        self.stop()
        tasks = [task for task in (self._task, self._finding) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _listen(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listening(), name=NAME)

    async def _listening(self) -> None:
        while self._waiting:
            try:
                async with await _connection(self._url) as connection:
                    await connection.execute(SQL["listen"])
                    await connection.execute(SQL["listen_ended"])
                    await self._hear(connection)
            except psycopg.Error:
                await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        self._tell_all()  # what was told before this is seen by looking
        quiet = False
        while self._waiting or not quiet:
            quiet = True
            async for notice in connection.notifies(timeout=IDLE_SECONDS):
                self._heard(notice)
                quiet = False

    def _heard(self, notice: psycopg.Notify) -> None:
        run, _, thread = notice.payload.partition(" ")  # the name of a thread may have spaces
        for name in (run, thread):
            self._tell(name)
        if notice.channel == "interlock_ended" and self._threads:
            self._ended.append(notice.payload)
            if self._finding is None or self._finding.done():
                self._finding = asyncio.create_task(self._find_threads(), name=NAME)

    async def _find_threads(self) -> None:
        """Tell the threads of the runs that have ended: only these know that, and they are few."""
        while self._ended and self._threads:
            runs, self._ended = self._ended, []
            values = {"runs": runs, "threads": list(self._threads)}
            try:
                async with connected(self._pool) as connection:
                    rows = await fetch(connection, SQL["threads_of"], values)
            except DatabaseUnavailable:  # told when the connection is made anew, at the latest
                await asyncio.sleep(RETRY_SECONDS)
                self._ended += runs
                continue
            for row in rows:
                self._tell(row["thread_id"])

    def _tell_all(self) -> None:
        for name in tuple(self._waiting):
            self._tell(name)

    def _tell(self, name: str) -> None:
        for news in self._waiting.get(name, ()):
            news.set()


async def _connection(url: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5, application_name=NAME, **STEADY
    )
