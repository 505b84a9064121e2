"""Pictures of a thread's past: its steps with those of its subgraphs, and the tree of its forks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as Picture

from interlock.cli.texts import changes, duration, ran
from interlock.core.runs import Step, Tree
from interlock.wording import ID_LENGTH, clipped, counted, names, short

STATUS_STYLES = {
    "succeeded": "green",
    "waiting": "yellow",
    "running": "cyan",
    "failed": "red",
    "killed": "red",
}


def print_inside(steps: Sequence[Step], console: Console) -> None:
    """Print steps with those of subgraphs, which are indented; checkpoints as short as can be told apart."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 1))
    for title in ("step", "ran", "what changed", "next", "took", "checkpoint"):
        table.add_column(title, overflow="fold", no_wrap=title in ("step", "took", "checkpoint"))
    length = telling_length([step.checkpoint_id for step in steps])
    labels = labels_of([step.inside for step in steps])
    before: dict[str, Mapping[str, Any]] = {}  # namespace -> state
    for step in steps:
        where = labels[step.inside]
        table.add_row(*_row(step, where, before.get(step.inside, {}), length))
        before[step.inside] = step.values
    console.print(table)
    own = sum(1 for step in steps if not step.inside)
    console.print(f"{counted(own, 'step')}, {len(steps) - own:,} inside", style="dim")


def print_tree(tree: Tree, console: Console) -> None:
    """Print a thread with all that was forked from it."""
    picture = Picture(_told(tree), guide_style="dim")
    _grow(picture, tree)
    console.print(picture)


def labels_of(namespaces: Sequence[str]) -> dict[str, str]:
    """Return what names each namespace to a person: its nodes, numbered where one ran a subgraph more than once."""
    runs: dict[tuple[str, str], list[str]] = {}
    known = sorted({*namespaces} - {""}, key=lambda each: (each.count("|"), namespaces.index(each)))
    for namespace in known:
        around, _, last = namespace.rpartition("|")
        runs.setdefault((around, last.partition(":")[0]), []).append(namespace)
    labels = {"": ""}
    for (around, name), found in runs.items():
        outer = f"{labels.get(around, around)}/" if around else ""
        for number, namespace in enumerate(found, start=1):
            labels[namespace] = f"{outer}{name}" + (f"·{number}" if len(found) > 1 else "")
    return labels


def telling_length(ids: Sequence[str]) -> int:
    """Return how many characters tell ids apart, at least eight."""
    return max([ID_LENGTH, *(_parting(*pair) for pair in pairwise(sorted(set(ids))))])


def _parting(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((n + 1 for n, (x, y) in enumerate(pairs) if x != y), max(len(one), len(other)))


def _row(
    step: Step, where: str, before: Mapping[str, Any], length: int
) -> list[str | Text]:  # a state
    following = names(step.next) + (" asks a person" if step.questions else "")
    return [
        f"{'  ' * len(step.path)}{step.number}",
        _ran(step, where),
        changes(step.changed, before, step.values),
        Text(following, style="yellow" if step.questions else "dim"),
        duration(step.seconds),
        Text(step.checkpoint_id[:length], style="cyan"),
    ]


def _ran(step: Step, where: str) -> Text:
    told = ran(step)
    if not step.path:
        return Text(told)
    return Text.assemble((f"{'  ' * len(step.path)}{where} ", "dim"), told)


def _grow(picture: Picture, tree: Tree) -> None:
    for child in tree.children:
        _grow(picture.add(_told(child)), child)


def _told(tree: Tree) -> Text:
    took = [counted(tree.effects, "action")] if tree.effects else []
    took += [f"{tree.tokens:,} tokens"] if tree.tokens else []
    told = [tree.status, *took, clipped(tree.title, 60)]
    return Text.assemble(
        (f"{_parted(tree)} ", "dim") if tree.purpose else "",
        (short(tree.thread_id), "bold cyan" if tree.asked else "cyan"),
        " ",
        (told[0], STATUS_STYLES.get(tree.status, "")),
        *(f" · {each}" for each in told[1:] if each),
        ("  ← this thread", "bold") if tree.asked else "",
    )


def _parted(tree: Tree) -> str:
    """Return what kind of branch it is, and where it begins: `fork at 2 in desk/letter`."""
    at = "a step that is gone" if tree.forked_at is None else str(tree.forked_at)
    inside = f" in {'/'.join(tree.forked_inside)}" if tree.forked_inside else ""
    return f"{tree.purpose} at {at}{inside}"
