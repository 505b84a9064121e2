"""Cutting lists into immutable segments, so that a list and its successor share all but what changed.

The items of a list are *tokens*: the hash of content, or something small itself. Where a segment ends is told by the
tokens alone, so that two lists which agree over some stretch are cut alike there. Segments are again tokens of longer
segments, and what is left over at the end of each level stands in the reference itself: it grows with the logarithm of
the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from interlock.postgres.checkpointer.fingerprints import agree, signed
from interlock.postgres.checkpointer.format import HASH

Link = bytes
Small = tuple[str, bytes]  # type and serialized bytes
Token = Link | Small

MINIMUM = 4 * HASH
AVERAGE = 16 * HASH
MAXIMUM = 4 * AVERAGE
"""Bytes of the tokens of a segment."""

_SCALE = (1 << 32) // AVERAGE

Store = Callable[[Sequence[Token]], Link]
"""Stores a segment and returns its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A segment of items.

    Attributes:
        sign: the fingerprint of the items; None where they have none.
        count: how many they are.
        link: the segment's hash.
    """

    sign: int | None
    count: int
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a list was cut: its segments of items, and how many items were left over."""

    leaves: tuple[Leaf, ...] = ()
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutter:
    """Cuts lists.

    Attributes:
        token: makes the token of an item.
        store: stores a segment.
        stored: tells whether a segment is known to be stored, with all that it refers to.
    """

    token: Callable[[Any], Token]  # of a list's item
    store: Store
    stored: Callable[[Link], bool]

    def cut(
        self, items: Sequence[Any], earlier: Layout
    ) -> tuple[list[Token], Layout]:  # a list's items
        """Return the tokens that stand for a list, those of the longest segments first, and how it was cut.

        Segments at both ends that look as they did in an earlier list are not serialized again.
        """
        front = self._agreeing(items, earlier.leaves)
        start = _length(front)
        back, stop = self._agreeing_back(items, start, earlier.leaves[len(front) :], earlier.left)
        changed, cut_off = self._leaves(items[start : stop - _length(back)])
        if back and cut_off:
            changed.append(self._leaf(items[: stop - _length(back)], cut_off))
        fresh, left = self._leaves(items[stop:]) if back else ([], cut_off)
        leaves = (*front, *changed, *back, *fresh)
        spine = [*self._above([leaf.link for leaf in leaves]), *left]
        return spine, Layout(leaves=leaves, left=len(left))

    def _agreeing(self, items: Sequence[Any], leaves: Sequence[Leaf]) -> Sequence[Leaf]:
        at = 0
        for number, leaf in enumerate(leaves):
            if not self._same(items[at : at + leaf.count], leaf):
                return leaves[:number]
            at += leaf.count
        return leaves

    def _agreeing_back(
        self, items: Sequence[Any], start: int, leaves: Sequence[Leaf], left: int
    ) -> tuple[Sequence[Leaf], int]:
        """Return the last segments that the list still has, and where they end; the end of the list if none."""
        for added in range(MOST_ADDED if leaves else 0):
            stop = end = len(items) - left - added
            number = len(leaves)
            while number and end - (leaf := leaves[number - 1]).count >= start:
                if not self._same(items[end - leaf.count : end], leaf):
                    break
                end -= leaf.count
                number -= 1
            if number < len(leaves):
                return leaves[number:], stop
        return (), len(items)

    def _same(self, items: Sequence[Any], leaf: Leaf) -> bool:
        return (
            leaf.sign is not None
            and len(items) == leaf.count
            and self.stored(leaf.link)
            and agree(items, leaf.sign)
        )

    def _leaves(self, items: Sequence[Any]) -> tuple[list[Leaf], list[Token]]:
        """Cut items into segments; return those, and the tokens that are left over."""
        leaves: list[Leaf] = []
        group = _Group()
        for number, item in enumerate(items, 1):
            if group.ends_with(self.token(item)):
                leaves.append(self._leaf(items[:number], group.tokens))
                group = _Group()
        return leaves, group.tokens

    def _leaf(self, items: Sequence[Any], tokens: Sequence[Token]) -> Leaf:
        """Store the last items as a segment."""
        sign = signed(items[-len(tokens) :])
        return Leaf(sign=sign, count=len(tokens), link=self.store(tokens))

    def _above(self, links: Sequence[Link]) -> list[Token]:
        """Return the tokens that stand for segments: of longer segments, and what is left over of these."""
        if not links:
            return []
        longer: list[Link] = []
        group = _Group()
        for link in links:
            if group.ends_with(link):
                longer.append(self.store(group.tokens))
                group = _Group()
        return [*self._above(longer), *group.tokens]


MOST_ADDED = 4
"""So many items may have come to a list whose beginning was cut off, for its segments to be found again."""


class _Group:
    """Tokens until their segment ends."""

    __slots__ = ("_mark", "_weight", "tokens")

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self._weight = 0
        self._mark = 0

    def ends_with(self, token: Token) -> bool:
        """Add a token; tell whether the segment ends with it."""
        self.tokens.append(token)
        if isinstance(token, bytes):
            weight, self._mark = HASH, int.from_bytes(token[:4], "big")
        else:
            weight = len(token[1]) + 1
            self._mark = crc32(token[1], self._mark)
        self._weight += weight
        return self._weight >= MAXIMUM or (self._weight >= MINIMUM and self._mark < weight * _SCALE)


def _length(leaves: Sequence[Leaf]) -> int:
    return sum(leaf.count for leaf in leaves)


def skeleton(tokens: Sequence[Token]) -> tuple[list[Link], list[Any]]:
    """Return the links among some tokens, and the entries that say where they stand."""
    entries: list[Any] = []
    for token in tokens:
        if isinstance(token, tuple):
            entries.append(token[1] if token[0] == "msgpack" else list(token))
        elif entries and isinstance(entries[-1], int):
            entries[-1] += 1
        else:
            entries.append(1)
    return [token for token in tokens if isinstance(token, bytes)], entries
