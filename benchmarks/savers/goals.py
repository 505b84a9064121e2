"""Goals that a figure must not pass."""

from __future__ import annotations

from benchmarks import Goal


def at_most(name: str, value: float, limit: float, *, unit: str = "x") -> Goal:
    """Return the goal that a figure is no larger than a limit."""
    return Goal(name=name, value=value, unit=unit, goal=f"<= {limit:.3g}", met=value <= limit)


def at_least(name: str, value: float, limit: float, *, unit: str = "x") -> Goal:
    """Return the goal that a figure is no smaller than a limit."""
    return Goal(name=name, value=value, unit=unit, goal=f">= {limit:.3g}", met=value >= limit)
