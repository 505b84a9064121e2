"""A thread's graph as a picture: what ran how often, where the thread is, and what of it is folded. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interlock.core.runs import Step
from interlock.drawing import Shape, shape_of
from interlock.server.dashboard.drawn import Marked, draw, told
from interlock.server.dashboard.folding import Folds, folds_of
from interlock.server.dashboard.seen import Seen


def folds(seen: Seen, said: Sequence[str], here: Mapping[str, str]) -> Folds:
    """Return the thread's graph with what an address says is folded; nothing where the graph is not known."""
    nothing = Shape(nodes=(), edges=())
    shape = shape_of(seen.graph.get_graph(xray=True)) if seen.graph else nothing
    return folds_of(shape, said, here)


def picture(seen: Seen, chosen: Step | None, folds: Folds) -> str:
    """Return the thread's graph as SVG; empty where it is not known."""
    if seen.graph is None:
        return ""
    marked = _marked(seen, chosen, folds)
    return draw(folds.drawn, marked, about=f"The graph {seen.row['graph']}. {told(marked)}")


def _marked(seen: Seen, chosen: Step | None, folds: Folds) -> Marked:
    latest = seen.latest
    now = latest.next if latest and seen.status not in ("succeeded", "cancelled") else ()
    tones = {"waiting": "waiting", "failed": "failed", "dead": "failed", "killed": "failed"}
    return Marked(
        counts=seen.ran,
        taken=seen.taken,
        current=frozenset((node,) for node in now),
        tone=tones.get(seen.status, "running"),
        chosen=frozenset((*chosen.path, node) for node in chosen.nodes) if chosen else frozenset(),
        links=_links(seen, folds.kept),
        folds=folds.changed,
    )


def _links(seen: Seen, kept: str) -> dict[tuple[str, ...], str]:
    """Return where the last step stands that each node ran in."""
    found = {}
    for step in seen.steps:
        shown = "&inside=1" if step.inside else ""
        for node in step.nodes:
            found[*step.path, node] = f"?at={step.checkpoint_id}{shown}{kept}"
    return found
