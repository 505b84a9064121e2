"""How often each node of a thread ran, and what its model calls took. Pure: tasks and calls in, values by node out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from interlock.branching import names_in
from interlock.core.runs import Usage
from interlock.postgres.dashboard import ListedCall, RanTask

Path = tuple[str, ...]
"""A node, behind those whose subgraphs it is in."""

ENDS = ("__start__", "__end__")


def ran(tasks: Sequence[RanTask]) -> dict[Path, int]:
    """Return how often each node ran.

    LangGraph does not write down whom a task was sent to; that is known by the subgraph that it ran. One that was sent
    to a node without a subgraph is not counted here.
    """
    named = _named(tasks)
    paths = [(*names_in(each.namespace), named.get(_place(each), "")) for each in tasks]
    return dict(Counter(path for path in paths if path[-1] and path[-1] not in ENDS))


def taken(calls: Sequence[ListedCall], tasks: Sequence[RanTask]) -> dict[Path, Usage]:
    """Return what the model calls of each node took; those of a subgraph are of the node that runs it, too."""
    known = ran(tasks)
    outer = {place[1]: node for place, node in _named(tasks).items() if not place[0]}
    found: defaultdict[Path, Usage] = defaultdict(Usage)
    for call in calls:
        path = _path(outer.get(call.task_id, call.node), call.node, known)
        for length in range(1, len(path) + 1):
            found[path[:length]] += usage_of(call)
    return dict(found)


def usage_of(call: ListedCall) -> Usage:
    """Return what a call took."""
    return Usage(
        calls=1,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        cost=call.cost,
        seconds=call.seconds,
    )


def _path(outer: str, node: str, known: Mapping[Path, int]) -> Path:
    """Return the way to a node that ran inside another; one that nobody sees is part of the node around it."""
    if outer == node:
        return (node,)
    ways = [path for path in known if path[0] == outer and path[-1] == node]
    return ways[0] if ways else (outer,)


def _named(tasks: Sequence[RanTask]) -> dict[tuple[str, str], str]:
    """Return the nodes of tasks, by namespace and id."""
    named = {_place(each): each.node for each in tasks if each.node}
    for namespace in {each.namespace for each in tasks if each.namespace}:
        around, _, last = _without_count(namespace).rpartition("|")
        node, _, task_id = last.partition(":")
        named.setdefault((around, task_id), node)
    return named


def _without_count(namespace: str) -> str:
    """Return a namespace without the number that tells several subgraphs of one task apart."""
    head, _, tail = namespace.rpartition("|")
    return head if tail.isdigit() else namespace


def _place(task: RanTask) -> tuple[str, str]:
    return task.namespace, task.task_id
