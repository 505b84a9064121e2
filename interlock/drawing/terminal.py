"""A graph as text: one row per node, ways down on the left, ways back up on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from interlock.drawing.shape import LABELS, Edge, Marks, Node, Shape, loops_back
from interlock.wording import TIMES

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
LINES = {
    UP | DOWN: "│",
    LEFT | RIGHT: "─",
    DOWN | RIGHT: "╭",
    DOWN | LEFT: "╮",
    UP | RIGHT: "╰",
    UP | LEFT: "╯",
    UP | DOWN | RIGHT: "├",
    UP | DOWN | LEFT: "┤",
    DOWN | LEFT | RIGHT: "┬",
    UP | LEFT | RIGHT: "┴",
    UP | DOWN | LEFT | RIGHT: "┼",
}
DASHED = {UP | DOWN: "┊", LEFT | RIGHT: "╌"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arc:
    """A way between two rows, and the lane beside the boxes that it runs in."""

    edge: Edge
    top: int
    bottom: int
    lane: int = 0


@dataclass(slots=True)
class _Canvas:
    """Characters at places, and lines that join where they meet."""

    cells: dict[tuple[int, int], str] = field(default_factory=dict)
    joints: dict[tuple[int, int], tuple[int, bool]] = field(default_factory=dict)

    def put(self, row: int, column: int, text: str) -> None:
        """Write a text from a place to the right."""
        for number, character in enumerate(text):
            self.cells[row, column + number] = character

    def line(self, row: int, column: int, directions: int, *, dashed: bool) -> None:
        """Draw a piece of a line, joined to what is there."""
        before, was_dashed = self.joints.get((row, column), (0, True))
        self.joints[row, column] = (before | directions, dashed and was_dashed)

    def lines(self) -> list[str]:
        """Return the rows without the blanks at their ends."""
        drawn = {place: _character(*joint) for place, joint in self.joints.items()} | self.cells
        rows = max((row for row, _ in drawn), default=-1) + 1
        width = max((column for _, column in drawn), default=-1) + 1
        return [
            "".join(drawn.get((row, column), " ") for column in range(width)).rstrip()
            for row in range(rows)
        ]


def _character(directions: int, dashed: bool) -> str:
    return (DASHED if dashed else LINES).get(directions) or LINES[directions]


def draw_text(shape: Shape, marks: Marks | None = None) -> str:
    """Return a graph as text, each graph inside a node drawn below it."""
    marks = marks or Marks()
    parts = ["\n".join(_draw(shape, marks))]
    for node in shape.nodes:
        if node.inner is not None:
            parts.append(f"inside {node.label}:\n\n{draw_text(node.inner)}")
    return "\n\n".join(parts)


def _draw(shape: Shape, marks: Marks) -> list[str]:
    back = loops_back(shape)
    order = _order(shape, back)
    row = {node.id: number for number, node in enumerate(order)}
    direct, down = _split([edge for edge in shape.edges if edge not in back], row)
    left = _lanes([_arc(edge, row) for edge in down])
    right = _lanes([_arc(edge, row) for edge in back])
    labels = [_label(node, marks) for node in order]
    canvas = _Canvas()
    start = 2 * (max((each.lane for each in left), default=-1) + 1) + 2
    width = max((len(each) for each in labels), default=0) + 4
    for number, (node, label) in enumerate(zip(order, labels, strict=True)):
        _box(canvas, 4 * number, start, label.center(width - 4), current=node.id in marks.current)
    for edge in direct:
        _straight(canvas, 4 * row[edge.source] + 3, start + width // 2, edge)
    for arc in left:
        _beside(canvas, arc, start - 1, -1)
    for arc in right:
        _beside(canvas, arc, start + width, 1)
    end = max([column for _, column in canvas.joints] + [start + width - 1])
    _label_beside(canvas, [*left, *right], row, end + 3)
    return canvas.lines()


def _order(shape: Shape, back: frozenset[Edge]) -> list[Node]:
    """Return the nodes such that each stands below all that lead to it, long ways without a break first."""
    ways: dict[str, list[str]] = {node.id: [] for node in shape.nodes}
    missing = dict.fromkeys(ways, 0)
    for edge in shape.edges:
        if edge not in back:
            ways[edge.source].append(edge.target)
            missing[edge.target] += 1
    below = {key: _length_below(key, ways) for key in ways}
    ready = [key for key in ways if not missing[key]]
    order: list[str] = []
    while ready:
        order.append(ready.pop())
        for key in ways[order[-1]]:
            missing[key] -= 1
        ready += sorted((k for k in ways[order[-1]] if not missing[k]), key=below.__getitem__)
    nodes = {node.id: node for node in shape.nodes}
    return [nodes[key] for key in order]


def _length_below(key: str, ways: Mapping[str, Sequence[str]]) -> int:
    """Return how many rows the longest way down from a node passes."""
    length, row = 0, set(ways[key])
    while row:
        length, row = length + 1, {target for each in row for target in ways[each]}
    return length


def _split(edges: Sequence[Edge], row: Mapping[str, int]) -> tuple[list[Edge], list[Edge]]:
    """Tell the ways to the very next row from those that pass others."""
    direct = [edge for edge in edges if row[edge.target] == row[edge.source] + 1]
    return direct, [edge for edge in edges if edge not in direct]


def _arc(edge: Edge, row: Mapping[str, int]) -> _Arc:
    ends = sorted((row[edge.source], row[edge.target]))
    return _Arc(edge=edge, top=ends[0], bottom=ends[1])


def _lanes(arcs: Sequence[_Arc]) -> list[_Arc]:
    """Give each way the innermost lane that is free, short ones first."""
    taken: list[list[_Arc]] = []
    for arc in sorted(arcs, key=lambda each: (each.bottom - each.top, each.top)):
        lane = next(
            (n for n, others in enumerate(taken) if not any(_meet(arc, each) for each in others)),
            len(taken),
        )
        if lane == len(taken):
            taken.append([])
        taken[lane].append(_Arc(edge=arc.edge, top=arc.top, bottom=arc.bottom, lane=lane))
    return [arc for lane in taken for arc in lane]


def _meet(a: _Arc, b: _Arc) -> bool:
    """Tell whether two ways cannot share a lane: those with one end in common may touch there."""
    return a.top <= b.bottom and b.top <= a.bottom


def _label(node: Node, marks: Marks) -> str:
    count = marks.counts.get(node.id, 0) if node.kind == "node" else 0
    here = "▶ " if node.id in marks.current else ""
    return f"{here}{node.label}" + (f" {TIMES}{count}" if count else "")


def _box(canvas: _Canvas, row: int, column: int, label: str, *, current: bool) -> None:
    corners = "╔═╗║╚╝" if current else "╭─╮│╰╯"
    bar = corners[1] * (len(label) + 2)
    canvas.put(row, column, f"{corners[0]}{bar}{corners[2]}")
    canvas.put(row + 1, column, f"{corners[3]} {label} {corners[3]}")
    canvas.put(row + 2, column, f"{corners[4]}{bar}{corners[5]}")


def _straight(canvas: _Canvas, row: int, column: int, edge: Edge) -> None:
    canvas.put(row - 1, column, "┬")
    canvas.line(row, column, UP | DOWN, dashed=edge.conditional)
    canvas.put(row + 1, column, "▼")
    if edge.label:
        canvas.put(row, column + 2, edge.label)


def _beside(canvas: _Canvas, arc: _Arc, column: int, side: int) -> None:
    """Draw a way in its lane: out of its source's middle, along, and into its target's upper corner."""
    lane = column + side * (2 * arc.lane + 1)
    dashed = arc.edge.conditional
    loop = arc.top == arc.bottom
    leaves = 4 * (arc.top if side < 0 else arc.bottom) + 1
    enters = 4 * (arc.bottom if side < 0 else arc.top)
    top, bottom = sorted((leaves, enters))
    outwards, inwards = (LEFT, RIGHT) if side < 0 else (RIGHT, LEFT)
    for row in range(top + 1, bottom):
        canvas.line(row, lane, UP | DOWN, dashed=dashed)
    for row, turn in ((top, DOWN), (bottom, UP)):
        canvas.line(row, lane, turn | inwards, dashed=dashed)
        for number in range(min(lane, column) + 1, max(lane, column)):
            canvas.line(row, number, outwards | inwards, dashed=dashed)
    canvas.put(enters, column, "▶" if side < 0 else "◀")
    canvas.line(leaves, column, LEFT | RIGHT, dashed=dashed or loop)


def _label_beside(
    canvas: _Canvas, arcs: Sequence[_Arc], row: Mapping[str, int], column: int
) -> None:
    """Name the ways in lanes at the end of the row that they leave."""
    texts: dict[int, list[str]] = {}
    for arc in arcs:
        if arc.edge.label:
            text = f"{arc.edge.label} → {LABELS.get(arc.edge.target, arc.edge.target)}"
            texts.setdefault(row[arc.edge.source], []).append(text)
    for number, found in texts.items():
        canvas.put(4 * number + 1, column, ", ".join(found))
