"""What came of runs in the world: reported by whoever found out, often long after the run has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One report on a run.

    Attributes:
        met: whether the objective was met; None where the report does not say.
        score: how well, from 0 to 1; None where the report does not say.
        detail: more of it, as JSON.
    """

    outcome_id: int
    run_id: str
    thread_id: str
    graph: str
    met: bool | None
    score: float | None
    note: str
    reported_by: str
    reported_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSums:
    """How the runs of a graph came out, by the last report on each.

    Attributes:
        runs: that something was reported of.
        met: of which it was said that the objective was met.
        missed: of which it was said that it was not.
        score: the mean of those that were scored; None where none was.
    """

    graph: str
    runs: int
    met: int
    missed: int
    score: float | None
