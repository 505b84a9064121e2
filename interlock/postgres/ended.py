"""Tells when runs end: one connection that listens, for all that wait in this process, with a slow poll under it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow

from interlock.core.runs import Run
from interlock.errors import NotFound
from interlock.postgres.ears import hearing, listen
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import only

SQL = load("ended")

POLL_SECONDS = 1.0
"""How often who waits looks, whether anything was told or not."""

IDLE_SECONDS = 5.0
"""How long it goes on listening when nobody waits any more."""

REMEMBERED = 1024
"""How many runs are known by name that have ended: it takes less time to submit one and to begin to wait for it."""

EXPECTED = 1024
"""How many runs that were submitted here are known by name before anything is heard of them."""

RETRY_SECONDS = 0.2
NAME = "interlock ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands, or what goes on with it.

    Attributes:
        run: as its row tells of it.
        present: its thread is at it.
    """

    run: Run
    present: bool


class News(asyncio.Event):
    """Is set when something was told of a run.

    Attributes:
        run: it as it ended, where it ended in this process, in success; None where that has to be looked up.
    """

    run: Run | None = None


class Endings:
    """What is known of the ends of runs; for one event loop."""

    def __init__(self, url: str, pool: Pool) -> None:
        self._url = url
        self._pool = pool
        self._waiting: defaultdict[str, set[News]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._heard: dict[str, None] = {}
        self._expected: dict[str, None] = {}
        self._here: set[str] = set()
        self._hears = False
        self._quiet = True  # nothing was heard lately

    @property
    def hears(self) -> bool:
        """Whether what ends from now on is heard."""
        return self._hears

    def has_heard(self, run_id: str) -> bool:
        """Say whether it was heard a moment ago that a run has ended or waits."""
        return run_id in self._heard

    def expect(self, run_id: str) -> None:
        """Note that a run is about to be submitted here: all that there is to hear of it will be heard."""
        if self._hears:
            _keep(self._expected, run_id, EXPECTED)

    def expects(self, run_id: str) -> bool:
        """Say whether a run was submitted here and nothing was heard of it yet; its end would be."""
        return self._hears and run_id in self._expected

    @contextmanager
    def worked_on(self, run_id: str) -> Iterator[bool]:
        """Say whether somebody in this process may wait for a run that is worked on here for the length of a block."""
        if not self.expects(run_id):
            yield False
            return
        self._here.add(run_id)
        try:
            yield True
        finally:
            self._here.discard(run_id)
            self._tell(run_id)

    def has_succeeded(self, run: Run) -> None:
        """Tell those who wait for a run in this process how it ended, with its output, once that is committed."""
        for news in self._waiting.get(run.run_id, ()):
            news.run = run
        self._tell(run.run_id)

    async def first_news(self, run_id: str) -> Run | None:
        """Wait a moment for a run that is expected; return it where it ended in this process, in success."""
        if not self.expects(run_id):
            return None
        with self.watching(run_id) as news:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await news.wait()
                    while run_id in self._here and news.run is None:  # it is about to be told
                        news.clear()
                        await news.wait()
            return news.run

    async def named(self, name: str) -> str:
        """Return the run of this name, or the one that a thread of this name is at; generated names may be abbreviated.

        Raises:
            NotFound: there is neither.
            UsageError: the characters fit several.
        """
        async with connected(self._pool) as connection:
            if rows := await fetch(connection, SQL["named"], {"name": name}):
                return str(rows[0]["run_id"])
            alike = await fetch(connection, SQL["named_alike"], {"name": name}) if name else []
        found = {row["name"]: row["run_id"] for row in alike}
        hint = "`interlock status` lists the latest threads."
        return str(found[only(list(found), name, "run or thread", hint)])

    async def stands(self, run_id: str) -> Standing:
        """Return how a run stands, or what goes on with it; raises `NotFound`."""
        if not (rows := await self._fetch("stands", run_id=run_id)):
            raise NotFound(f"There is no run {run_id!r}.")
        present = rows[0].pop("present")
        return Standing(run=Run(**rows[0]), present=present)

    async def last_checkpoint(self, thread_id: str, run_id: str) -> str | None:
        """Return the last checkpoint that a run made on the graph of its thread; None when it is gone."""
        rows = await self._fetch("last_checkpoint", thread_id=thread_id, run_id=run_id)
        return rows[0]["checkpoint_id"] if rows else None

    @contextmanager
    def watching(self, run_id: str) -> Iterator[News]:
        """Set an event when a run ends or waits, and whenever it is not known whether it did."""
        news = News()
        self._waiting[run_id].add(news)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name=NAME)
        try:
            yield news
        finally:
            self._waiting[run_id].discard(news)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _listen(self) -> None:
        while self._waiting:
            try:
                async with await _connection(self._url) as connection:
                    await listen(connection, SQL["listen"], self._note)
                    await self._hear(connection)
            except psycopg.Error:
                await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        self._expected.clear()
        self._tell_all()  # what ended before this is seen by looking
        self._quiet, self._hears = False, True
        try:
            with hearing(connection, self._note) as broken:
                while self._waiting or not self._quiet:
                    self._quiet = True
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_SECONDS):
                            await asyncio.shield(broken)
        finally:
            self._hears = False

    def _note(self, run_id: str) -> None:
        """Note that a run has ended or waits."""
        self._quiet = False
        self._expected.pop(run_id, None)
        _keep(self._heard, run_id, REMEMBERED)
        self._tell(run_id)

    def _tell(self, run_id: str) -> None:
        for news in self._waiting.get(run_id, ()):
            news.set()

    def _tell_all(self) -> None:
        for run_id in tuple(self._waiting):
            self._tell(run_id)

    async def _fetch(self, statement: str, **values: str) -> list[DictRow]:
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


def _keep(names: dict[str, None], name: str, most: int) -> None:
    """Keep a name among the last ones."""
    names[name] = None
    while len(names) > most:
        del names[next(iter(names))]


async def _connection(url: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5, application_name=NAME
    )
