"""Which recorded work a run may use instead of doing it again: its own, and what its parents did behind the fork."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A part of another thread's work.

    Attributes:
        since: only tasks that started from this checkpoint or a later one; ids of checkpoints sort by time.
        before: only tasks that started from an earlier checkpoint than this; empty for no bound.
    """

    thread_id: str
    since: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a thread's recorded work stands.

    Attributes:
        sources: the parent first, then its parents; empty for a thread that is no fork.
        recorded_only: a replay: what was not recorded stops it, and nothing is done or paid for.
    """

    sources: tuple[Source, ...] = ()
    recorded_only: bool = False

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what is stored beside the thread."""
        each = [
            {"thread_id": s.thread_id, "since": s.since, "before": s.before} for s in self.sources
        ]
        return {"sources": each, "recorded_only": self.recorded_only}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Lineage:  # JSON
        """Return what `to_json` gave; `{}` is a thread that is no fork."""
        sources = tuple(Source(**each) for each in stored.get("sources", ()))
        return cls(sources=sources, recorded_only=bool(stored.get("recorded_only", False)))
