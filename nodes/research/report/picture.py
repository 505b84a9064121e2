"""The plan as a small picture: the question, the tasks in the waves in which they ran, the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from nodes.research.report.data import PlanTask, ReportData, waves
from nodes.research.report.markdown import STANDINGS

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _EDGE = 176, 44, 56, 16, 8
_LETTERS = 17
_MARKS = {
    "met": "\u2713",
    "partial": "\u25d0",
    "open": "\u2013",
    "failed": "\u2715",
    "waiting": "\u2026",
}


@dataclass(frozen=True, slots=True)
class _Box:
    """A node of the picture."""

    x: int
    y: int
    label: str
    kind: str
    note: str = ""


def plan_picture(report: ReportData) -> str:
    """Return the plan as inline SVG, with a text for those who cannot see it."""
    columns = waves(report.tasks)
    rows = max((len(column) for column in columns), default=1)
    width = (len(columns) + 2) * (_WIDTH + _ACROSS) - _ACROSS + 2 * _EDGE
    height = rows * (_HEIGHT + _DOWN) - _DOWN + 2 * _EDGE
    boxes = _boxes(columns, height)
    body = "".join((*_edges(report.tasks, boxes), *map(_box, boxes.values())))
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(_told(report.tasks))}">{body}</svg>'
    )


def _boxes(columns: Sequence[Sequence[PlanTask]], height: int) -> dict[str, _Box]:
    boxes = {"": _Box(_EDGE, _middle(height, 1, 0), "Question", "end")}
    for number, column in enumerate(columns, start=1):
        for row, task in enumerate(column):
            boxes[task.id] = _Box(
                x=_EDGE + number * (_WIDTH + _ACROSS),
                y=_middle(height, len(column), row),
                label=task.id,
                kind=task.standing,
                note=f"{task.question} ({STANDINGS[task.standing]})",
            )
    x = _EDGE + (len(columns) + 1) * (_WIDTH + _ACROSS)
    return {**boxes, "report": _Box(x, _middle(height, 1, 0), "Report", "end")}


def _middle(height: int, count: int, row: int) -> int:
    """Return the top of a box in a column of so many, centred."""
    taken = count * (_HEIGHT + _DOWN) - _DOWN
    return (height - taken) // 2 + row * (_HEIGHT + _DOWN)


def _edges(tasks: Sequence[PlanTask], boxes: dict[str, _Box]) -> Iterator[str]:
    needed = {need for task in tasks for need in task.needs}
    for task in tasks:
        for need in task.needs or ("",):
            yield _edge(boxes[need], boxes[task.id])
        if task.id not in needed:
            yield _edge(boxes[task.id], boxes["report"])


def _edge(start: _Box, end: _Box) -> str:
    x1, y1 = start.x + _WIDTH, start.y + _HEIGHT // 2
    x2, y2 = end.x, end.y + _HEIGHT // 2
    bend = (x2 - x1) // 2 if x2 - x1 < 2 * _ACROSS else _ACROSS
    return f'<path class="edge" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _box(box: _Box) -> str:
    mark = _MARKS.get(box.kind, "")
    label = box.label if len(box.label) <= _LETTERS else f"{box.label[: _LETTERS - 1]}\u2026"
    middle = box.y + _HEIGHT // 2
    title = f"<title>{escape(box.note)}</title>" if box.note else ""
    sign = (
        f'<circle cx="{box.x + 20}" cy="{middle}" r="9"/>'
        f'<text class="mark" x="{box.x + 20}" y="{middle}">{mark}</text>'
        if mark
        else ""
    )
    x, anchor = (box.x + 38, "start") if mark else (box.x + _WIDTH // 2, "middle")
    return (
        f'<g class="box {box.kind}">{title}'
        f'<rect x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="10"/>{sign}'
        f'<text x="{x}" y="{middle}" text-anchor="{anchor}">{escape(label)}</text></g>'
    )


def _told(tasks: Sequence[PlanTask]) -> str:
    told = (
        f"{task.id}: {STANDINGS[task.standing]}"
        + (f", after {', '.join(task.needs)}" if task.needs else "")
        for task in tasks
    )
    return f"The plan. {'; '.join(told)}."
