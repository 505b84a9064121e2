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
        live_models: a trial: as a replay, but models are asked where their answers were not recorded.
    """

    sources: tuple[Source, ...] = ()
    recorded_only: bool = False
    live_models: bool = False

    @property
    def asks_no_model(self) -> bool:
        """Say whether model calls, too, are answered from records alone."""
        return self.recorded_only and not self.live_models

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what is stored beside the thread."""
        each = [
            {"thread_id": s.thread_id, "since": s.since, "before": s.before} for s in self.sources
        ]
        live = {"live_models": True} if self.live_models else {}
        return {"sources": each, "recorded_only": self.recorded_only, **live}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Lineage:  # JSON
        """Return what `to_json` gave; `{}` is a thread that is no fork."""
        sources = tuple(Source(**each) for each in stored.get("sources", ()))
        return cls(
            sources=sources,
            recorded_only=bool(stored.get("recorded_only", False)),
            live_models=bool(stored.get("live_models", False)),
        )
