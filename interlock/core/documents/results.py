"""What a search hands back: the best passages, each text once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from interlock.core.corpus import Passage

COPIES = 3
"""How many times as many hits as asked for are looked at, since documents repeat one another."""


def distinct(ranked: Iterable[Passage], limit: int) -> list[Passage]:
    """Return the first passages, leaving out those whose text came before."""
    return list(islice(_first_of_each(ranked), max(limit, 0)))


def _first_of_each(ranked: Iterable[Passage]) -> Iterable[Passage]:
    seen: set[str] = set()
    for passage in ranked:
        if passage["text"] not in seen:
            seen.add(passage["text"])
            yield passage
