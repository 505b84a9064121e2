"""Cutting lists into immutable segments, so that a list and its successor share all but what changed.

The items of a list are *tokens*: the hash of content, or something small itself. Where a segment ends is told by the
tokens alone, so that two lists which agree over some stretch are cut alike there. Segments are again tokens of longer
segments, and what is left over at the end of each level stands in the reference itself: it grows with the logarithm of
the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
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

MOST_ADDED = 4
"""So many items may have come to a list whose beginning was cut off, for its segments to be found again."""

_SCALE = (1 << 32) // AVERAGE


class Item(NamedTuple):
    """An item of a list, serialized.

    Attributes:
        token: what stands for it.
        kind: its type, as the serializer calls it.
        data: its bytes; None for what is stored in pieces.
    """

    token: Token
    kind: str = ""
    data: bytes | None = None


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
        serialize: serializes an item.
        pack: stores a segment of items, and returns its hash.
        store: stores a segment of segments, and returns its hash.
        stored: tells whether a segment is known to be stored, with all that it refers to.
    """

    serialize: Callable[[Any], Item]  # of a list's item
    pack: Callable[[Sequence[Item]], Link]
    store: Callable[[Sequence[Link]], Link]
    stored: Callable[[Link], bool]

    def cut(
        self,
        items: Sequence[Any],  # a list's
        earlier: Layout,
    ) -> tuple[list[Link], list[Item], Layout]:
        """Return the segments that stand for a list, the longest first; the items behind them; and how it was cut.

        Segments at both ends that look as they did in an earlier list are not serialized again.
        """
        front = self._agreeing(items, earlier.leaves)
        back, stop = self._agreeing_back(items, front, earlier)
        edited, left = self._leaves(items[_length(front) : stop - _length(back)])
        fresh: list[Leaf] = []
        if back:
            cut_off = items[stop - _length(back) - len(left) : stop - _length(back)]
            edited += [self._leaf(cut_off, left)] if left else []
            fresh, left = self._leaves(items[stop:])
        leaves = (*front, *edited, *back, *fresh)
        spine = self._above([leaf.link for leaf in leaves])
        return spine, left, Layout(leaves=leaves, left=len(left))

    def _agreeing(self, items: Sequence[Any], leaves: Sequence[Leaf]) -> Sequence[Leaf]:
        at = 0
        for number, leaf in enumerate(leaves):
            if not self._same(items[at : at + leaf.count], leaf):
                return leaves[:number]
            at += leaf.count
        return leaves

    def _agreeing_back(
        self, items: Sequence[Any], front: Sequence[Leaf], earlier: Layout
    ) -> tuple[Sequence[Leaf], int]:
        """Return the last segments that the list still has, and where they end; the end of the list if none."""
        leaves = earlier.leaves[len(front) :]
        for added in range(MOST_ADDED if leaves else 0):
            stop = len(items) - earlier.left - added
            if back := self._agreeing_until(items, _length(front), stop, leaves):
                return back, stop
        return (), len(items)

    def _agreeing_until(
        self, items: Sequence[Any], start: int, stop: int, leaves: Sequence[Leaf]
    ) -> Sequence[Leaf]:
        for number in range(len(leaves), 0, -1):
            leaf = leaves[number - 1]
            if stop - leaf.count < start or not self._same(items[stop - leaf.count : stop], leaf):
                return leaves[number:]
            stop -= leaf.count
        return leaves

    def _same(self, items: Sequence[Any], leaf: Leaf) -> bool:
        return (
            leaf.sign is not None
            and len(items) == leaf.count
            and self.stored(leaf.link)
            and agree(items, leaf.sign)
        )

    def _leaves(self, items: Sequence[Any]) -> tuple[list[Leaf], list[Item]]:
        """Cut items into segments; return those, and the items that are left over."""
        leaves: list[Leaf] = []
        group: list[Item] = []
        end = _End()
        for number, item in enumerate(items, 1):
            group.append(self.serialize(item))
            if end.after(group[-1].token):
                leaves.append(self._leaf(items[number - len(group) : number], group))
                group = []
        return leaves, group

    def _leaf(self, items: Sequence[Any], serialized: Sequence[Item]) -> Leaf:
        return Leaf(sign=signed(items), count=len(items), link=self.pack(serialized))

    def _above(self, links: Sequence[Link]) -> list[Link]:
        """Return what stands for segments: longer segments, and those that are left over."""
        if not links:
            return []
        longer: list[Link] = []
        group: list[Link] = []
        end = _End()
        for link in links:
            group.append(link)
            if end.after(link):
                longer.append(self.store(group))
                group = []
        return [*self._above(longer), *group]


class _End:
    """Tells where segments end: by what their tokens are, within bounds."""

    __slots__ = ("_mark", "_weight")

    def __init__(self) -> None:
        self._weight = 0
        self._mark = 0

    def after(self, token: Token) -> bool:
        """Tell whether the segment ends with this token; the next one begins a new segment then."""
        if isinstance(token, bytes):
            weight, self._mark = HASH, int.from_bytes(token[:4], "big")
        else:
            weight = len(token[1]) + 1
            self._mark = crc32(token[1], self._mark)
        self._weight += weight
        ends = self._weight >= MAXIMUM or (self._weight >= MINIMUM and self._mark < weight * _SCALE)
        if ends:
            self._weight = self._mark = 0
        return ends


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
