"""Dead letters, as the runtime offers them: list, look, replay, discard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from langgraph.types import StateSnapshot

from interlock.application import Graph
from interlock.core.effects import Effect
from interlock.core.failures import FailureKind
from interlock.core.letters import Closed, Letter, LetterDetail, LetterStatus
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import DatabaseUnavailable, InterlockError, UsageError
from interlock.past import Past
from interlock.postgres.effects import EffectStore
from interlock.postgres.letters import LetterStore
from interlock.postgres.plain import plain
from interlock.postgres.pool import Pool, translated
from interlock.postgres.runs import RunStore
from interlock.settings import Settings


class Letters(ABC):
    """The part of the runtime that deals with runs that died."""

    settings: Settings
    store: RunStore
    effects_store: EffectStore
    _pool: Pool
    _past: Past

    @abstractmethod
    def _durable(self, name: str) -> Graph: ...

    async def aletters(
        self,
        *,
        status: LetterStatus | None = "open",
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Letter]:
        """Return dead letters, the newest first.

        Args:
            status: how they stand; None for any.
            kind: of the failure.
            graph: its name.
            tenant: on whose behalf the runs were.
            since: only those that were written then or later.
            limit: how many at most; None for all.
        """
        return await self._letters.letters(
            status=status, kind=kind, graph=graph, tenant=tenant, since=since, limit=limit
        )

    async def aletter(self, letter_id: str) -> LetterDetail:
        """Return a letter with its run's state, tries, model calls and effects, and what a replay would do.

        Args:
            letter_id: its id, or the beginning of it.

        Raises:
            NotFound: no such letter.
            UsageError: several ids begin like this.
        """
        letters = self._letters
        letter = await letters.letter(await letters.full_id(letter_id))
        stored = await self.store.stored(letter.run_id)
        runs = list(stored.chain)
        found, problem = await self._state_of(stored.run)
        return LetterDetail(
            letter=letter,
            run=stored.run,
            step=(found.metadata or {}).get("step") if found else None,
            state=_state(found) if found else None,
            state_problem=problem,
            next=tuple(found.next) if found else (),
            events=await letters.events(runs),
            effects=tuple(await self._effects_of(letter.thread_id, runs)),
            calls=await letters.calls(letter.thread_id, runs),
            refused=await letters.why_not(letter),
            behind=await letters.behind(letter.thread_id),
        )

    async def aletter_replay(self, letter_id: str, *, reason: str = "", by: str = "") -> Letter:
        """Hand the run of a letter to the workers again: from its last checkpoint, with its tries forgotten.

        Args:
            letter_id: its id, or the beginning of it.
            reason: for whoever looks later: what has changed.
            by: who says so.

        Raises:
            NotFound: no such letter.
            UsageError: it is closed, or its thread has gone on since.
            Killed: a switch stands over the run.
        """
        full = await self._letters.full_id(letter_id)
        return await self._letters.replay(full, by=by or self.settings.user, why=reason)

    async def aletter_discard(self, letter_id: str, *, reason: str, by: str = "") -> Letter:
        """Give the run of a letter up for good: it is cancelled, and what waits on its thread goes on.

        Args:
            letter_id: its id, or the beginning of it.
            reason: for whoever looks later.
            by: who says so.

        Raises:
            NotFound: no such letter.
            UsageError: no reason, or it is closed.
        """
        if not reason.strip():
            raise UsageError(
                "A letter is discarded for a reason.", hint="Say why nobody needs its run any more."
            )
        full = await self._letters.full_id(letter_id)
        return await self._letters.discard(full, by=by or self.settings.user, why=reason)

    async def aletters_replay(
        self,
        *,
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        reason: str = "",
        by: str = "",
    ) -> list[Closed]:
        """Replay all open letters that fit, the oldest first, and say which could not be; see `aletter_replay`."""
        found = await self.aletters(kind=kind, graph=graph, tenant=tenant, since=since)
        return [await self._tried(each, None, reason, by) for each in reversed(found)]

    async def aletters_discard(
        self,
        *,
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        reason: str,
        by: str = "",
    ) -> list[Closed]:
        """Discard all open letters that fit, the oldest first; see `aletter_discard`."""
        found = await self.aletters(kind=kind, graph=graph, tenant=tenant, since=since)
        return [await self._tried(each, "discard", reason, by) for each in reversed(found)]

    @property
    def _letters(self) -> LetterStore:
        return LetterStore(self._pool)

    async def _tried(self, letter: Letter, how: str | None, reason: str, by: str) -> Closed:
        try:
            if how == "discard":
                return Closed(letter=await self.aletter_discard(letter.id, reason=reason, by=by))
            return Closed(letter=await self.aletter_replay(letter.id, reason=reason, by=by))
        except DatabaseUnavailable:
            raise
        except InterlockError as error:  # of one letter; the others are not hindered
            return Closed(letter=letter, refused=str(error))

    async def _state_of(self, run: Run) -> tuple[StateSnapshot | None, str]:
        """Return a thread's last checkpoint; None when there is none, or with why it cannot be read."""
        try:
            compiled = self._durable(run.graph)
        except InterlockError as error:  # its code is not here, or is what has failed
            return None, str(error)
        config: Any = {"configurable": {"thread_id": run.thread_id}}  # LangGraph's
        with translated():
            found = await self._past.steady(run.thread_id, lambda: compiled.aget_state(config))
        return (found, "") if found.created_at else (None, "It died before its first checkpoint.")

    async def _effects_of(self, thread_id: str, runs: Sequence[str]) -> list[Effect]:
        found = await self.effects_store.effects(thread_id)
        return [each for each in found if each.run_id in runs]


class LettersNow(Letters):
    """The synchronous twins."""

    def letters(
        self,
        *,
        status: LetterStatus | None = "open",
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Letter]:
        """Return dead letters, the newest first; see `aletters`."""
        return run_sync(
            self.aletters(
                status=status, kind=kind, graph=graph, tenant=tenant, since=since, limit=limit
            )
        )

    def letter(self, letter_id: str) -> LetterDetail:
        """Return a letter with all that is known of its run; see `aletter`."""
        return run_sync(self.aletter(letter_id))

    def letter_replay(self, letter_id: str, *, reason: str = "", by: str = "") -> Letter:
        """Hand the run of a letter to the workers again; see `aletter_replay`."""
        return run_sync(self.aletter_replay(letter_id, reason=reason, by=by))

    def letter_discard(self, letter_id: str, *, reason: str, by: str = "") -> Letter:
        """Give the run of a letter up for good; see `aletter_discard`."""
        return run_sync(self.aletter_discard(letter_id, reason=reason, by=by))

    def letters_replay(
        self,
        *,
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        reason: str = "",
        by: str = "",
    ) -> list[Closed]:
        """Replay all open letters that fit; see `aletters_replay`."""
        return run_sync(
            self.aletters_replay(
                kind=kind, graph=graph, tenant=tenant, since=since, reason=reason, by=by
            )
        )

    def letters_discard(
        self,
        *,
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        reason: str,
        by: str = "",
    ) -> list[Closed]:
        """Discard all open letters that fit; see `aletters_discard`."""
        return run_sync(
            self.aletters_discard(
                kind=kind, graph=graph, tenant=tenant, since=since, reason=reason, by=by
            )
        )


def _state(snapshot: StateSnapshot) -> Mapping[str, Any]:  # JSON
    values = plain(snapshot.values)
    return values if isinstance(values, dict) else {"value": values}
