"""A thread's history with the steps of its subgraphs, and the tree of its forks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Run, Tree

CONFIG = Path(__file__).parents[1] / "sample" / "nested" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def office(il: Interlock, folder: Path, *desks: str) -> Run:
    return await il.ainvoke("office", {"desks": list(desks), "log": str(folder / "log")})


async def test_a_history_tells_the_steps_inside_under_the_step_that_ran_them(
    il: Interlock, tmp_path: Path
) -> None:
    """Two graphs deep, in the order of time; numbers are those of each graph."""
    run = await office(il, tmp_path, "a")

    steps = await il.ahistory(run.thread_id, inside=True)

    assert [("/".join(step.path), step.number, step.nodes) for step in steps] == [
        ("", -1, ()),
        ("", 0, ("__start__",)),
        ("", 1, ("plan",)),
        ("desk", -1, ()),
        ("desk", 0, ("__start__",)),
        ("desk", 1, ("greet",)),
        ("desk/letter", -1, ()),
        ("desk/letter", 0, ("__start__",)),
        ("desk/letter", 1, ("draft",)),
        ("desk/letter", 2, ("stamp",)),
        ("desk/letter", 3, ("polish",)),
        ("desk", 2, ("letter",)),
        ("desk", 3, ("close",)),
        ("", 2, ("desk",)),
        ("", 3, ("post",)),
    ]
    assert [step.created_at for step in steps] == sorted(step.created_at for step in steps)


async def test_a_step_inside_has_the_state_of_its_graph(il: Interlock, tmp_path: Path) -> None:
    """With what changed in it, and restored to the types that only the subgraph's schema names."""
    run = await office(il, tmp_path, "a")

    steps = await il.ahistory(run.thread_id, inside=True)

    [stamped] = [step for step in steps if step.nodes == ("stamp",)]
    assert stamped.changed == ("stamp",)
    assert stamped.values["stamp"].by == "a"
    assert stamped.values["text"] == "dear draft"
    assert [part.partition(":")[0] for part in stamped.inside.split("|")] == ["desk", "letter"]


async def test_a_history_without_inside_is_that_of_the_thread(
    il: Interlock, tmp_path: Path
) -> None:
    """The steps of the thread's own graph are the same in both, and lie in no namespace."""
    run = await office(il, tmp_path, "a", "b")

    own = await il.ahistory(run.thread_id)
    all_steps = await il.ahistory(run.thread_id, inside=True)

    assert [step for step in all_steps if not step.inside] == own
    assert (len(own), len(all_steps)) == (5, 25)


async def test_one_step_inside_is_found_by_its_checkpoint(il: Interlock, tmp_path: Path) -> None:
    """Numbers are those of the thread's own graph; a checkpoint's id names a step of any."""
    run = await office(il, tmp_path, "a")
    steps = await il.ahistory(run.thread_id, inside=True)
    [drafted] = [step for step in steps if step.nodes == ("draft",)]

    assert await il.astep(run.thread_id, drafted.checkpoint_id) == drafted
    assert (await il.astep(run.thread_id, 2)).nodes == ("desk",)


async def test_equal_values_are_restored_once(il: Interlock, tmp_path: Path) -> None:
    """Steps that have the same value share it."""
    run = await office(il, tmp_path, "a")
    steps = await il.ahistory(run.thread_id, inside=True)
    one, other = [step for step in steps if "stamp" in step.values]

    assert one.values["stamp"] is other.values["stamp"]


def shape(tree: Tree) -> Any:  # nested tuples
    """What a test looks at of a tree."""
    return (
        tree.thread_id,
        tree.purpose,
        (tree.forked_at, tree.forked_inside),
        tree.status,
        tree.asked,
        [shape(child) for child in tree.children],
    )


async def test_the_tree_of_forks_is_the_same_from_each_of_its_threads(
    il: Interlock, tmp_path: Path
) -> None:
    """It begins at the first thread; the one that was asked for is marked."""
    run = await office(il, tmp_path, "a")
    inside = await il.ahistory(run.thread_id, inside=True)
    [stamped] = [step for step in inside if step.nodes == ("stamp",)]
    one = await il.afork(run.thread_id, at=1)
    other = await il.asubmit_fork(run.thread_id, at=stamped.checkpoint_id)
    below = await il.afork(one.thread_id, at=2)
    await office(il, tmp_path, "b")

    trees = [await il.atree(each.thread_id) for each in (run, one, other, below)]

    assert shape(trees[2]) == (
        run.thread_id,
        "",
        (None, ()),
        "succeeded",
        False,
        [
            (
                one.thread_id,
                "fork",
                (1, ()),
                "succeeded",
                False,
                [(below.thread_id, "fork", (2, ()), "succeeded", False, [])],
            ),
            (other.thread_id, "fork", (2, ("desk", "letter")), "queued", True, []),
        ],
    )
    assert {tree.thread_id for tree in trees} == {run.thread_id}


async def test_the_tree_of_a_thread_without_forks_is_the_thread(
    il: Interlock, tmp_path: Path
) -> None:
    """It was forked from nothing."""
    run = await office(il, tmp_path, "a")

    tree = await il.atree(run.thread_id[:8])

    assert (tree.thread_id, tree.asked, tree.children, tree.effects, tree.tokens) == (
        run.thread_id,
        True,
        (),
        0,
        0,
    )
