"""A graph as a PNG: Pillow and its built-in font, no network, no system tool."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from interlock.drawing.geometry import Box, Layout, Point, Size, Way
from interlock.drawing.layout import lay_out
from interlock.drawing.shape import Marks, Node, Shape

SCALE = 2
"""Pixels per unit in the picture: crisp on screens with two pixels per point."""
SMOOTHING = 2
"""How much larger it is drawn before it is made smaller, so that lines have no steps."""
LARGEST = 60_000_000
"""Pixels above which nothing is drawn larger than it is needed."""
MARGIN = 36.0
HEAD = 58.0
FOOT = 40.0

PAPER, INK, FAINT = "#ffffff", "#1f2a44", "#7b869d"
FILL, LINE = "#eef2fb", "#5b6fa3"
PILL = "#1f2a44"
INNER, INNER_LINE = "#f8f9fc", "#c3cbde"
FORWARD, MAYBE, BACK = "#4a5877", "#7f8fb5", "#c8682c"
CURRENT, CURRENT_LINE = "#ffe9b8", "#d18a00"
BADGE = "#3d6df2"
TEXT, SMALL, TITLE = 15, 12, 20


def draw_png(shape: Shape, *, title: str = "", note: str = "", marks: Marks | None = None) -> bytes:
    """Return a picture of a graph, with a title above and a note and what its lines mean below."""
    layout = lay_out(shape, FontMeasure())
    width = max(layout.width, _length(title, TITLE), _length(note, SMALL), 360.0) + 2 * MARGIN
    size = (width, layout.height + 2 * MARGIN + HEAD + FOOT)
    pen = _Pen.on_paper(size)
    pen.text((MARGIN, MARGIN), title, TITLE, INK)
    pen.text((MARGIN, MARGIN + 28), note, SMALL, FAINT)
    middle = (width - layout.width) / 2
    _draw(pen, layout.moved(middle, MARGIN + HEAD), marks or Marks())
    _legend(pen, size[1] - MARGIN - 6)
    return pen.png(size)


class FontMeasure:
    """Knows how large text is in the picture."""

    def node(self, node: Node) -> Size:
        """Return the size of a node's box."""
        height = 30.0 if node.kind != "node" else 42.0
        return max(_length(node.label, TEXT) + 34, 78.0), height

    def label(self, text: str) -> float:
        """Return the width of an edge's label, with the paper around it."""
        return _length(text, SMALL) + 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pen:
    """Draws in units; pixels are its own affair."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    pixels: float

    @classmethod
    def on_paper(cls, size: Size) -> _Pen:
        """Return a pen on an empty picture."""
        pixels = float(SCALE * SMOOTHING)
        if size[0] * size[1] * pixels * pixels > LARGEST:
            pixels = float(SCALE)
        image = Image.new("RGB", (math.ceil(size[0] * pixels), math.ceil(size[1] * pixels)), PAPER)
        return cls(image=image, draw=ImageDraw.Draw(image), pixels=pixels)

    def png(self, size: Size) -> bytes:
        """Return the picture."""
        target = (math.ceil(size[0] * SCALE), math.ceil(size[1] * SCALE))
        image = self.image.resize(target, Image.Resampling.LANCZOS)
        image = image.quantize(256, dither=Image.Dither.NONE)
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True)
        return file.getvalue()

    def box(
        self, corner: Point, size: Size, *, radius: float, fill: str, line: str, width: float = 1.5
    ) -> None:
        """Draw a box with round corners."""
        x, y = corner
        ends = [x, y, x + size[0], y + size[1]]
        self.draw.rounded_rectangle(
            [each * self.pixels for each in ends],
            radius * self.pixels,
            fill=fill,
            outline=line,
            width=round(width * self.pixels),
        )

    def text(self, place: Point, text: str, size: int, colour: str, anchor: str = "la") -> None:
        """Draw a line of text; the anchor is Pillow's."""
        font = _font(size * self.pixels)
        x, y = place
        self.draw.text((x * self.pixels, y * self.pixels), text, colour, font, anchor=anchor)

    def line(self, points: Sequence[Point], colour: str, width: float, *, dashed: bool) -> None:
        """Draw a line, or dashes along it."""
        for piece in _dashes(points) if dashed else [list(points)]:
            pixels = [(x * self.pixels, y * self.pixels) for x, y in piece]
            self.draw.line(pixels, colour, round(width * self.pixels), joint="curve")

    def arrow(self, points: Sequence[Point], colour: str) -> None:
        """Draw the head of an arrow at the end of a line."""
        tip = points[-1]
        tail = next(each for each in reversed(points) if math.dist(each, tip) > 1)
        angle = math.atan2(tip[1] - tail[1], tip[0] - tail[0])
        wings = [
            (tip[0] - 9 * math.cos(angle + turn), tip[1] - 9 * math.sin(angle + turn))
            for turn in (0.42, -0.42)
        ]
        self.draw.polygon([(x * self.pixels, y * self.pixels) for x, y in (tip, *wings)], colour)


def _draw(pen: _Pen, layout: Layout, marks: Marks, paper: str = PAPER) -> None:
    for box in layout.boxes:
        _draw_box(pen, box, marks)
    for way in layout.ways:
        _draw_way(pen, way)
    for way in layout.ways:
        _draw_label(pen, way, paper)
    for box in layout.boxes:
        _draw_badge(pen, box, marks)


def _draw_box(pen: _Pen, box: Box, marks: Marks) -> None:
    corner, size = (box.x, box.y), (box.width, box.height)
    current = box.node.id in marks.current
    if box.inner is not None:
        line = CURRENT_LINE if current else INNER_LINE
        pen.box(corner, size, radius=14, fill=INNER, line=line)
        pen.text((box.x + 16, box.y + 9), box.node.label, TEXT, INK)
        _draw(pen, box.inner, Marks(), INNER)
    elif box.node.kind == "node":
        fill, line = (CURRENT, CURRENT_LINE) if current else (FILL, LINE)
        pen.box(corner, size, radius=9, fill=fill, line=line, width=2.5 if current else 1.5)
        pen.text(box.middle, box.node.label, TEXT, INK, "mm")
    else:
        pen.box(corner, size, radius=box.height / 2, fill=PILL, line=PILL)
        pen.text(box.middle, box.node.label, SMALL, PAPER, "mm")


def _draw_way(pen: _Pen, way: Way) -> None:
    colour = BACK if way.back else MAYBE if way.edge.conditional else FORWARD
    pen.line(_shortened(way.points), colour, 1.8, dashed=way.edge.conditional)
    pen.arrow(way.points, colour)


def _draw_label(pen: _Pen, way: Way, paper: str) -> None:
    if not way.edge.label:
        return
    x, y = way.label
    width = _length(way.edge.label, SMALL) + 10
    pen.box((x - width / 2, y - 9), (width, 18), radius=4, fill=paper, line=paper)
    pen.text((x, y), way.edge.label, SMALL, FAINT, "mm")


def _draw_badge(pen: _Pen, box: Box, marks: Marks) -> None:
    count = marks.counts.get(box.node.id, 0)
    if not count or box.node.kind != "node":
        return
    width = max(_length(str(count), SMALL) + 12, 20.0)
    corner = (box.x + box.width - width * 0.6, box.y - 10)
    pen.box(corner, (width, 20), radius=10, fill=BADGE, line=PAPER, width=1.5)
    pen.text((corner[0] + width / 2, corner[1] + 10), str(count), SMALL, PAPER, "mm")


def _legend(pen: _Pen, y: float) -> None:
    x = MARGIN
    for text, colour, dashed in (
        ("always", FORWARD, False),
        ("if the condition holds", MAYBE, True),
        ("back, in a cycle", BACK, True),
    ):
        pen.line([(x, y), (x + 26, y)], colour, 1.8, dashed=dashed)
        pen.text((x + 33, y), text, SMALL, FAINT, "lm")
        x += 33 + _length(text, SMALL) + 22


def _shortened(points: Sequence[Point]) -> list[Point]:
    """Return a line that ends inside the head of its arrow."""
    line = list(points)
    tip = line[-1]
    while len(line) > 2 and math.dist(line[-2], tip) < 6:
        line.pop(-2)
    (x0, y0), (x1, y1) = line[-2], tip
    length = math.dist((x0, y0), tip) or 1.0
    share = max(length - 6, 0) / length
    return [*line[:-1], (x0 + (x1 - x0) * share, y0 + (y1 - y0) * share)]


def _dashes(points: Sequence[Point], on: float = 6.0, off: float = 5.0) -> Iterator[list[Point]]:
    """Yield the dashes along a line, each a short line of its own."""
    left, drawing, piece = on, True, [points[0]]
    for start, end in itertools.pairwise(points):
        here, rest = start, math.dist(start, end)
        while rest > left:
            share = left / rest
            here = (here[0] + (end[0] - here[0]) * share, here[1] + (end[1] - here[1]) * share)
            rest -= left
            if drawing:
                yield [*piece, here]
            drawing, left, piece = not drawing, off if drawing else on, [here]
        left -= rest
        piece.append(end)
    if drawing and len(piece) > 1:
        yield piece


def _length(text: str, size: int) -> float:
    return float(_font(size).getlength(text))


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
