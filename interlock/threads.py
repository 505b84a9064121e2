"""Threads as clients of the server handle them: made, found, copied, pruned, deleted, and expired."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from interlock.application import Application
from interlock.branching import lineage_of, recorded_since, taken, way_to
from interlock.core.lineage import Lineage
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import EffectInDoubt, NotFound, ThreadBusy, UsageError
from interlock.inputs import check_thread_id
from interlock.postgres import forks, thread_cards
from interlock.postgres.checkpointer import Core
from interlock.postgres.checkpoints import Saver, strict_serializer
from interlock.postgres.encryption import KeyRing
from interlock.postgres.forks import ForkStore, Prefix
from interlock.postgres.pool import connected
from interlock.postgres.thread_cards import (
    SortBy,
    SortOrder,
    ThreadCard,
    ThreadCards,
    Ttl,
    TtlStrategy,
    Wanted,
)
from interlock.states import Stating, StatingNow
from interlock.storage import Pruning

IfExists = Literal["raise", "do_nothing"]

SWEPT = 1000
"""How many threads without a time of their own one sweep looks at, unless langgraph.json says it."""


class ThreadTaken(UsageError):
    """There is a thread of that name already; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What became of threads whose time was over.

    Attributes:
        deleted: with all that was stored of them but their acts.
        pruned: down to their latest state; their time begins anew.
        left: somebody was at them, or an act of theirs is in doubt; they are looked at again.
    """

    deleted: int = 0
    pruned: int = 0
    left: int = 0


class Threading(Stating):
    """The part of the runtime that handles threads as clients of the server do."""

    application: Application
    _ring: KeyRing | None
    _core: Core
    _sweep_at: float = 0.0

    @abstractmethod
    async def acancel(self, name: str, *, reason: str = "", by: str = "") -> Run:
        """Cancel a run that has not ended."""

    @abstractmethod
    async def aprune(
        self, thread_id: str | None = None, *, keep: int, older_than: timedelta
    ) -> Pruning:
        """Fold the checkpoints of a thread."""

    async def acreate_thread(
        self,
        thread_id: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,  # JSON
        if_exists: IfExists = "raise",
        ttl: Ttl | None = None,
        graph: str = "",
    ) -> ThreadCard:
        """Make a thread without a run, and return it; its first run, or state, gives it its graph.

        Args:
            thread_id: its name; a new one unless given.
            metadata: of the client.
            if_exists: `do_nothing` returns the thread that there is, as it is.
            ttl: how long it is kept; None for ever.
            graph: whose state may be written before there is a run.

        Raises:
            ThreadTaken: there is one of that name.
            UsageError: the name cannot be one, or the metadata has no JSON form.
        """
        name = check_thread_id(thread_id) if thread_id else str(uuid4())
        cards = ThreadCards(self._pool)
        if await cards.open(name, {"tenant": self.settings.tenant}):
            named = {"graph_id": graph} if graph else {}
            await cards.write(name, {**(metadata or {}), **named}, ttl=ttl)
        elif if_exists == "raise":
            raise ThreadTaken(f"There is a thread {name!r} already.")
        return await self.athread(name)

    async def aupdate_thread(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,  # JSON
        ttl: Ttl | None = None,
    ) -> ThreadCard:
        """Merge into a thread's metadata, and let its time begin anew if one is given; raises `NotFound`."""
        await self.athread(thread_id)
        cards = ThreadCards(self._pool)
        await cards.write(thread_id, metadata or {}, ttl=ttl)
        await cards.touch(thread_id)
        return await self.athread(thread_id)

    async def anote_thread(
        self, thread_id: str, metadata: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:  # JSON
        """Note on a thread what its latest run was begun with."""
        await ThreadCards(self._pool).write(thread_id, metadata, config=config)

    async def asearch_threads(
        self,
        wanted: Wanted,
        *,
        sort: tuple[SortBy, SortOrder] = ("updated_at", "desc"),
        limit: int = 10,
        offset: int = 0,
    ) -> list[ThreadCard]:
        """Return a page of the threads that fit, wherever they were made."""
        return await ThreadCards(self._pool).search(wanted, sort=sort, limit=limit, offset=offset)

    async def acount_threads(self, wanted: Wanted) -> int:
        """Return how many threads fit."""
        return await ThreadCards(self._pool).count(wanted)

    async def acopy_thread(self, thread_id: str) -> ThreadCard:
        """Make a thread that goes on where another one stands, and return it.

        It is a fork at the latest step without a run: what its original did is not done again, and what that one was
        asked is not asked of the copy; a run on it asks anew.

        Raises:
            NotFound: no such thread, or the application does not have its graph.
        """
        card, copied = await self.athread(thread_id), str(uuid4())
        state = await self.astate_of(card)
        head = str(state.config["configurable"].get("checkpoint_id", ""))
        prefix, lineage = await self._forked_at(thread_id, head) if head else (None, Lineage())
        async with connected(self._pool) as connection, connection.transaction():
            await thread_cards.copy(
                connection,
                thread_id,
                copied,
                head=head,
                lineage=lineage,
                goes_on=bool(state.next),
            )
            if prefix is not None:
                await forks.copy(connection, prefix, copied, strict_serializer(ring=self._ring))
        return await self.athread(copied)

    async def adelete_thread(self, thread_id: str, *, by: str = "") -> None:
        """Delete a thread with its runs, states, questions and records; what it did stays in the ledger.

        Its runs are cancelled first. Forks of it stay, and go on answering acts from the ledger; model calls of it
        that they would have been answered from are gone.

        Raises:
            NotFound: no such thread.
            ThreadBusy: a run of it did not stop in time; it is still ordered to.
            EffectInDoubt: whether an act of it happened is not known: say so first.
        """
        cards = ThreadCards(self._pool)
        await self.athread(thread_id)
        for run_id, _ in await cards.unended(thread_id):
            await self.acancel(run_id, reason="its thread is deleted", by=by)
        async with self._locks.hold(thread_id):
            if key := await cards.in_doubt(thread_id):
                raise EffectInDoubt(
                    f"Thread {thread_id} cannot be deleted: whether its act {key} happened is not known.",
                    hint="Look, and say so with `interlock effects resolve`.",
                )
            # Its rows last: what was cut short in between is still a thread, and can be deleted again.
            serde = strict_serializer(ring=self._ring)
            await Saver(self._pool, serde, self._locks.check, core=self._core).adelete_thread(
                thread_id
            )
            await cards.forget(thread_id)

    async def aprune_threads(
        self, thread_ids: Sequence[str], strategy: TtlStrategy = "delete"
    ) -> int:
        """Delete threads, or fold each to its latest state and what is always kept; return how many it was done to.

        Threads that are not there are passed over, and so are those that cannot be deleted or folded now.
        """
        return sum([await self._pruned(each, strategy) for each in thread_ids])

    async def aexpire_threads(self) -> Expired:
        """Delete or fold threads whose time is over, some at once; any process may do this, at any time.

        Those of clients that have no time of their own are looked at as langgraph.json's `checkpointer.ttl` says. Left
        alone are threads that are run, wait for a person, sleep, or have an act in doubt.
        """
        deleted = pruned = left = 0
        for thread_id, strategy in await ThreadCards(self._pool).expired():
            done = await self._pruned(thread_id, strategy)
            deleted, pruned = deleted + (done and strategy == "delete"), pruned + done
            left += not done
            if not done or strategy == "keep_latest":
                await ThreadCards(self._pool).renew(thread_id)
        swept = await self._swept()
        return Expired(
            deleted=deleted + swept.deleted,
            pruned=pruned - deleted + swept.pruned,
            left=left + swept.left,
        )

    async def _swept(self) -> Expired:
        """Do to threads without a time of their own what langgraph.json says, once in a while."""
        said = self.application.config.checkpointer.ttl
        if said is None or said.default_ttl is None or time.monotonic() < self._sweep_at:
            return Expired()
        self._sweep_at = time.monotonic() + said.sweep_interval_minutes * 60
        cards, graphs = ThreadCards(self._pool), tuple(self.application.targets)
        found = await cards.untouched(graphs, said.default_ttl, said.sweep_limit or SWEPT)
        done = [each for each in found if await self._pruned(each, said.strategy)]
        for thread_id in done if said.strategy == "keep_latest" else ():
            ttl = Ttl(minutes=said.default_ttl, strategy="keep_latest")
            await cards.write(thread_id, {}, ttl=ttl)
        gone = len(done) if said.strategy == "delete" else 0
        return Expired(deleted=gone, pruned=len(done) - gone, left=len(found) - len(done))

    async def _pruned(self, thread_id: str, strategy: TtlStrategy) -> bool:
        try:
            if strategy == "delete":
                await self.adelete_thread(thread_id)
                return True
            await self.athread(thread_id)
            pruned = await self.aprune(thread_id, keep=1, older_than=timedelta(0))
            return not pruned.skipped
        except (NotFound, ThreadBusy, EffectInDoubt):
            return False

    async def _forked_at(self, thread_id: str, head: str) -> tuple[Prefix, Lineage]:
        store = ForkStore(self._pool)
        places = await store.places(thread_id)
        found = [each for each in places if (each.namespace, each.checkpoint_id) == ("", head)]
        if not found:
            raise ThreadBusy(f"The state of thread {thread_id} was folded in this moment.")
        way = way_to(found[0])
        since = recorded_since(places, way)
        line = await store.ancestors(thread_id)
        prefix = Prefix(thread_id=thread_id, head=way[-1], taken=taken(places, way))
        return prefix, lineage_of(line, since, recorded_only=False)


class ThreadingNow(Threading, StatingNow):
    """The synchronous twins."""

    def create_thread(
        self,
        thread_id: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,  # JSON
        if_exists: IfExists = "raise",
        ttl: Ttl | None = None,
        graph: str = "",
    ) -> ThreadCard:
        """Make a thread without a run; see `acreate_thread`."""
        return run_sync(
            self.acreate_thread(
                thread_id, metadata=metadata, if_exists=if_exists, ttl=ttl, graph=graph
            )
        )

    def update_thread(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,  # JSON
        ttl: Ttl | None = None,
    ) -> ThreadCard:
        """Merge into a thread's metadata; see `aupdate_thread`."""
        return run_sync(self.aupdate_thread(thread_id, metadata=metadata, ttl=ttl))

    def note_thread(
        self, thread_id: str, metadata: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:  # JSON
        """Note on a thread what its latest run was begun with; see `anote_thread`."""
        run_sync(self.anote_thread(thread_id, metadata, config))

    def search_threads(
        self,
        wanted: Wanted,
        *,
        sort: tuple[SortBy, SortOrder] = ("updated_at", "desc"),
        limit: int = 10,
        offset: int = 0,
    ) -> list[ThreadCard]:
        """Return a page of the threads that fit; see `asearch_threads`."""
        return run_sync(self.asearch_threads(wanted, sort=sort, limit=limit, offset=offset))

    def count_threads(self, wanted: Wanted) -> int:
        """Return how many threads fit; see `acount_threads`."""
        return run_sync(self.acount_threads(wanted))

    def copy_thread(self, thread_id: str) -> ThreadCard:
        """Make a thread that goes on where another one stands; see `acopy_thread`."""
        return run_sync(self.acopy_thread(thread_id))

    def delete_thread(self, thread_id: str, *, by: str = "") -> None:
        """Delete a thread; see `adelete_thread`."""
        run_sync(self.adelete_thread(thread_id, by=by))

    def prune_threads(self, thread_ids: Sequence[str], strategy: TtlStrategy = "delete") -> int:
        """Delete or fold threads; see `aprune_threads`."""
        return run_sync(self.aprune_threads(thread_ids, strategy))

    def expire_threads(self) -> Expired:
        """Delete or fold threads whose time is over; see `aexpire_threads`."""
        return run_sync(self.aexpire_threads())
