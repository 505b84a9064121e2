"""A graph as SVG, with how often each node ran and where its thread is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from interlock.core.runs import Usage
from interlock.drawing import Layout, Shape, lay_out
from interlock.drawing.geometry import Box, Point, Size, Way
from interlock.drawing.shape import Node
from interlock.server.dashboard.words import compact, duration
from interlock.wording import counted, money

MARGIN = 14.0
NARROWEST = 340.0
"""So that a small graph is not drawn larger than a large one."""
FOLD, BESIDE = 26.0, 12.0
"""How wide and high the mark is that folds a graph, and how far it stands from the edge, beside the count of runs."""
LETTER, SMALL_LETTER = 7.7, 6.4
"""How wide a letter of a node's name and of an edge's label is, on average, in the fonts of screens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What a thread adds to its graph's picture; nodes inside subgraphs are named by all nodes that lead there.

    Attributes:
        counts: how often each node ran.
        taken: what the model calls of each took.
        current: the nodes that run, or that are next.
        tone: how the current nodes are shown: `running`, `waiting`, `failed`.
        chosen: the nodes of the step that is looked at.
        links: where a node leads to.
        folds: where the same picture is with a node's graph folded, or unfolded where it is folded.
    """

    counts: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    taken: Mapping[tuple[str, ...], Usage] = field(default_factory=dict)
    current: frozenset[tuple[str, ...]] = frozenset()
    tone: str = "running"
    chosen: frozenset[tuple[str, ...]] = frozenset()
    links: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    folds: Mapping[tuple[str, ...], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _ScreenMeasure:
    """`tells`: below the name of a node stands what its model calls took."""

    tells: bool = False

    def node(self, node: Node) -> Size:
        if node.kind != "node":
            return 64.0, 26.0
        narrowest, height = (104.0, 48.0) if self.tells else (64.0, 36.0)
        more = FOLD + BESIDE if node.folded or node.inner else 0.0
        return max(len(node.label) * LETTER + 26, narrowest) + more, height

    def label(self, text: str) -> float:
        return len(text) * SMALL_LETTER + 10


def draw(shape: Shape, marked: Marked, *, about: str) -> Markup:
    """Return a graph as an SVG picture."""
    tells = any(_told(each) for each in marked.taken.values())
    layout = lay_out(_connected(shape, marked), _ScreenMeasure(tells))
    width, height = max(layout.width + 2 * MARGIN, NARROWEST), layout.height + 2 * MARGIN
    return Markup(
        '<svg class="drawn" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}"'
        ' role="group" aria-label="{about}"><defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5"'
        ' markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 1 10 5 0 9z"/></marker></defs>{inner}</svg>'
    ).format(
        w=width,
        h=height,
        about=about,
        inner=_layout(layout.moved((width - layout.width) / 2, MARGIN), marked, ()),
    )


def told(marked: Marked) -> str:
    """Return in words what the picture marks."""
    ran = ", ".join(f"{'/'.join(path)} {many}×" for path, many in marked.counts.items())  # noqa: RUF001
    now = ", ".join("/".join(path) for path in sorted(marked.current))
    return " ".join(
        [f"Ran: {ran}." if ran else "Nothing ran yet.", f"Now at: {now}." if now else ""]
    )


def _connected(shape: Shape, marked: Marked) -> Shape:
    """Return a shape without nodes that no edge leads to or from, unless they have to do with the thread."""
    ends = {end for edge in shape.edges for end in (edge.source, edge.target)}
    met = {path[0] for path in (*marked.counts, *marked.current)}
    kept = tuple(each for each in shape.nodes if each.id in ends | met)
    return replace(shape, nodes=kept) if kept else shape


def _layout(layout: Layout, marked: Marked, path: tuple[str, ...]) -> Markup:
    boxes = [_box(each, marked, (*path, each.node.id)) for each in layout.boxes]
    ways = [_way(each) for each in layout.ways]
    labels = [_label(each) for each in layout.ways if each.edge.label]
    badges = [_badge(each, marked, (*path, each.node.id)) for each in layout.boxes]
    return Markup("").join([*boxes, *ways, *labels, *badges])


def _box(box: Box, marked: Marked, path: tuple[str, ...]) -> Markup:
    classes = ["shape", f"shape-{'group' if box.inner else box.node.kind}"]
    classes += ["ran"] if marked.counts.get(path) else []
    classes += ["at", f"at-{marked.tone}"] if path in marked.current else []
    classes += ["chosen"] if _is_chosen(box, marked, path) else []
    classes += ["folded"] if box.node.folded else []
    radius = box.height / 2 if box.node.kind != "node" else 9
    rect = Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{:.1f}"/>'
    ).format(" ".join(classes), box.x, box.y, box.width, box.height, radius)
    name = Markup("<title>{}</title>").format(_about(box, marked, path)) + rect
    name += _name(box, _told(marked.taken.get(path, Usage())))
    if path in marked.links:
        name = Markup('<a href="{}">{}</a>').format(marked.links[path], name)
    else:
        name = Markup("<g>{}</g>").format(name)
    name += _fold(box, marked, path)
    return name + (_layout(box.inner, marked, path) if box.inner else Markup(""))


def _is_chosen(box: Box, marked: Marked, path: tuple[str, ...]) -> bool:
    """Say whether a node ran in the step that is looked at; for a folded one, also whether one inside did."""
    inside = box.node.folded and any(each[: len(path)] == path for each in marked.chosen)
    return inside or path in marked.chosen


def _fold(box: Box, marked: Marked, path: tuple[str, ...]) -> Markup:
    """Return the mark that folds a graph or unfolds it."""
    if path not in marked.folds:
        return Markup("")
    x, y = box.x + box.width - FOLD - BESIDE, box.y + (5 if box.inner else (box.height - FOLD) / 2)
    middle, half = (x + FOLD / 2, y + FOLD / 2), 5.0
    sign = f"M{middle[0] - half:.1f} {middle[1]:.1f}h{2 * half:.1f}"
    sign += f"M{middle[0]:.1f} {middle[1] - half:.1f}v{2 * half:.1f}" if box.node.folded else ""
    verb = "Unfold" if box.node.folded else "Fold"
    return Markup(
        '<a class="fold" id="fold-{}" href="{}" aria-label="{}"><title>{}</title>'
        '<rect x="{:.1f}" y="{:.1f}" width="{:.0f}" height="{:.0f}" rx="7"/><path d="{}"/></a>'
    ).format(
        ":".join(path),
        marked.folds[path],
        f"{verb} {' / '.join(path)}",
        verb,
        x,
        y,
        FOLD,
        FOLD,
        sign,
    )


def _name(box: Box, told: str) -> Markup:
    if box.inner:
        place, anchor = (box.x + 14, box.y + 24), "start"
    else:
        middle = box.middle[0] - ((FOLD + BESIDE) / 2 if box.node.folded else 0)
        place, anchor = (middle, box.middle[1] + (-3.5 if told else 4.5)), "middle"
    kind = "end" if box.node.kind != "node" else "node"
    name = Markup('<text class="name-{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, *place, anchor, box.node.label
    )
    below = Markup('<text class="label taken" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return name + (below.format(place[0], place[1] + 16, anchor, told) if told else Markup(""))


def _told(usage: Usage) -> str:
    """Return what model calls took in a few letters; nothing where they took nothing."""
    tokens = usage.input_tokens + usage.output_tokens
    said = [f"{compact(tokens)} tok"] if tokens else []
    return " · ".join([*said, *([money(usage.cost)] if usage.cost else [])])


def _about(box: Box, marked: Marked, path: tuple[str, ...]) -> str:
    many, usage = marked.counts.get(path, 0), marked.taken.get(path, Usage())
    told = f"{box.node.label}: ran {counted(many, 'time')}"
    if not usage.calls:
        return told
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    calls = f"{counted(usage.calls, 'model call')} in {duration(usage.seconds)}"
    return f"{told}; {calls}: {tokens}, {money(usage.cost)}"


def _way(way: Way) -> Markup:
    classes = ["way", *(["maybe"] if way.edge.conditional else []), *(["back"] if way.back else [])]
    return Markup('<path class="{}" d="{}" marker-end="url(#tip)"/>').format(
        " ".join(classes), _path(way.points)
    )


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{'L' if n else 'M'}{x:.1f} {y:.1f}" for n, (x, y) in enumerate(points))


def _label(way: Way) -> Markup:
    x, y = way.label
    width = len(way.edge.label) * SMALL_LETTER + 8
    return Markup(
        '<rect class="paper" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="16" rx="4"/>'
        '<text class="label" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>'
    ).format(x - width / 2, y - 8, width, x, y + 4, way.edge.label)


def _badge(box: Box, marked: Marked, path: tuple[str, ...]) -> Markup:
    many = marked.counts.get(path, 0)
    if not many or box.node.kind != "node":
        return Markup("")
    width = max(len(str(many)) * 7 + 12, 20.0)
    x, y = box.x + box.width - width * 0.6, box.y - 10
    return Markup(
        '<g class="times"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="20" rx="10"/>'
        '<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text></g>'
    ).format(f"{box.node.label} ran {many} times", x, y, width, x + width / 2, y + 14, many)
