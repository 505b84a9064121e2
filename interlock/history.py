"""A thread's history as steps. Pure: snapshots in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import StateSnapshot

from interlock.branching import names_in
from interlock.core.runs import Step, Usage
from interlock.errors import NotFound, UsageError

_SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


def steps_of(
    snapshots: Sequence[StateSnapshot], usage: Mapping[str, Usage], *, inside: str = ""
) -> list[Step]:
    """Return the steps of a graph, oldest first, given its line of checkpoints in the same order."""
    pairs = zip([None, *snapshots], snapshots, strict=False)
    steps = [_step(before, snapshot, usage) for before, snapshot in pairs]
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


def find_step(steps: Sequence[Step], at: int | str) -> Step:
    """Return the step with this number or checkpoint id (or the beginning of one); raises `NotFound`, `UsageError`."""
    number = step_number(at)
    found = (
        [s for s in steps if s.number == number and not s.inside]
        if number is not None
        else _by_id(steps, str(at))
    )
    if not found:
        numbers = [step.number for step in steps if not step.inside]
        known = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
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
    for node in (node for step in steps for node in step.nodes):
        counts[node] = counts.get(node, 0) + 1
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
    before: StateSnapshot | None, snapshot: StateSnapshot, usage: Mapping[str, Usage]
) -> Step:
    metadata = snapshot.metadata or {}
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
        nodes=tuple(task.name for task in ran),
        next=tuple(snapshot.next),
        changed=_changed(before.values if before else {}, snapshot.values),
        values=snapshot.values,
        questions=tuple(each.id for each in snapshot.interrupts),
        seconds=(created - _time(before)).total_seconds() if before else 0.0,
        usage=sum((usage.get(task.id, Usage()) for task in ran), Usage()),
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
