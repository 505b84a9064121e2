"""Drawings of a graph: as a picture without any tool or network, as text for a terminal, as Mermaid."""

from interlock.drawing.geometry import Layout
from interlock.drawing.layout import lay_out
from interlock.drawing.picture import draw_png
from interlock.drawing.shape import Drawing, Marks, Shape, drawing_of, shape_of
from interlock.drawing.terminal import draw_text

__all__ = [
    "Drawing",
    "Layout",
    "Marks",
    "Shape",
    "draw_png",
    "draw_text",
    "drawing_of",
    "lay_out",
    "shape_of",
]
