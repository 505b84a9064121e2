"""How often nodes ran and what their model calls took, by what Postgres knows of their tasks."""

from __future__ import annotations

from datetime import UTC, datetime

from interlock.postgres.dashboard import ListedCall, RanTask
from interlock.server.dashboard.nodes import ran, taken

TASKS = [
    RanTask(namespace="", task_id="s", node="__start__"),
    RanTask(namespace="", task_id="p", node="plan"),
    RanTask(namespace="", task_id="w1", node="write"),
    RanTask(namespace="", task_id="w2", node="write"),
    RanTask(namespace="", task_id="r1", node=""),
    RanTask(namespace="researcher:r1", task_id="q1", node="query"),
    RanTask(namespace="researcher:r1", task_id="q2", node="query"),
    RanTask(namespace="researcher:r1|judge:j1", task_id="v", node="vote"),
    RanTask(namespace="", task_id="r2", node=""),
    RanTask(namespace="researcher:r2|1", task_id="q3", node="query"),
    RanTask(namespace="", task_id="x", node=""),
]


def test_nodes_are_counted_by_the_way_that_leads_to_them() -> None:
    """Those of subgraphs behind the node that runs them; a task that was sent is known by the subgraph that it ran."""
    assert ran(TASKS) == {
        ("plan",): 1,
        ("write",): 2,
        ("researcher",): 2,
        ("researcher", "query"): 3,
        ("researcher", "judge", "vote"): 1,
    }


def test_what_was_taken_inside_is_of_the_node_around_it_too() -> None:
    """A call of a node that nobody sees is of the node around it; an unknown price makes the sum unknown."""
    calls = [
        _call("plan", "p", 10, 0.5),
        _call("query", "r1", 5, 0.1),
        _call("query", "r2", 7, None),
    ]
    calls += [_call("hidden", "w1", 3, 0.0)]

    found = taken(calls, TASKS)

    assert {path: (used.calls, used.input_tokens, used.cost) for path, used in found.items()} == {
        ("plan",): (1, 10, 0.5),
        ("researcher",): (2, 12, None),
        ("researcher", "query"): (2, 12, None),
        ("write",): (1, 3, 0.0),
    }


def test_nothing_was_taken_where_nothing_was_called() -> None:
    """Nodes without model calls are left out."""
    assert taken([], TASKS) == {}
    assert ran([]) == {}


def _call(node: str, task: str, tokens: int, cost: float | None) -> ListedCall:
    return ListedCall(
        node=node,
        task_id=task,
        model="m",
        input_tokens=tokens,
        output_tokens=0,
        cost=cost,
        seconds=1.0,
        called_at=datetime(2026, 1, 1, tzinfo=UTC),
        ran_from="",
    )
