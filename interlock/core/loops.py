"""The loop guard: from a trail of what nodes were given and gave, a verdict whether a graph goes round in circles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """When a graph is taken to go round in circles, and what is cleared when it is taken back.

    Attributes:
        repeats: how often the same node may be given the same and give the same.
        memory: state keys of the short-term memory, which are cleared when the run is taken back.
    """

    repeats: int = 3
    memory: tuple[str, ...] = ()
