"""What a search hands back: the best passages, each text once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from interlock.core.corpus import Passage

_COPIES = 3


def wanted(limit: int, *, at_least: int = 0) -> int:
    """Return how many hits to look at: more than asked for, since documents repeat one another."""
    return max(limit * _COPIES, at_least) if limit > 0 else 0


def distinct(ranked: Iterable[Passage], limit: int) -> list[Passage]:
    """Return the first passages, leaving out those whose text came before."""
    return list(islice(_first_of_each(ranked), max(limit, 0)))


def _first_of_each(ranked: Iterable[Passage]) -> Iterable[Passage]:
    seen: set[str] = set()
    for passage in ranked:
        if passage["text"] not in seen:
            seen.add(passage["text"])
            yield passage
