"""Looking on at what runs tell, as the runtime offers it: from the beginning, or from the last event that is known."""

from __future__ import annotations

import asyncio
from abc import ABC
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import aclosing, suppress
from typing import Any

from interlock.core.stream_events import StreamEvent
from interlock.core.sync import run_sync
from interlock.core.wire import dumps
from interlock.errors import DatabaseUnavailable, NotFound, StreamCut, UsageError
from interlock.postgres.encryption import KeyRing
from interlock.postgres.pool import Pool
from interlock.postgres.stream_news import StreamNews
from interlock.postgres.streams import Looked, StreamLog, StreamStore
from interlock.settings import Settings

LOOK_SECONDS = 30.0
"""How often it looks although it was told of nothing."""

PATIENCE = 60.0
"""How long the database may be away."""

RETRY_SECONDS = 0.5

BEGINNING = ("-", "-1", "0")
"""Places before the first event, as clients name it."""

Page = Sequence[StreamEvent]
"""What came at once; nothing, when for some time nothing came."""


class Streaming(ABC):
    """The part of the runtime that looks on at what runs tell, whoever works on them."""

    settings: Settings
    stream_log: StreamLog
    stream_news: StreamNews
    _pool: Pool
    _ring: KeyRing | None

    async def atail(self, run_id: str, after: str = "") -> AsyncIterator[StreamEvent]:
        """Yield what a run tells, until it has ended or waits for a person.

        The last event is `end`; before it stands `error` when the run failed. These two have no id.

        Args:
            run_id: the run; it tells what was asked for when it was submitted.
            after: the id of the last event that is known; default: from the beginning.

        Raises:
            NotFound: there is no such run.
            UsageError: the id is none.
            DatabaseUnavailable: it was away for a minute.
            StreamCut: the runtime is being closed.
        """
        async with aclosing(self.atail_pages(run_id, after)) as pages:
            async for page in pages:
                for event in page:
                    yield event

    async def atail_thread(self, thread_id: str, after: str = "") -> AsyncIterator[StreamEvent]:
        """Yield what the runs of a thread tell, and `metadata` with `run_done` at the end of each; it has no end.

        Args:
            thread_id: the thread.
            after: the id of the last event that is known; `-`: from the beginning; default: from now on.

        Raises as `atail`.
        """
        async with aclosing(self.atail_thread_pages(thread_id, after)) as pages:
            async for page in pages:
                for event in page:
                    yield event

    async def atail_pages(
        self, run_id: str, after: str = "", *, beat: float = LOOK_SECONDS
    ) -> AsyncGenerator[Page]:
        """Yield what a run tells as `atail`, all that came at once together; nothing, where nothing came."""
        store = StreamStore(self._pool, self._ring)
        place = place_of(after) or 0
        with self.stream_news.of_run(run_id) as news:
            waiting = _Waiting(self.stream_news, news, beat)
            while True:
                waiting.begin()
                try:
                    looked = await _patiently(lambda: store.look(run_id, place))  # noqa: B023  # called at once
                except NotFound:
                    if not place:
                        raise
                    yield [_end(run_id)]  # it was deleted meanwhile
                    return
                if looked.events:
                    place = int(looked.events[-1].id)
                    yield looked.events
                elif looked.is_over:
                    yield _last_words(looked)
                    return
                if not (looked.more or looked.is_over):
                    while not await waiting.told():
                        yield []

    async def anow(self, thread_id: str) -> str:
        """Return the place behind all that a thread's runs have told, for `after`; raises `NotFound`."""
        return str(await StreamStore(self._pool, self._ring).newest(thread_id))

    async def atail_thread_pages(
        self, thread_id: str, after: str = "", *, beat: float = LOOK_SECONDS
    ) -> AsyncGenerator[Page]:
        """Yield what a thread's runs tell as `atail_thread`, all that came at once together."""
        store = StreamStore(self._pool, self._ring)
        newest = await store.newest(thread_id)
        known = place_of(after)
        place = newest if known is None else known
        with self.stream_news.of_thread(thread_id) as news:
            waiting = _Waiting(self.stream_news, news, beat)
            while True:
                waiting.begin()
                events, more = await _patiently(
                    lambda: store.look_at_thread(thread_id, place)  # noqa: B023  # called at once
                )
                if events:
                    place = int(events[-1].id)
                    yield [_named(each) for each in events]
                if not more:
                    while not await waiting.told():
                        yield []

    async def aforget_streams(self) -> int:
        """Remove what runs told that ended longer ago than `stream_hours`; return of how many."""
        store = StreamStore(self._pool, self._ring)
        return await store.forget(self.settings.stream_hours * 3600)


class StreamingNow(Streaming):
    """The synchronous twins."""

    def tail(self, run_id: str, after: str = "") -> Generator[StreamEvent]:
        """Yield what a run tells; see `atail`."""
        return _iterate(self.atail(run_id, after))

    def tail_thread(self, thread_id: str, after: str = "") -> Generator[StreamEvent]:
        """Yield what the runs of a thread tell; see `atail_thread`."""
        return _iterate(self.atail_thread(thread_id, after))

    def forget_streams(self) -> int:
        """Remove what runs told long ago; see `aforget_streams`."""
        return run_sync(self.aforget_streams())


def place_of(after: str) -> int | None:
    """Return the place that an event's id names; None for none. Raises `UsageError` when it is no id."""
    if not after:
        return None
    if after in BEGINNING:
        return 0
    if not after.isdecimal() or len(after) > 18:
        raise UsageError(
            f"{after[:40]!r} is no id of an event.",
            hint="Send the last `id` that came, or `-` for all events.",
        )
    return int(after)


class _Waiting:
    """Waits for news, a beat at a time, and looks now and then all the same."""

    def __init__(self, source: StreamNews, news: asyncio.Event, beat: float) -> None:
        self._source = source
        self._news = news
        self._beat = min(beat, LOOK_SECONDS)
        self._looked = asyncio.get_running_loop().time()

    def begin(self) -> None:
        """Forget what was told, before somebody looks: what is told from now on wakes them. Raises `StreamCut`."""
        if self._source.stopped:
            raise StreamCut(
                "This process stops.", hint="Go on elsewhere behind the last event that came."
            )
        self._news.clear()

    async def told(self) -> bool:
        """Wait for a beat at most, and say whether to look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._beat):
                await self._news.wait()
        now = asyncio.get_running_loop().time()
        look = self._news.is_set() or now - self._looked >= LOOK_SECONDS
        if look:
            self._looked = now
        return look


async def _patiently(look: Callable[[], Any]) -> Any:  # a coroutine function's result
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    while True:
        try:
            return await look()
        except DatabaseUnavailable:
            if loop.time() > until:
                raise
            await asyncio.sleep(RETRY_SECONDS)


def _last_words(looked: Looked) -> Page:
    run_id = looked.run_id
    if looked.status not in ("failed", "dead", "killed"):
        return [_end(run_id)]
    kind = looked.error_kind
    told = {"error": kind or "Error", "message": looked.error.removeprefix(f"{kind}: ")}
    error = StreamEvent(id="", event="error", data=dumps(told), run_id=run_id)
    return [error, _end(run_id)]


def _end(run_id: str) -> StreamEvent:
    return StreamEvent(id="", event="end", data=b"null", run_id=run_id)


def _named(event: StreamEvent) -> StreamEvent:
    if event.event:
        return event
    done = dumps({"status": "run_done", "run_id": event.run_id})
    return StreamEvent(id=event.id, event="metadata", data=done, run_id=event.run_id)


def _iterate(events: AsyncIterator[StreamEvent]) -> Generator[StreamEvent]:
    try:
        while (event := run_sync(_next(events))) is not None:
            yield event
    finally:
        run_sync(_close(events))


async def _next(events: AsyncIterator[StreamEvent]) -> StreamEvent | None:
    return await anext(events, None)


async def _close(events: Any) -> None:  # an asynchronous generator
    await events.aclose()
