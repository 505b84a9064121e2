"""Places and lines: what a layout is made of, and how lines bend. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from interlock.drawing.shape import Edge, Node

Point = tuple[float, float]
Size = tuple[float, float]

RADIUS = 12.0
CURVE_STEPS = 24
CORNER_STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node's place: its upper left corner and its size; `inner` has its own places, absolute too."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    inner: Layout | None = None

    @property
    def middle(self) -> Point:
        """Return the centre."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """An edge's line from the border of its source to the border of its target.

    Attributes:
        label: where the middle of the edge's label goes.
        back: whether the edge closes a cycle.
    """

    edge: Edge
    points: tuple[Point, ...]
    label: Point
    back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A drawing's geometry; nothing lies left of or above the origin."""

    width: float
    height: float
    boxes: tuple[Box, ...] = ()
    ways: tuple[Way, ...] = ()

    def moved(self, x: float, y: float) -> Layout:
        """Return the same, moved."""
        return replace(
            self,
            boxes=tuple(_moved_box(box, x, y) for box in self.boxes),
            ways=tuple(_moved_way(way, x, y) for way in self.ways),
        )


def curved(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return a smooth line through points that leaves and enters each of them vertically."""
    line: list[Point] = [points[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if math.isclose(x0, x1):
            line.append((x1, y1))
            continue
        bend = (y1 - y0) / 2
        for number in range(1, CURVE_STEPS + 1):
            t = number / CURVE_STEPS
            line.append(_bezier((x0, y0), (x0, y0 + bend), (x1, y1 - bend), (x1, y1), t))
    return tuple(line)


def rounded(corners: Sequence[Point]) -> tuple[Point, ...]:
    """Return a line through corners, each of them rounded."""
    line: list[Point] = [corners[0]]
    for before, corner, behind in zip(corners, corners[1:], corners[2:], strict=False):
        radius = min(RADIUS, math.dist(before, corner) / 2, math.dist(corner, behind) / 2)
        start, end = _towards(corner, before, radius), _towards(corner, behind, radius)
        for number in range(CORNER_STEPS + 1):
            line.append(_bezier(start, corner, corner, end, number / CORNER_STEPS))
    return (*line, corners[-1])


def halfway(points: Sequence[Point]) -> Point:
    """Return the point in the middle of a line's length."""
    pieces = list(itertools.pairwise(points))
    left = sum(math.dist(a, b) for a, b in pieces) / 2
    for a, b in pieces:
        length = math.dist(a, b)
        if length >= left:
            return _towards(a, b, left)
        left -= length
    return points[-1]


def _bezier(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    s = 1 - t
    weights = (s**3, 3 * s * s * t, 3 * s * t * t, t**3)
    x, y = (sum(w * p[axis] for w, p in zip(weights, (a, b, c, d), strict=True)) for axis in (0, 1))
    return x, y


def _towards(point: Point, other: Point, distance: float) -> Point:
    share = distance / (math.dist(point, other) or 1.0)
    return point[0] + (other[0] - point[0]) * share, point[1] + (other[1] - point[1]) * share


def _moved_box(box: Box, x: float, y: float) -> Box:
    inner = None if box.inner is None else box.inner.moved(x, y)
    return replace(box, x=box.x + x, y=box.y + y, inner=inner)


def _moved_way(way: Way, x: float, y: float) -> Way:
    points = tuple((px + x, py + y) for px, py in way.points)
    return replace(way, points=points, label=(way.label[0] + x, way.label[1] + y))
