"""Reports on what came of runs, as the runtime offers them."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from interlock.core.outcomes import Outcome, OutcomeSums
from interlock.core.sync import run_sync
from interlock.errors import UsageError
from interlock.postgres.ended import Endings
from interlock.postgres.outcomes import OutcomeStore
from interlock.postgres.pool import Pool
from interlock.settings import Settings


class Reporting(ABC):
    """The part of the runtime that learns what came of runs."""

    settings: Settings
    endings: Endings
    _pool: Pool

    async def areport_outcome(
        self,
        name: str,
        *,
        met: bool | None = None,
        score: float | None = None,
        note: str = "",
        detail: Mapping[str, Any] | None = None,  # JSON
        by: str = "",
    ) -> Outcome:
        """Write down what came of a run in the world; a later report does not erase an earlier one.

        Args:
            name: of the run; or of a thread, for the run that it is at.
            met: whether the objective was met.
            score: how well, from 0 to 1.
            note: in words.
            detail: more of it.
            by: who says so.

        Raises:
            NotFound: there is no such run or thread.
            UsageError: nothing is said, or the score is not between 0 and 1.
        """
        if met is None and score is None and not note.strip() and not detail:
            raise UsageError(
                "The report says nothing.", hint="Say whether it was met, a score or a note."
            )
        if score is not None and not (math.isfinite(score) and 0 <= score <= 1):
            raise UsageError(f"The score {score} is not between 0 and 1.")
        store = OutcomeStore(self._pool)
        run_id = await self.endings.named(name)
        number = await store.report(
            run_id,
            met=met,
            score=score,
            note=note,
            detail=detail or {},
            by=by or self.settings.user,
        )
        return await store.one(number)

    async def aoutcomes(
        self,
        name: str | None = None,
        *,
        graph: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Outcome]:
        """Return reports, the latest first; of one run, or of the run that a thread is at. Raises `NotFound`."""
        run_id = None if name is None else await self.endings.named(name)
        return await OutcomeStore(self._pool).outcomes(
            run_id=run_id, graph=graph, since=since, limit=limit
        )

    async def aoutcome_sums(self, since: datetime | None = None) -> list[OutcomeSums]:
        """Return how the runs of each graph came out, by the last report on each run."""
        return await OutcomeStore(self._pool).sums(since)


class ReportingNow(Reporting):
    """The synchronous twins."""

    def report_outcome(
        self,
        name: str,
        *,
        met: bool | None = None,
        score: float | None = None,
        note: str = "",
        detail: Mapping[str, Any] | None = None,  # JSON
        by: str = "",
    ) -> Outcome:
        """Write down what came of a run; see `areport_outcome`."""
        return run_sync(
            self.areport_outcome(name, met=met, score=score, note=note, detail=detail, by=by)
        )

    def outcomes(
        self,
        name: str | None = None,
        *,
        graph: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Outcome]:
        """Return reports; see `aoutcomes`."""
        return run_sync(self.aoutcomes(name, graph=graph, since=since, limit=limit))

    def outcome_sums(self, since: datetime | None = None) -> list[OutcomeSums]:
        """Return how the runs of each graph came out; see `aoutcome_sums`."""
        return run_sync(self.aoutcome_sums(since))
