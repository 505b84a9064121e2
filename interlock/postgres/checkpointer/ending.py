"""Runs that end in the same commit as their last checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.postgres.checkpointer.arrays import FloatArray, IntArray, TextArray


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a run that has succeeded, and what it is charged with.

    Attributes:
        attempt: which of its attempts ends it; nothing ends when it is not the present one.
        budgets: kinds and names of the budgets that are charged.
        steps: supersteps that were not charged before.
        seconds: at work.
    """

    run: str
    attempt: int
    budgets: Sequence[tuple[str, str]] = ()
    steps: int = 0
    seconds: float = 0.0


def end_values(ends: Iterable[End]) -> dict[str, Any]:  # SQL values
    """Return the values of `interlock.finish_charged`."""
    ends = list(ends)
    charged = [(each, kind, name) for each in ends for kind, name in each.budgets]
    return {
        "end_run": TextArray(each.run for each in ends),
        "end_attempt": IntArray(each.attempt for each in ends),
        "charge_run": TextArray(each.run for each, _, _ in charged),
        "charge_kind": TextArray(kind for _, kind, _ in charged),
        "charge_name": TextArray(name for _, _, name in charged),
        "charge_steps": IntArray(each.steps for each, _, _ in charged),
        "charge_seconds": FloatArray(each.seconds for each, _, _ in charged),
    }


NO_ENDS: Mapping[str, Any] = end_values(())  # SQL values
"""The values of a flush that ends nothing."""
