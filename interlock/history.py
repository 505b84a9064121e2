"""A thread's history as steps, and the difference of two threads. Pure: snapshots and rows in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import StateSnapshot

from interlock.core.runs import Step, Usage
from interlock.errors import NotFound, UsageError

_SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two threads differ.

    Attributes:
        common_steps: how many steps both have in common, from the beginning.
        changed: state key -> (value in a, value in b), where they differ at the end.
        path_a: the nodes that ran after the common steps, in order; parallel nodes joined with `+`.
        usage_a: the model calls after the common steps.
        effects_a: the actions done on the thread.
    """

    a: str
    b: str
    common_steps: int
    changed: Mapping[str, tuple[Any, Any]]
    path_a: tuple[str, ...]
    path_b: tuple[str, ...]
    usage_a: Usage
    usage_b: Usage
    effects_a: tuple[str, ...]
    effects_b: tuple[str, ...]


def steps_of(snapshots: Sequence[StateSnapshot], usage: Mapping[str, Usage]) -> list[Step]:
    """Return the steps of a thread, oldest first, given its line of checkpoints in the same order."""
    steps: list[Step] = []
    for before, snapshot in zip([None, *snapshots], snapshots, strict=False):
        steps.append(_step(before, snapshot, usage))
    return steps


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
    number = _number(at)
    found = (
        [s for s in steps if s.number == number] if number is not None else _by_id(steps, str(at))
    )
    if not found:
        known = f"{steps[0].number} to {steps[-1].number}" if steps else "none"
        raise NotFound(
            f"There is no step {at!r} in this thread.", hint=f"It has the steps {known}."
        )
    if len({step.checkpoint_id for step in found}) > 1:
        raise UsageError(
            f"{at!r} fits several checkpoints.", hint="Give more characters, or the step's number."
        )
    return found[-1]


def difference(
    a: tuple[str, Sequence[Step], Sequence[str]], b: tuple[str, Sequence[Step], Sequence[str]]
) -> Difference:
    """Compare two threads, each given as its id, its steps and its effects."""
    common = _common(a[1], b[1])
    last_a, last_b = _last(a[1]), _last(b[1])
    keys = sorted(last_a.keys() | last_b.keys())
    return Difference(
        a=a[0],
        b=b[0],
        common_steps=common,
        changed={
            k: (last_a.get(k), last_b.get(k))
            for k in keys
            if not _same(last_a.get(k), last_b.get(k))
        },
        path_a=_path(a[1][common:]),
        path_b=_path(b[1][common:]),
        usage_a=sum((step.usage for step in a[1][common:]), Usage()),
        usage_b=sum((step.usage for step in b[1][common:]), Usage()),
        effects_a=tuple(a[2]),
        effects_b=tuple(b[2]),
    )


def node_counts(steps: Sequence[Step]) -> dict[str, int]:
    """Return how often each node ran."""
    counts: dict[str, int] = {}
    for node in (node for step in steps for node in step.nodes):
        counts[node] = counts.get(node, 0) + 1
    return counts


def checkpoint_id(snapshot: StateSnapshot) -> str:
    """Return the id of a snapshot's checkpoint."""
    return str(snapshot.config["configurable"]["checkpoint_id"])


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
    return tuple(key for key in new if key not in old or not _same(old[key], new[key]))


def _same(old: Any, new: Any) -> bool:  # values of one state key
    try:
        return bool(old == new)
    except Exception:  # arrays and frames compare by element: compare what is stored of them
        return _stored(old) == _stored(new)


def _stored(value: Any) -> object:  # a state key's value
    try:
        return _SERIALIZER.dumps_typed(value)
    except Exception:  # then not even LangGraph could have saved it: told by what it says of itself
        return repr(value)


def _time(snapshot: StateSnapshot) -> datetime:
    return datetime.fromisoformat(snapshot.created_at or "1970-01-01T00:00:00+00:00")


def _number(at: int | str) -> int | None:
    try:
        number = int(at)
    except ValueError:
        return None
    return number if isinstance(at, int) or len(at) < 7 else None


def _by_id(steps: Sequence[Step], prefix: str) -> list[Step]:
    return [step for step in steps if prefix and step.checkpoint_id.startswith(prefix)]


def _common(a: Sequence[Step], b: Sequence[Step]) -> int:
    pairs = zip(a, b, strict=False)
    return next(
        (n for n, (x, y) in enumerate(pairs) if x.checkpoint_id != y.checkpoint_id),
        min(len(a), len(b)),
    )


def _last(steps: Sequence[Step]) -> Mapping[str, Any]:
    return steps[-1].values if steps else {}


def _path(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple("+".join(step.nodes) for step in steps if step.nodes)
