"""What a replay shows: whether the same happened again, out of records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlock.core.runs import Run
from interlock.errors import ReplayDiverged


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A replay of a thread; it is a thread itself, so that its history can be looked at.

    Attributes:
        of: the thread that was replayed.
        run: the replay's own run.
        divergence: where and why it stopped; None when everything it asked for was recorded.
        changed: state key -> (value then, value now), where they differ at the end.
        model_calls: how many were answered from records; none was made.
        effects: how many acts were answered from the ledger; none was done.
    """

    of: str
    run: Run
    divergence: ReplayDiverged | None
    changed: Mapping[str, tuple[Any, Any]]
    model_calls: int
    effects: int

    @property
    def same(self) -> bool:
        """Whether it came to the same end."""
        return self.divergence is None and not self.changed
