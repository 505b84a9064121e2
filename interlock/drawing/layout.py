"""Where everything goes: layers by longest path, few crossings, cycles around the sides. Pure.

The method is Sugiyama's: break cycles, put nodes on layers, order each layer by barycentres, then move nodes
towards their neighbours without letting them overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from interlock.drawing.cycles import around
from interlock.drawing.geometry import Box, Layout, Point, Size, Way, curved, halfway
from interlock.drawing.ordering import Layers, layers_of, placed
from interlock.drawing.shape import Edge, Node, Shape, loops_back

GAP_X = 36.0
GAP_Y = 52.0
PORT = 34.0
"""How far the ends of edges on one side of a box are apart, if there is room."""
PADDING = 22.0
HEADING = 42.0
"""Room above a graph inside a node, for the node's name."""

Passed = tuple[float, tuple[float, float]]
"""Where an edge passes a layer: x, and the layer's top and height."""


class Measure(Protocol):
    """Knows how large text is."""

    def node(self, node: Node) -> Size:
        """Return the size of a node without a graph inside."""

    def label(self, text: str) -> float:
        """Return the width of an edge's label."""


def lay_out(shape: Shape, measure: Measure) -> Layout:
    """Return where each node and edge goes."""
    inner = {each.id: lay_out(each.inner, measure) for each in shape.nodes if each.inner}
    sizes = {each.id: _size(each, inner.get(each.id), measure) for each in shape.nodes}
    back = loops_back(shape)
    layers = layers_of(shape, back)
    rows = _rows(layers, sizes)
    centres = placed(layers, _widths(layers, sizes, measure), GAP_X)
    boxes = {
        node.id: _box(node, (centres[node.id], rows[layers.of[node.id]]), sizes[node.id], inner)
        for node in shape.nodes
    }
    forward = _forward(
        [edge for edge in shape.edges if edge not in back], layers, centres, rows, boxes
    )
    loops = around([edge for edge in shape.edges if edge in back], boxes, forward, measure.label)
    return _framed(tuple(boxes.values()), (*forward, *loops), measure)


def _size(node: Node, inner: Layout | None, measure: Measure) -> Size:
    width, height = measure.node(node)
    if inner is None:
        return width, height
    return max(width, inner.width + 2 * PADDING), inner.height + PADDING + HEADING


def _widths(layers: Layers, sizes: Mapping[str, Size], measure: Measure) -> dict[str, float]:
    """Return how wide each node is; a node that leads a labelled way down has room for the label."""
    widths = {key: size[0] for key, size in sizes.items()}
    for edge, chain in layers.chains.items():
        if edge.label and not chain:
            widths[edge.target] = max(widths[edge.target], measure.label(edge.label) - GAP_X / 2)
    return widths


def _rows(layers: Layers, sizes: Mapping[str, Size]) -> list[tuple[float, float]]:
    """Return the top and the height of each layer."""
    rows: list[tuple[float, float]] = []
    top = 0.0
    for row in layers.rows:
        height = max((sizes[key][1] for key in row if key in sizes), default=0.0)
        rows.append((top, height))
        top += height + GAP_Y
    return rows


def _box(
    node: Node, place: tuple[float, tuple[float, float]], size: Size, inner: Mapping[str, Layout]
) -> Box:
    centre, (top, height) = place
    x, y = centre - size[0] / 2, top + (height - size[1]) / 2
    held = inner.get(node.id)
    if held is not None:
        held = held.moved(x + (size[0] - held.width) / 2, y + HEADING)
    return Box(node=node, x=x, y=y, width=size[0], height=size[1], inner=held)


def _forward(
    edges: Sequence[Edge],
    layers: Layers,
    centres: Mapping[str, float],
    rows: Sequence[tuple[float, float]],
    boxes: Mapping[str, Box],
) -> list[Way]:
    passed: dict[Edge, list[Passed]] = {
        edge: [(centres[key], rows[layers.of[key]]) for key in layers.chains[edge]]
        for edge in edges
    }
    starts = _ports(edges, boxes, passed, outgoing=True)
    ends = _ports(edges, boxes, passed, outgoing=False)
    return [_way(edge, starts[edge], passed[edge], ends[edge]) for edge in edges]


def _way(edge: Edge, start: Point, passed: Sequence[Passed], end: Point) -> Way:
    """Return the line of an edge; its label stands where it leaves, before it meets others."""
    points = [start]
    for x, (top, height) in passed:
        points += [(x, top), (x, top + height)]
    line = curved([*points, end])
    first = curved([start, points[1]]) if passed else line
    return Way(edge=edge, points=line, label=halfway(first))


def _ports(
    edges: Sequence[Edge],
    boxes: Mapping[str, Box],
    passed: Mapping[Edge, Sequence[Passed]],
    *,
    outgoing: bool,
) -> dict[Edge, Point]:
    """Spread the ends of edges over a side of their box, in the order in which they come or go."""
    ports: dict[Edge, Point] = {}
    for box in boxes.values():
        mine = [edge for edge in edges if (edge.source if outgoing else edge.target) == box.node.id]
        ends = {edge: _other_end(edge, boxes, passed[edge], outgoing=outgoing) for edge in mine}
        mine = sorted(ends, key=ends.__getitem__)
        step = min(box.width / (len(mine) + 1), PORT)
        y = box.y + box.height if outgoing else box.y
        for number, edge in enumerate(mine):
            ports[edge] = (box.middle[0] + (number - (len(mine) - 1) / 2) * step, y)
    return ports


def _other_end(
    edge: Edge, boxes: Mapping[str, Box], passed: Sequence[Passed], *, outgoing: bool
) -> float:
    """Return the x of where an edge goes next, or came from last."""
    if passed:
        return passed[0 if outgoing else -1][0]
    return boxes[edge.target if outgoing else edge.source].middle[0]


def _framed(boxes: tuple[Box, ...], ways: tuple[Way, ...], measure: Measure) -> Layout:
    xs = [x for box in boxes for x in (box.x, box.x + box.width)]
    ys = [y for box in boxes for y in (box.y, box.y + box.height)]
    xs += [x for way in ways for x, _ in way.points]
    ys += [y for way in ways for _, y in way.points]
    labelled = [(way.label[0], measure.label(way.edge.label) / 2) for way in ways if way.edge.label]
    xs += [
        x + half for middle, width in labelled for x, half in ((middle, -width), (middle, width))
    ]
    if not xs:
        return Layout(width=0, height=0)
    layout = Layout(width=max(xs) - min(xs), height=max(ys) - min(ys), boxes=boxes, ways=ways)
    return layout.moved(-min(xs), -min(ys))
