"""Tells open pages that something happened to their threads: one connection that listens, and one look for all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from interlock.errors import DatabaseUnavailable
from interlock.facade import Interlock
from interlock.postgres.dashboard import Beat, DashboardStore
from interlock.postgres.hearing import Hearing
from interlock.postgres.watch import HEAR

LOOK_SECONDS = 0.3
"""How often it looks at threads whose runs are worked on; the end of any run is told of at once."""

REST_SECONDS = 2.0
"""How often it looks at the others."""

LEAST_SECONDS = 0.1
"""How long it rests after each look, however much is told."""

IDLE_SECONDS = 5.0
"""How long it goes on listening when nobody watches any more."""

NAME = "interlock pulse"


class Watcher(asyncio.Event):
    """Somebody who watches a thread; it is set when there is news.

    Attributes:
        beat: how the thread stood when it was looked at last; None before that.
    """

    beat: Beat | None = None

    def tell(self, beat: Beat) -> None:
        """Set it where something happened since the last look."""
        if beat != self.beat:
            self.beat = beat
            self.set()

    @property
    def is_lively(self) -> bool:
        """Whether its thread is to be looked at often."""
        return self.beat is None or self.beat.status == "running"


@dataclass(slots=True)
class Pulse:
    """Looks at all threads that somebody watches in this process, for one event loop.

    It reads with a runtime that sees everything: whoever watches has looked the thread up as themselves before.
    """

    _watchers: defaultdict[str, set[Watcher]] = field(default_factory=lambda: defaultdict(set))
    _task: asyncio.Task[None] | None = None

    async def beats(self, il: Interlock, thread_id: str) -> AsyncGenerator[Beat]:
        """Yield how a thread stands now, and again whenever something happened to it; it has no end."""
        watcher = Watcher()
        self._watchers[thread_id].add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(il), name=NAME)
        try:
            while await watcher.wait():
                watcher.clear()
                if watcher.beat is not None:
                    yield watcher.beat
        finally:
            self._leave(thread_id, watcher)

    def _leave(self, thread_id: str, watcher: Watcher) -> None:
        self._watchers[thread_id].discard(watcher)
        if not self._watchers[thread_id]:
            del self._watchers[thread_id]

    async def _watch(self, il: Interlock) -> None:
        """Look until nobody has watched for some time."""
        now = asyncio.get_running_loop().time
        hearing, store = Hearing(il.url, [HEAR]), DashboardStore(il.pool)
        looked, until, heard = 0.0, now() + IDLE_SECONDS, True
        try:
            while self._watchers or now() < until:
                everyone = heard or now() - looked > REST_SECONDS
                await self._look(store, self._wanted(everyone=everyone))
                looked = now() if everyone else looked
                until = now() + IDLE_SECONDS if self._watchers else until
                await asyncio.sleep(LEAST_SECONDS)
                heard = await hearing.wait(LOOK_SECONDS - LEAST_SECONDS)
        finally:
            await hearing.close()

    def _wanted(self, *, everyone: bool) -> list[str]:
        return [
            thread_id
            for thread_id, watchers in self._watchers.items()
            if everyone or any(each.is_lively for each in watchers)
        ]

    async def _look(self, store: DashboardStore, thread_ids: list[str]) -> None:
        """Tell who watches what happened; a database that is away is asked again the next time."""
        try:
            beats = await store.beats(thread_ids) if thread_ids else []
        except DatabaseUnavailable:
            return
        for beat in beats:
            for watcher in self._watchers.get(beat.thread_id, ()):
                watcher.tell(beat)
