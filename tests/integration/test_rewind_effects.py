"""What was done to the world is not done again by a fork from inside a subgraph, and a comparison tells it apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import interlock
from interlock import Interlock, Run, Step
from interlock.core.lineage import Source

CONFIG = Path(__file__).parents[1] / "sample" / "nested" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def office(il: Interlock, log: Path) -> Run:
    return await il.ainvoke("clerks", {"clerks": ["a", "b", "c"], "log": str(log)})


async def before(il: Interlock, thread: str, node: str, who: str) -> Step:
    [found] = [
        step
        for step in await il.ahistory(thread, inside=True)
        if step.next == (node,) and step.values.get("who") == who
    ]
    return found


def counted(log: Path) -> Counter[str]:
    return Counter(log.read_text().splitlines())


async def test_an_unchanged_fork_pays_nobody_again(il: Interlock, log: Path) -> None:
    """An act that is asked for again in the same way is answered from the parent's ledger."""
    run = await office(il, log)
    at = await before(il, run.thread_id, "pay", "b")

    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    assert fork.output["paid"] == ["a has 5", "b has 5", "c has 5"]
    ran = counted(log)
    assert (ran["pay b"], ran["paid b 5"], ran["close b"]) == (2, 1, 2)
    assert (ran["pay a"], ran["paid a 5"], ran["reckon b"], ran["lock"]) == (1, 1, 1, 2)


async def test_a_changed_fork_pays_what_was_changed(il: Interlock, log: Path) -> None:
    """Only the branch that was changed acts; the effects of both sides are told apart with their arguments."""
    run = await office(il, log)
    at = await before(il, run.thread_id, "pay", "b")
    fork = await il.afork(run.thread_id, at=at.checkpoint_id, values={"amount": 7})

    found = await il.adiff(run.thread_id, fork.thread_id)

    assert counted(log)["paid b 7"] == 1
    told = [
        sorted((each.arguments["who"], each.arguments["amount"]) for each in effects)
        for effects in (found.effects_both, found.effects_only_a, found.effects_only_b)
    ]
    assert told == [[("a", 5), ("c", 5)], [("b", 5)], [("b", 7)]]
    assert found.common_steps == 2


async def test_an_unchanged_fork_has_its_effects_in_common_with_its_parent(
    il: Interlock, log: Path
) -> None:
    """What a fork took from the ledger counts as one effect of both, also seen from the fork."""
    run = await office(il, log)
    at = await before(il, run.thread_id, "pay", "b")
    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    found = await il.adiff(run.thread_id, fork.thread_id)
    turned = await il.adiff(fork.thread_id, run.thread_id)

    assert sorted(each.arguments["who"] for each in found.effects_both) == ["a", "b", "c"]
    assert sorted(each.arguments["who"] for each in turned.effects_both) == ["a", "b", "c"]
    assert (found.effects_only_a, found.effects_only_b) == ((), ())


async def test_a_branch_that_failed_after_it_paid_does_not_pay_again(
    il: Interlock, log: Path
) -> None:
    """A branch beside the fork goes on from an earlier checkpoint; what it did there counts, too."""
    trap = log.with_name("log.b")
    trap.touch()
    with pytest.raises(RuntimeError, match="b was told to fail"):
        await office(il, log)
    trap.unlink()
    [thread] = await il.athreads()
    at = await before(il, thread.thread_id, "close", "a")

    fork = await il.afork(thread.thread_id, at=at.checkpoint_id)

    assert fork.output["paid"] == ["a has 5", "b has 5", "c has 5"]
    ran = counted(log)
    assert (ran["pay b"], ran["paid a 5"], ran["paid b 5"], ran["paid c 5"]) == (2, 1, 1, 1)


async def test_a_forks_lineage_is_stored(il: Interlock, log: Path) -> None:
    """Its run says whose work it may use, from where; a fork of what was copied names both."""
    run = await office(il, log)
    at = await before(il, run.thread_id, "pay", "b")
    steps = await il.ahistory(run.thread_id)
    fork = await il.afork(run.thread_id, at=at.checkpoint_id, values={"amount": 7})
    beside = await before(il, fork.thread_id, "pay", "c")

    again = await il.afork(fork.thread_id, at=beside.checkpoint_id)

    lineages = [(await il.store.latest(each.thread_id)).lineage for each in (run, fork, again)]
    assert lineages[0].sources == ()
    assert lineages[1].sources == (Source(thread_id=run.thread_id, since=at.checkpoint_id),)
    assert lineages[2].sources == (
        Source(thread_id=fork.thread_id, since=beside.checkpoint_id),
        Source(
            thread_id=run.thread_id,
            since=beside.checkpoint_id,
            before=steps[2].checkpoint_id,
        ),
    )
    assert counted(log)["paid c 5"] == 1


async def test_an_answered_run_keeps_its_lineage(il: Interlock, log: Path) -> None:
    """Also a later run on a fork's thread knows whose work it may use."""
    run = await office(il, log)
    at = await before(il, run.thread_id, "pay", "b")
    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    await il.ainvoke("clerks", {"clerks": ["d"], "log": str(log)}, thread_id=fork.thread_id)

    stored = await il.store.latest(fork.thread_id)
    assert (stored.run.kind, [each.thread_id for each in stored.lineage.sources]) == (
        "invoke",
        [run.thread_id],
    )


async def test_the_tree_counts_what_each_thread_did(il: Interlock, log: Path) -> None:
    """What a fork took from its parent's ledger is not counted again."""
    run = await office(il, log)
    at = await before(il, run.thread_id, "pay", "b")
    await il.afork(run.thread_id, at=at.checkpoint_id)
    await il.afork(run.thread_id, at=at.checkpoint_id, values={"amount": 7})

    tree = await il.atree(run.thread_id)

    assert (tree.effects, [child.effects for child in tree.children]) == (3, [0, 1])
