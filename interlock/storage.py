"""What is stored: folds threads to what matters, collects blobs that nothing names, says what takes how much."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from interlock.application import Graph
from interlock.core.blobs import Blobs
from interlock.core.context import Ports
from interlock.core.renaming import with_old_names
from interlock.core.retention import Keep
from interlock.core.sync import run_sync
from interlock.errors import NotFound, ThreadBusy, UsageError
from interlock.postgres.checkpointer import Core
from interlock.postgres.checkpoints import Saver, strict_serializer
from interlock.postgres.collecting import Collected, Collector
from interlock.postgres.encryption import KeyRing
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import Pool
from interlock.postgres.retention import RetentionStore
from interlock.postgres.runs import RunStore
from interlock.pruning import Pruner

KEEP = 20
"""Newest checkpoints of each graph on a thread that are kept unless more or fewer are asked for."""

AGE = timedelta(days=7)
"""How old a checkpoint must be to be folded unless another age is asked for."""

GRACE = timedelta(hours=1)
"""How long a blob that nothing names is kept: it may be on its way into a state."""

THREADS_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of one thread.

    Attributes:
        checkpoints_before: of the thread's own graph and its subgraphs.
        bytes_before: of their rows, values, writes and content; content that threads share counts for each of them.
        bytes_after: on a dry run an estimate: what is written down whole in place of what goes is not counted.
        kept: for how many checkpoints each reason to keep them holds.
        skipped: why nothing was done; empty where it was.
    """

    thread_id: str
    checkpoints_before: int = 0
    checkpoints_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)
    skipped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What became of all threads that were looked at; `dry_run` when nothing was changed."""

    threads: tuple[Pruned, ...]
    dry_run: bool = False

    @property
    def checkpoints(self) -> tuple[int, int]:
        """Before and after."""
        return (
            sum(each.checkpoints_before for each in self.threads),
            sum(each.checkpoints_after for each in self.threads),
        )

    @property
    def bytes(self) -> tuple[int, int]:
        """Before and after."""
        return (
            sum(each.bytes_before for each in self.threads),
            sum(each.bytes_after for each in self.threads),
        )

    @property
    def skipped(self) -> dict[str, int]:
        """For how many threads each reason to leave them alone held."""
        return dict(Counter(each.skipped for each in self.threads if each.skipped))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database holds.

    Attributes:
        tables: bytes by what they are for, the largest first, indexes included.
        rows: how many rows those have, as the database last estimated it.
        blob_bytes: of the blobs themselves, as they were stored.
    """

    tables: Mapping[str, int]
    threads: int
    checkpoints: int
    blobs: int
    blob_bytes: int
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(self.tables.values())


class Storage(ABC):
    """The part of the runtime that keeps what it stores small."""

    store: RunStore
    _pool: Pool
    _locks: ThreadLocks
    _ports: Ports
    _ring: KeyRing | None
    _core: Core

    @abstractmethod
    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph, without a checkpointer."""

    @property
    def blobs(self) -> Blobs:
        """Large bytes beside the state; what is stored outside of a run must be named by one within an hour."""
        return self._ports.blobs

    async def aprune(
        self,
        thread_id: str | None = None,
        *,
        keep: int = KEEP,
        older_than: timedelta = AGE,
        calls: bool = False,
        dry_run: bool = False,
        told: Callable[[Pruned], None] = lambda each: None,
    ) -> Pruning:
        """Fold the checkpoints of a thread, or of all, into those that matter.

        Always kept: the first and the last, those that questions, forks, replays, effects and refusals point to,
        milestones of the graph, and what these need to open, fork and replay. Threads that are being run are left
        alone, and those of graphs that this application does not have; a run that begins meanwhile waits for the batch
        to end.

        Args:
            thread_id: the thread; all threads of the runtime unless given.
            keep: so many of the newest checkpoints of each graph on a thread are kept, too.
            older_than: younger checkpoints are kept, too.
            calls: keep also the checkpoints that model calls and reads were recorded at. Replays do not need them.
            dry_run: only say what would be done.
            told: is called with each thread that was looked at.

        Raises:
            NotFound: no such thread.
            UsageError: `keep` or `older_than` is negative.
        """
        if keep < 0 or older_than < timedelta(0):
            raise UsageError(
                "What is kept cannot be negative.", hint="0 keeps no more than what always is."
            )
        found: list[Pruned] = []
        since = datetime.now(UTC) - older_than if older_than else None
        async for each in self._threads(thread_id):
            pruner = await self._pruner(each, Keep(last=keep, since=since), calls=calls)
            found.append(await _done(each, pruner, dry_run=dry_run))
            told(found[-1])
        return Pruning(threads=tuple(found), dry_run=dry_run)

    async def acollect_blobs(
        self, *, older_than: timedelta = GRACE, dry_run: bool = False
    ) -> Collected:
        """Take away the blobs that nothing names: no state, write, effect, question, recorded call or input.

        Args:
            older_than: a blob that was stored, or lost its last name, more recently is left.
            dry_run: only say what would go; what threads lost since they were last looked at is not looked up.
        """
        collector = Collector(self._pool, self._reader_of, older_than)
        return await (collector.preview() if dry_run else collector.collect())

    async def astorage(self) -> Stored:
        """Return what takes how much."""
        store = RetentionStore(self._pool)
        counts = await store.counts()
        found = await store.tables()
        return Stored(
            tables={row["purpose"]: row["bytes"] for row in found},
            rows={row["purpose"]: row["rows"] for row in found},
            **counts,
        )

    async def _threads(self, thread_id: str | None) -> AsyncIterator[str]:
        if thread_id is not None:
            yield await self.store.full_thread_id(thread_id)
            return
        store, after = RetentionStore(self._pool), ""
        while found := await store.threads(after, THREADS_AT_ONCE):
            for each in found:
                yield each
            after = found[-1]

    async def _pruner(self, thread_id: str, keep: Keep, *, calls: bool) -> Pruner | None:
        graph = await self._reader_of(thread_id)
        return Pruner(self._pool, graph, thread_id, keep, calls=calls) if graph else None

    async def _reader_of(self, thread_id: str) -> Graph | None:
        """Return the graph of a thread; None where this application does not have it, or it cannot be imported."""
        try:
            graph = with_old_names(self.graph((await self.store.thread(thread_id))["graph"]))
        except (NotFound, UsageError):
            return None
        serde = strict_serializer(graph, self._ring)
        # Values as they are stored, of whatever version: what is written down again must stay of that version.
        saver = Saver(self._pool, serde, self._locks.check, core=self._core)
        bare: Graph = graph.copy({"checkpointer": saver})
        return bare


class StorageNow(Storage):
    """The synchronous twins."""

    def prune(
        self,
        thread_id: str | None = None,
        *,
        keep: int = KEEP,
        older_than: timedelta = AGE,
        calls: bool = False,
        dry_run: bool = False,
        told: Callable[[Pruned], None] = lambda each: None,
    ) -> Pruning:
        """Fold the checkpoints of a thread, or of all, into those that matter; see `aprune`."""
        return run_sync(
            self.aprune(
                thread_id,
                keep=keep,
                older_than=older_than,
                calls=calls,
                dry_run=dry_run,
                told=told,
            )
        )

    def collect_blobs(self, *, older_than: timedelta = GRACE, dry_run: bool = False) -> Collected:
        """Take away the blobs that nothing names; see `acollect_blobs`."""
        return run_sync(self.acollect_blobs(older_than=older_than, dry_run=dry_run))

    def storage(self) -> Stored:
        """Return what takes how much; see `astorage`."""
        return run_sync(self.astorage())


async def _done(thread_id: str, pruner: Pruner | None, *, dry_run: bool) -> Pruned:
    if pruner is None:
        return Pruned(thread_id=thread_id, skipped="its graph is not in this application")
    try:
        return await (_previewed(thread_id, pruner) if dry_run else _pruned(thread_id, pruner))
    except ThreadBusy:
        return Pruned(thread_id=thread_id, skipped="being run")


async def _previewed(thread_id: str, pruner: Pruner) -> Pruned:
    plan, size, saved = await pruner.preview()
    return Pruned(
        thread_id=thread_id,
        checkpoints_before=size.checkpoints,
        checkpoints_after=len(plan.kept),
        bytes_before=size.bytes,
        bytes_after=size.bytes - saved,
        kept=plan.reasons,
    )


async def _pruned(thread_id: str, pruner: Pruner) -> Pruned:
    before = await pruner.size()
    while (plan := await pruner.batch()).folded or plan.seams:
        pass
    await pruner.collect()
    after = await pruner.size()
    return Pruned(
        thread_id=thread_id,
        checkpoints_before=before.checkpoints,
        checkpoints_after=after.checkpoints,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        kept=plan.reasons,
    )
