"""The ways that close a cycle: around the side that is freer, short ones inside of long ones. Pure geometry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from interlock.drawing.geometry import Box, Point, Way, rounded
from interlock.drawing.shape import Edge

LANE = 20.0
"""The width of a lane without a label."""
CLEARANCE = 14.0
"""Between the graph and the innermost lane, and between a label and the next lane."""

Side = Literal[-1, 1]
"""Left or right."""
Turn = Literal["in", "out"]
"""Whether an edge enters a box or leaves it: one that leads from a node to itself does both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """An edge that closes a cycle, with the heights of its ends."""

    edge: Edge
    side: Side
    start: Point
    end: Point
    width: float

    @property
    def low(self) -> float:
        """Return the upper end of its lane."""
        return min(self.start[1], self.end[1])

    @property
    def high(self) -> float:
        """Return the lower end of its lane."""
        return max(self.start[1], self.end[1])


def around(
    edges: Sequence[Edge],
    boxes: Mapping[str, Box],
    forward: Sequence[Way],
    label_width: Callable[[str], float],
) -> list[Way]:
    """Lead each edge around a side of the graph, in a lane as wide as its label."""
    sides = {edge: _side(edge, boxes, forward) for edge in edges}
    loops = [
        _Loop(
            edge=edge,
            side=sides[edge],
            start=_end(edge, "out", sides, boxes),
            end=_end(edge, "in", sides, boxes),
            width=label_width(edge.label) if edge.label else LANE,
        )
        for edge in edges
    ]
    return [
        way
        for side in (-1, 1)
        for way in _beside([each for each in loops if each.side == side], boxes, forward)
    ]


def _side(edge: Edge, boxes: Mapping[str, Box], forward: Sequence[Way]) -> Side:
    """Return the side on which an edge crosses less; the right one when both are as good."""
    source, target = boxes[edge.source], boxes[edge.target]
    left = sum(_crossed(each, -1, boxes, forward) for each in (source, target))
    right = sum(_crossed(each, 1, boxes, forward) for each in (source, target))
    return -1 if left < right else 1


def _crossed(box: Box, side: Side, boxes: Mapping[str, Box], forward: Sequence[Way]) -> int:
    """Count what stands beside a box; a box in the way is worse than a line."""
    x, y = box.middle
    blocking = sum(
        (each.middle[0] - x) * side > 0 and each.y < y < each.y + each.height
        for each in boxes.values()
    )
    lines = sum(
        any((px - x) * side > 0 and abs(py - y) < box.height / 2 for px, py in way.points)
        for way in forward
        if box.node.id not in (way.edge.source, way.edge.target)
    )
    return 3 * blocking + lines


def _end(edge: Edge, turn: Turn, sides: Mapping[Edge, Side], boxes: Mapping[str, Box]) -> Point:
    """Return where an edge leaves or enters a side of a box: ways back enter above those that leave.

    The longest ones use the outer heights, so that lines to and from one box do not cross.
    """
    node = edge.source if turn == "out" else edge.target
    box, side = boxes[node], sides[edge]
    here = [each for each, its in sides.items() if its == side]
    entering = sorted((each for each in here if each.target == node), key=_by_length(boxes))[::-1]
    leaving = sorted((each for each in here if each.source == node), key=_by_length(boxes))
    slots = [*((each, "in") for each in entering), *((each, "out") for each in leaving)]
    place = slots.index((edge, turn))
    share = (place + 1) / (len(slots) + 1)
    return box.x + (box.width if side > 0 else 0.0), box.y + box.height * share


def _beside(loops: Sequence[_Loop], boxes: Mapping[str, Box], forward: Sequence[Way]) -> list[Way]:
    lanes = _lanes(sorted(loops, key=lambda each: each.high - each.low))
    ways = []
    taken = -math.inf  # how far out the lanes on this side reach
    for lane in lanes:
        side = lane[0].side
        own = max(_reach(boxes, forward, each) for each in lane) + CLEARANCE
        width = max(each.width for each in lane)
        middle = max(own, taken) + width / 2
        taken = middle + width / 2
        for loop in lane:
            x = middle * side
            corners = [loop.start, (x, loop.start[1]), (x, loop.end[1]), loop.end]
            spot = (x, (loop.low + loop.high) / 2)
            ways.append(Way(edge=loop.edge, points=rounded(corners), label=spot, back=True))
    return ways


def _lanes(loops: Sequence[_Loop]) -> list[list[_Loop]]:
    """Put loops into lanes from the inside out: those that pass each other need lanes of their own."""
    lanes: list[list[_Loop]] = []
    for loop in loops:
        first = 1 + max(
            (n for n, lane in enumerate(lanes) if any(_pass(loop, each) for each in lane)),
            default=-1,
        )
        if first == len(lanes):
            lanes.append([])
        lanes[first].append(loop)
    return lanes


def _pass(a: _Loop, b: _Loop) -> bool:
    return a.low <= b.high + LANE and b.low <= a.high + LANE


def _reach(boxes: Mapping[str, Box], ways: Sequence[Way], loop: _Loop) -> float:
    """Return how far out anything reaches beside a loop, on its side."""
    xs = [
        edge
        for box in boxes.values()
        if box.y <= loop.high and box.y + box.height >= loop.low
        for edge in (box.x, box.x + box.width)
    ]
    xs += [x for way in ways for x, y in way.points if loop.low <= y <= loop.high]
    return max(x * loop.side for x in xs)


def _by_length(boxes: Mapping[str, Box]) -> Callable[[Edge], float]:
    return lambda edge: math.dist(boxes[edge.source].middle, boxes[edge.target].middle)
