"""Compares the code with every thread that has not ended, before a deployment or a resume finds out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from interlock.application import Graph
from interlock.comparing import Checks
from interlock.core.context import Ports
from interlock.core.sync import run_sync
from interlock.errors import InterlockError, ResumeRefused
from interlock.fitting import (
    Problem,
    clause,
)
from interlock.postgres.checking import CheckStore
from interlock.postgres.encryption import KeyRing
from interlock.postgres.pool import Pool
from interlock.postgres.stored_runs import StoredRun

BATCH = 200
"""Threads that are asked for at once."""

Progress = Callable[[int, int], None]
"""Told how many threads were looked at, of how many."""


class Read(Protocol):
    """Reads runs, some at a time."""

    async def __call__(
        self, graph: str | None, *, after: int, limit: int
    ) -> tuple[int, list[StoredRun]]:
        """Return some, and the number after which the next ones are."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A thread that this code could not go on with.

    Attributes:
        status: of its latest run.
        problems: all that was found.
    """

    thread_id: str
    graph: str
    status: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found: how many threads it looked at, and those that would break."""

    threads: int
    broken: tuple[Broken, ...]


class Checking(ABC):
    """The part of the runtime that says what a deployment would break."""

    _pool: Pool
    _ring: KeyRing | None
    _ports: Ports

    @abstractmethod
    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph."""

    async def acheck(
        self, *, graph: str | None = None, progress: Progress | None = None
    ) -> Checked:
        """Compare the code with every thread whose latest run has not ended, and with what is queued; changes nothing.

        Args:
            graph: only threads of this graph.
            progress: told now and then how many threads were looked at, of how many.

        Raises:
            NotFound: no thread that has not ended is of that graph, nor has the application one.
        """
        store, checks = CheckStore(self._pool), self._checks
        total, done = await store.count(graph), 0
        if graph is not None and not total:
            self.graph(graph)  # a misspelt name must not pass for one that is fine
        broken: dict[str, Broken] = {}
        policy = self._policy_problem()
        async for batch in _batches(store.unfinished, graph):
            found = await checks.problems(batch)
            for stored, problems in zip(batch, found, strict=True):
                if every := (*policy, *problems):
                    broken[stored.run.thread_id] = _broken(stored, every)
            done += len(batch)
            if progress is not None:
                progress(done, max(total, done))
        await self._note_queued(store, graph, broken)
        return Checked(threads=done, broken=tuple(broken.values()))

    async def _note_queued(
        self, store: CheckStore, graph: str | None, broken: dict[str, Broken]
    ) -> None:
        """Add what would break of runs that are queued behind the one that their thread is at."""
        async for batch in _batches(store.queued, graph):
            for stored in batch:
                if found := self._checks.queued_problems(stored):
                    thread = stored.run.thread_id
                    known = broken.get(thread) or _broken(stored, ())
                    broken[thread] = replace(known, problems=(*known.problems, *found))

    async def _refuse_misfit(self, stored: StoredRun) -> None:
        """Raise `ResumeRefused` for exactly the threads that `acheck` lists."""
        [problems] = await self._checks.problems([stored])
        if problems:
            first, *others = problems
            more = "".join(f" Also, {each.text}." for each in others)
            raise ResumeRefused(
                f"Thread {stored.run.thread_id} cannot go on: {first.text}.{more}", hint=first.hint
            )

    @cached_property
    def _checks(self) -> Checks:
        return Checks(self.graph, self._pool, self._ring)

    def _policy_problem(self) -> tuple[Problem, ...]:
        try:
            self._ports.policy.current()
        except InterlockError as error:
            text = f"the policy cannot be read: {clause(error)}"
            return (Problem(kind="policy", text=text, hint=error.hint),)
        return ()


class CheckingNow(Checking):
    """The synchronous twins."""

    def check(self, *, graph: str | None = None, progress: Progress | None = None) -> Checked:
        """Compare the code with every thread whose latest run has not ended; see `acheck`."""
        return run_sync(self.acheck(graph=graph, progress=progress))


def _broken(stored: StoredRun, problems: tuple[Problem, ...]) -> Broken:
    run = stored.run
    return Broken(thread_id=run.thread_id, graph=run.graph, status=run.status, problems=problems)


async def _batches(read: Read, graph: str | None) -> AsyncIterator[list[StoredRun]]:
    after = 0
    while True:
        after, batch = await read(graph, after=after, limit=BATCH)
        if not batch:
            return
        yield batch
