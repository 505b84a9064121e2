"""A thread's history as steps. Pure: snapshots in, values out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import StateSnapshot

from interlock.branching import names_in
from interlock.core.runs import Step, Usage
from interlock.core.sleeping import wakes_at
from interlock.errors import NotFound, UsageError

_SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


def steps_of(
    snapshots: Sequence[StateSnapshot],
    usage: Mapping[str, Usage],
    *,
    inside: str = "",
    folded: Mapping[str, Sequence[str]] | None = None,
) -> list[Step]:
    """Return the steps of a graph, oldest first.

    Args:
        snapshots: its line of checkpoints, oldest first.
        usage: what the model calls of each task took.
        inside: the namespace, for a subgraph.
        folded: by checkpoint, the tasks of the steps that were folded into it.
    """
    pairs = zip([None, *snapshots], snapshots, strict=False)
    taken = folded or {}
    steps = [
        _step(before, snapshot, usage, taken.get(checkpoint_id(snapshot), ()))
        for before, snapshot in pairs
    ]
    path = names_in(inside)
    return [replace(step, inside=inside, path=path) for step in steps] if inside else steps


def in_time(
    root: Sequence[Step], inner: Sequence[Step], ran_by: Mapping[tuple[str, str], str]
) -> list[Step]:
    """Return all steps so that reading them is time: those of subgraphs after the step that ran them.

    Args:
        root: the steps of the thread's own graph, in order.
        inner: the steps of its subgraphs.
        ran_by: namespace and checkpoint of an inner step -> the root's checkpoint that it was run from.
    """
    inside: dict[str, list[Step]] = {}
    for step in sorted(inner, key=lambda each: each.checkpoint_id):
        inside.setdefault(ran_by[step.inside, step.checkpoint_id], []).append(step)
    return [each for step in root for each in (step, *inside.get(step.checkpoint_id, ()))]


def line_of(snapshots: Sequence[StateSnapshot]) -> list[StateSnapshot]:
    """Return the checkpoints from the first to the newest, following parents; given newest first.

    A thread that was forked in place has checkpoints beside this line.
    """
    by_id = {checkpoint_id(each): each for each in snapshots}
    line: list[StateSnapshot] = []
    current = snapshots[0] if snapshots else None
    while current is not None:
        line.append(current)
        parent = (current.parent_config or {}).get("configurable", {}).get("checkpoint_id", "")
        current = by_id.get(parent)
    return line[::-1]


def begun(steps: Sequence[Step]) -> Sequence[Step]:
    """Return the steps of a thread that has made any; raises `NotFound` where it waits for its turn yet."""
    if not steps:
        raise NotFound(
            "This thread has made no step yet.", hint="`interlock watch THREAD` tells what it does."
        )
    return steps


def find_step(steps: Sequence[Step], at: int | str) -> Step:
    """Return the step with this number or checkpoint id (or the beginning of one); raises `NotFound`, `UsageError`."""
    number = step_number(at)
    found = (
        [s for s in steps if s.number == number and not s.inside]
        if number is not None
        else _by_id(steps, str(at))
    )
    if not found:
        numbers = [step.number for step in begun(steps) if not step.inside]
        known = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
        _check_folded(steps, number)
        raise NotFound(
            f"There is no step {at!r} in this thread.", hint=f"It has the steps {known}."
        )
    if len({step.checkpoint_id for step in found}) > 1:
        raise UsageError(
            f"{at!r} fits several checkpoints.", hint="Give more characters, or the step's number."
        )
    return found[-1]


def step_number(at: int | str) -> int | None:
    """Return the number of a step of the thread's own graph, if that is what names it and no checkpoint's id."""
    try:
        number = int(at)
    except ValueError:
        return None
    return number if isinstance(at, int) or len(at) < 7 else None


def node_counts(steps: Sequence[Step]) -> dict[str, int]:
    """Return how often each node ran."""
    counts: dict[str, int] = {}
    for step in steps:
        own = [node for node in step.nodes if node not in step.folded_nodes]
        for node, times in [*step.folded_nodes.items(), *((node, 1) for node in own)]:
            counts[node] = counts.get(node, 0) + times
    return counts


def checkpoint_id(snapshot: StateSnapshot) -> str:
    """Return the id of a snapshot's checkpoint."""
    return str(snapshot.config["configurable"]["checkpoint_id"])


def same(old: Any, new: Any) -> bool:  # values of one state key
    """Say whether two values are equal."""
    try:
        return bool(old == new)
    except Exception:  # arrays and frames compare by element: compare what is stored of them
        return _stored(old) == _stored(new)


def _step(
    before: StateSnapshot | None,
    snapshot: StateSnapshot,
    usage: Mapping[str, Usage],
    taken: Sequence[str],
) -> Step:
    metadata: Mapping[str, Any] = snapshot.metadata or {}  # LangGraph's, and ours
    folded = metadata.get("folded", {})
    ran = (
        [task for task in before.tasks if task.error is None or task.result is not None]
        if before
        else []
    )
    created = _time(snapshot)
    return Step(
        number=int(metadata.get("step", -1)),
        checkpoint_id=checkpoint_id(snapshot),
        created_at=created,
        source=str(metadata.get("source", "")),
        run_id=str(metadata.get("run_id", "")),
        nodes=_nodes([task.name for task in ran], folded.get("nodes", {})),
        next=tuple(snapshot.next),
        changed=_changed(before.values if before else {}, snapshot.values),
        values=snapshot.values,
        questions=tuple(each.id for each in snapshot.interrupts if wakes_at(each.value) is None),
        seconds=(created - _time(before)).total_seconds() if before else 0.0,
        usage=_used([*(task.id for task in ran), *taken], usage),
        folded=int(folded.get("steps", 0)),
        folded_nodes=_times([task.name for task in ran], folded.get("nodes", {})),
    )


def _nodes(ran: Sequence[str], folded: Mapping[str, int]) -> tuple[str, ...]:
    return (*ran, *(node for node in folded if node not in ran))


def _times(ran: Sequence[str], folded: Mapping[str, int]) -> dict[str, int]:
    """Return how often each node ran in the steps that are one now; nothing where none was folded."""
    return dict(Counter(ran) + Counter(folded)) if folded else {}


def _used(tasks: Sequence[str], usage: Mapping[str, Usage]) -> Usage:
    return sum((usage.get(each, Usage()) for each in dict.fromkeys(tasks)), Usage())


def _check_folded(steps: Sequence[Step], number: int | None) -> None:
    """Raise `NotFound` with the steps around one that was folded."""
    own = [step for step in steps if not step.inside]
    pairs = pairwise(own)
    around = [pair for pair in pairs if number and pair[0].number < number < pair[1].number]
    if around and around[0][1].folded:
        before, after = (step.number for step in around[0])
        raise NotFound(
            f"Step {number} was folded into step {after} when the thread was pruned.",
            hint=f"The steps before and after it that are kept are {before} and {after}.",
        )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in new if key not in old or not same(old[key], new[key]))


def _stored(value: Any) -> object:  # a state key's value
    try:
        return _SERIALIZER.dumps_typed(value)
    except Exception:  # then not even LangGraph could have saved it: told by what it says of itself
        return repr(value)


def _time(snapshot: StateSnapshot) -> datetime:
    return datetime.fromisoformat(snapshot.created_at or "1970-01-01T00:00:00+00:00")


def _by_id(steps: Sequence[Step], prefix: str) -> list[Step]:
    return [step for step in steps if prefix and step.checkpoint_id.startswith(prefix)]
