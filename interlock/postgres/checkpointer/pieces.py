"""Cutting large values into pieces so that an edited value shares most of them with the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

PIECE_BYTES = 32 << 10
"""Length of a piece where nothing is known of an earlier value."""

HEAD_BYTES = 64
"""The first bytes are no part of any piece: they tell the value's length, and change with it."""

Cuts = tuple[tuple[int, bytes], ...]
"""The pieces of a value in order: length and name."""

Name = Callable[[memoryview], bytes]


def cut(data: memoryview, earlier: Iterable[Cuts], name: Name) -> Cuts:
    """Return the pieces of a value, cut where an earlier one was cut as far as the two agree at both ends.

    Args:
        data: the value.
        earlier: how earlier values were cut; the first that shares a piece at an end is followed.
        name: names bytes.
    """
    for cuts in earlier:
        front = _agreeing(data, cuts, name)
        behind = len(data) - sum(length for length, _ in front)
        back = _agreeing_back(data, cuts[len(front) :], behind, name)
        if front or back:
            start, stop = len(data) - behind, len(data) - sum(length for length, _ in back)
            return (*front, *_evenly(data, start, stop, name), *back)
    return tuple(_evenly(data, 0, len(data), name))


def _agreeing(data: memoryview, cuts: Cuts, name: Name) -> Cuts:
    at = 0
    for number, (length, known) in enumerate(cuts):
        if at + length > len(data) or name(data[at : at + length]) != known:
            return cuts[:number]
        at += length
    return cuts


def _agreeing_back(data: memoryview, cuts: Cuts, room: int, name: Name) -> Cuts:
    end = len(data)
    for number in range(len(cuts), 0, -1):
        length, known = cuts[number - 1]
        if length > room or name(data[end - length : end]) != known:
            return cuts[number:]
        room -= length
        end -= length
    return cuts


def _evenly(data: memoryview, start: int, stop: int, name: Name) -> Iterator[tuple[int, bytes]]:
    while start < stop:
        rest = stop - start
        length = PIECE_BYTES if rest > PIECE_BYTES * 3 // 2 else rest
        yield length, name(data[start : start + length])
        start += length


def ranges(cuts: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, end and name of each piece."""
    at = 0
    for length, name in cuts:
        yield at, at + length, name
        at += length
