from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from interlock.drawing import Marks, Shape, draw_png, draw_text, lay_out
from interlock.drawing.geometry import Box, Layout, Point, Size
from interlock.drawing.shape import Edge, Node, loops_back
from interlock.wording import TIMES


class Characters:
    """Measures text as if each character were eight units wide."""

    def node(self, node: Node) -> Size:
        return 8.0 * len(node.label) + 30, 40.0

    def label(self, text: str) -> float:
        return 6.0 * len(text) + 10


def shape(*edges: str, conditional: str = "") -> Shape:
    """Return the shape of edges written `a>b`; the conditional ones are named again, divided by blanks."""
    ends = [each.split(">") for each in edges]
    names = dict.fromkeys(itertools.chain.from_iterable(ends))
    return Shape(
        nodes=tuple(Node(id=name, label=name) for name in names),
        edges=tuple(
            Edge(source=a, target=b, conditional=f"{a}>{b}" in conditional.split()) for a, b in ends
        ),
    )


TEAM = shape(
    "start>plan", "plan>work", "work>check", "check>work", "check>write", "check>decline",
    "write>review", "review>write", "review>check", "review>end", "decline>end",
)  # fmt: skip


def boxes_of(layout: Layout) -> dict[str, Box]:
    return {box.node.id: box for box in layout.boxes}


def touches(box: Box, point: Point) -> bool:
    """Tell whether a point lies on the border of a box."""
    x, y = point
    inside = box.x - 0.01 <= x <= box.x + box.width + 0.01
    inside = inside and box.y - 0.01 <= y <= box.y + box.height + 0.01
    at_side = min(abs(x - box.x), abs(x - box.x - box.width)) < 0.01
    at_level = min(abs(y - box.y), abs(y - box.y - box.height)) < 0.01
    return inside and (at_side or at_level)


def overlapping(layout: Layout) -> Iterator[tuple[str, str]]:
    for a, b in itertools.combinations(layout.boxes, 2):
        beside = a.x + a.width <= b.x or b.x + b.width <= a.x
        above = a.y + a.height <= b.y or b.y + b.height <= a.y
        if not (beside or above):
            yield a.node.id, b.node.id


def test_cycles() -> None:
    """The ways that close a cycle are those that lead back up from the start."""
    back = {(edge.source, edge.target) for edge in loops_back(TEAM)}

    assert back == {("check", "work"), ("review", "write"), ("review", "check")}


def test_order() -> None:
    """Each node stands below every node that leads to it, but for cycles."""
    boxes = boxes_of(lay_out(TEAM, Characters()))

    for a, b in [
        ("start", "plan"), ("plan", "work"), ("work", "check"), ("check", "write"), ("check", "decline"),
        ("write", "review"), ("review", "end"), ("decline", "end"),
    ]:  # fmt: skip
        assert boxes[a].y + boxes[a].height < boxes[b].y


def test_ends() -> None:
    """Every way begins at the border of its source and ends at the border of its target."""
    layout = lay_out(TEAM, Characters())
    boxes = boxes_of(layout)

    assert len(layout.ways) == len(TEAM.edges)
    for way in layout.ways:
        assert touches(boxes[way.edge.source], way.points[0])
        assert touches(boxes[way.edge.target], way.points[-1])


def test_straight() -> None:
    """Nodes that follow each other one by one stand on one vertical line."""
    boxes = boxes_of(lay_out(TEAM, Characters()))

    middles = {boxes[name].middle[0] for name in ("start", "plan", "work", "check")}
    assert max(middles) - min(middles) < 1


def test_loop_beside() -> None:
    """A way back runs outside of everything that it passes."""
    layout = lay_out(shape("a>b", "b>c", "c>a"), Characters())
    back = next(way for way in layout.ways if way.back)
    right = max(box.x + box.width for box in layout.boxes)

    assert max(x for x, _ in back.points) > right


@pytest.mark.parametrize(
    "edges", [("a>b", "b>b"), ("a>b", "b>c", "c>d", "b>b", "c>b", "c>c", "d>c")]
)
def test_a_loop_from_a_node_to_itself_has_a_height(edges: tuple[str, ...]) -> None:
    """It leaves its box and enters it again above, also among other loops."""
    layout = lay_out(shape(*edges), Characters())

    for way in layout.ways:
        if way.edge.source == way.edge.target:
            heights = [y for _, y in way.points]
            assert way.points[0][1] > way.points[-1][1]
            assert max(heights) - min(heights) > 5


def test_inner() -> None:
    """A graph inside a node lies inside its box."""
    inner = shape("x>y", "y>x")
    outer = Shape(
        nodes=(Node(id="a", label="a"), Node(id="b", label="b", inner=inner)),
        edges=(Edge(source="a", target="b"),),
    )
    box = boxes_of(lay_out(outer, Characters()))["b"]

    assert box.inner is not None
    for each in box.inner.boxes:
        assert box.x < each.x < each.x + each.width < box.x + box.width
        assert box.y < each.y < each.y + each.height < box.y + box.height


NAMES = "abcdefgh"
EDGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20, unique=True
)


@given(EDGES)
def test_no_overlap(ends: list[tuple[str, str]]) -> None:
    """Whatever the graph, no box overlaps another, nothing leaves the picture, and every way has its ends."""
    graph = Shape(
        nodes=tuple(Node(id=name, label=name * 3) for name in NAMES),
        edges=tuple(Edge(source=a, target=b) for a, b in ends),
    )
    layout = lay_out(graph, Characters())
    boxes = boxes_of(layout)

    assert list(overlapping(layout)) == []
    for way in layout.ways:
        assert touches(boxes[way.edge.source], way.points[0])
        assert touches(boxes[way.edge.target], way.points[-1])
        assert all(-0.01 <= x <= layout.width + 0.01 for x, _ in way.points)
        assert all(-0.01 <= y <= layout.height + 0.01 for _, y in way.points)


@given(EDGES)
def test_text_of_any_graph(ends: list[tuple[str, str]]) -> None:
    """Whatever the graph, its text has a box for each node, and an arrow unless there are no ways."""
    graph = Shape(
        nodes=tuple(Node(id=name, label=name) for name in NAMES),
        edges=tuple(Edge(source=a, target=b) for a, b in ends),
    )
    text = draw_text(graph)

    assert all(text.count(f"│ {name} ") == 1 for name in NAMES)
    assert any(head in text for head in "▶▼◀") == bool(ends)


def test_text() -> None:
    """A small cyclic graph in the terminal: down the middle, back on the right, conditional ways dashed."""
    drawn = draw_text(
        shape("a>b", "b>c", "c>b", conditional="b>c c>b"),
        Marks(counts={"b": 2}, current=frozenset("c")),
    )

    assert drawn == (
        "  ╭──────╮\n"
        "  │  a   │\n"
        "  ╰───┬──╯\n"
        "      │\n"
        "  ╭───▼──╮◀╮\n"
        f"  │ b {TIMES}2 │ ┊\n"
        "  ╰───┬──╯ ┊\n"
        "      ┊    ┊\n"
        "  ╔═══▼══╗ ┊\n"
        "  ║ ▶ c  ║╌╯\n"
        "  ╚══════╝"
    )


def test_text_past_others() -> None:
    """A way that passes other nodes runs on the left, and its label stands beside the node that it leaves."""
    graph = shape("a>b", "b>c", "a>c")
    edges = tuple(
        Edge(source=each.source, target=each.target, label="skip" if each.source == "a" else "")
        for each in graph.edges
    )
    drawn = draw_text(Shape(nodes=graph.nodes, edges=edges))

    assert drawn == (
        "    ╭───╮\n"
        "  ╭─│ a │  skip → c\n"
        "  │ ╰─┬─╯\n"
        "  │   │ skip\n"
        "  │ ╭─▼─╮\n"
        "  │ │ b │\n"
        "  │ ╰─┬─╯\n"
        "  │   │\n"
        "  ╰▶╭─▼─╮\n"
        "    │ c │\n"
        "    ╰───╯"
    )


@pytest.mark.parametrize("graph", [TEAM, shape("a>a"), Shape(nodes=(), edges=())])
def test_png(graph: Shape) -> None:
    """A picture is a PNG with more than paper on it, twice as large as its units."""
    data = draw_png(
        graph, title="team", marks=Marks(counts={"work": 3}, current=frozenset({"check"}))
    )
    image = Image.open(io.BytesIO(data))

    assert image.format == "PNG"
    assert image.width >= 2 * 360
    assert len(image.convert("RGB").getcolors(1_000_000) or ()) > 10
