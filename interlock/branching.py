"""Which part of a thread's checkpoints a fork takes over, and which recorded work it may use. Pure.

A subgraph's checkpoints stand in a namespace of their own, `node:task` under the graph around it. Ids of tasks derive
from their checkpoint, so a copy has the same; and a subgraph goes on from the newest checkpoint in its namespace when
its task runs again without having ended, as after a crash. So a fork inside a subgraph copies the way to its
checkpoint, and lets the tasks on that way run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from interlock.core.lineage import Lineage, Source
from interlock.postgres.forks import Ancestor, Extent, Place

Way = Sequence[tuple[str, str]]
"""Namespace and checkpoint, from the thread's own graph inwards; tasks run anew from the last one."""


def way_to(place: Place) -> list[tuple[str, str]]:
    """Return the checkpoints that lead to a place, itself last."""
    around = sorted(place.parents.items(), key=lambda each: len(each[0]))
    return [*around, (place.namespace, place.checkpoint_id)]


def taken(places: Sequence[Place], way: Way) -> list[tuple[str, str, Extent]]:
    """Return the checkpoints that a fork takes over, and to what extent their tasks' work."""
    behind = {namespace: _behind(places, namespace, head) for namespace, head in way}
    found = [(place, _extent(place, way, behind)) for place in places]
    return [
        (place.namespace, place.checkpoint_id, extent)
        for place, extent in found
        if extent is not None
    ]


def redone(way: Way) -> list[tuple[str, str]]:
    """Return node and task on the way, from the outside inwards; the task is empty where a subgraph has a memory."""
    return [_call(inner, outer)[:2] for (outer, _), (inner, _) in pairwise(way)]


def recorded_since(places: Sequence[Place], way: Way) -> str:
    """Return the checkpoint from which a fork may ask again for what its parent did.

    That is the one it starts from. Where the step around it had not ended, branches beside it go on too, from
    checkpoints of their own; so there it is the step.
    """
    namespace, step = way[0]
    ended = any(place.namespace == namespace and place.parent_id == step for place in places)
    return way[-1][1] if ended else step


def lineage_of(line: Sequence[Ancestor], at: str, *, recorded_only: bool) -> Lineage:
    """Return the lineage of a fork of the first of a line of threads, at a checkpoint.

    As `interlock.core.lineage.forked`, which knows only forks between two steps. A thread that was forked inside a step
    took over what its parent did in branches beside it, also later than the fork's checkpoint, up to the step's end.
    """
    sources, before = [], ""
    for each in line:
        since = max(at, each.began)
        if not before or since < before:
            sources.append(Source(thread_id=each.thread_id, since=since, before=before))
        if not each.began or (each.until and at >= each.until):
            break
        before = min(filter(None, (before, each.until)), default="")
    return Lineage(sources=tuple(sources), recorded_only=recorded_only)


def names_in(namespace: str) -> tuple[str, ...]:
    """Return the names of the nodes that a namespace leads through."""
    return tuple(
        part.partition(":")[0] for part in namespace.split("|") if part and not part.isdigit()
    )


def _behind(places: Sequence[Place], namespace: str, head: str) -> set[str]:
    """Return the checkpoints before the head."""
    before = {each.checkpoint_id: each.parent_id for each in places if each.namespace == namespace}
    found: set[str] = set()
    current = before.get(head, "")
    while current and current not in found:
        found.add(current)
        current = before.get(current, "")
    return found


def _extent(place: Place, way: Way, behind: Mapping[str, set[str]]) -> Extent | None:
    stands = {**place.parents, place.namespace: place.checkpoint_id}
    for depth, (namespace, head) in enumerate(way):
        if namespace not in stands:
            beside = depth and _beside(place.namespace, way[depth - 1][0], namespace)
            return "open" if beside else None
        if stands[namespace] in behind[namespace]:
            return "whole"
        if stands[namespace] != head:
            return None
        if place.namespace == namespace:
            return "last" if depth == len(way) - 1 else "open"
    return None


def _beside(namespace: str, around: str, on_way: str) -> bool:
    """Say whether a namespace is of another task than the way, or of an earlier call in the same one."""
    name, task, number = _call(namespace, around)
    name_on_way, task_on_way, number_on_way = _call(on_way, around)
    if name != name_on_way or (task and task_on_way and task != task_on_way):
        return True
    return number < number_on_way


def _call(namespace: str, around: str) -> tuple[str, str, int]:
    """Return the node and the task of the graph around that a namespace lies in, and which of its calls it is.

    A subgraph with a memory of its own stands in a namespace without a task.
    """
    rest = namespace.removeprefix(around).removeprefix("|").split("|")
    name, _, task = rest[0].partition(":")
    return name, task, int(rest[1]) if len(rest) > 1 and rest[1].isdigit() else 0
