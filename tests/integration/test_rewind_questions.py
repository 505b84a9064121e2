"""Forks inside subgraphs that ask a person, and inside those that a node calls where nobody sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import interlock
from interlock import Interlock, Resume, Run, Step
from interlock.errors import UsageError

CONFIG = Path(__file__).parents[1] / "sample" / "nested" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def board(il: Interlock, log: Path) -> Run:
    run = await il.ainvoke("board", {"members": ["a", "b"], "log": str(log)})
    assert [each.payload["value"] for each in run.interrupts] == ["a?", "b?"]
    return run


async def answered(il: Interlock, run: Run, *said: str) -> Run:
    """The run after its questions were answered, in order."""
    for question, answer in zip(run.interrupts, said, strict=False):
        run = await il.aresume(run.thread_id, Resume(question.id, answer))
    return run


async def before(il: Interlock, thread: str, node: str, who: str) -> Step:
    return next(
        step
        for step in await il.ahistory(thread, inside=True)
        if step.next == (node,) and step.values.get("who") == who
    )


def noted(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    log.unlink()
    return lines


async def test_a_branch_beside_the_fork_asks_again(il: Interlock, log: Path) -> None:
    """It waits in the fork as in the parent, under a question of the fork's own; what had ended keeps its answer."""
    run = await board(il, log)
    waiting = await answered(il, run, "yes")
    at = await before(il, run.thread_id, "sign", "a")
    noted(log)

    fork = await il.afork(run.thread_id, at=at.checkpoint_id, values={"said": "no"})

    [question] = fork.interrupts
    assert (waiting.status, fork.status, question.payload["value"]) == ("waiting", "waiting", "b?")
    assert question.id not in {each.id for each in run.interrupts}
    assert noted(log) == ["sign a"]
    done = await answered(il, fork, "maybe")
    assert done.output["votes"] == ["a no", "b maybe"]


async def test_a_branch_beside_the_fork_asks_also_what_it_was_answered(
    il: Interlock, log: Path
) -> None:
    """Of two questions in one node, one was answered: the fork asks that one, too."""
    run = await il.ainvoke("board", {"members": ["a", "c"], "log": str(log)})
    waiting = await answered(il, run, "yes", "no")
    at = await before(il, run.thread_id, "sign", "a")

    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    assert [each.payload["value"] for each in waiting.interrupts] == ["no, sure?"]
    assert [each.payload["value"] for each in fork.interrupts] == ["c?"]


async def test_a_fork_before_a_question_inside_asks_it_again(il: Interlock, log: Path) -> None:
    """The branch beside it had been answered, and is not asked again."""
    run = await board(il, log)
    await answered(il, run, "yes", "no")
    at = await before(il, run.thread_id, "ask", "b")
    noted(log)

    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    assert [each.payload["value"] for each in fork.interrupts] == ["b?"]
    done = await answered(il, fork, "never")
    assert done.output["votes"] == ["a yes", "b never"]
    assert noted(log)[:2] == ["sign b", "count"]


async def test_a_fork_inside_the_second_call_of_a_node_does_not_repeat_the_first(
    il: Interlock, log: Path
) -> None:
    """The node runs again from its first line; a call that had ended returns at once."""
    run = await board(il, log)
    await answered(il, run, "yes", "no")
    at = await hidden_step(il, run.thread_id, "1 b no")
    noted(log)

    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    assert (fork.status, noted(log)) == ("succeeded", ["count", "end 1 b no"])


async def test_a_fork_inside_the_first_call_of_a_node_runs_the_second_anew(
    il: Interlock, log: Path
) -> None:
    """What followed the fork in the same node is not taken over."""
    run = await board(il, log)
    await answered(il, run, "yes", "no")
    at = await hidden_step(il, run.thread_id, "0 a yes")
    noted(log)

    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    assert fork.status == "succeeded"
    assert noted(log) == ["count", "end 0 a yes", "begin 1 b no", "end 1 b no"]


async def test_the_state_of_a_graph_that_is_not_seen_cannot_be_changed(
    il: Interlock, log: Path
) -> None:
    """There is no schema to check it against; its steps show their state without the nodes."""
    run = await board(il, log)
    await answered(il, run, "yes", "no")
    at = await hidden_step(il, run.thread_id, "0 a yes")

    assert (at.path, at.nodes, at.next, dict(at.values)) == (
        ("count",),
        (),
        (),
        {"who": "0 a yes", "log": str(log)},
    )
    with pytest.raises(UsageError, match="The state inside count cannot be changed"):
        await il.afork(run.thread_id, at=at.checkpoint_id, values={"who": "c"})


async def hidden_step(il: Interlock, thread: str, who: str) -> Step:
    """The step of the graph that counts, before it ends."""
    found = [
        step
        for step in await il.ahistory(thread, inside=True)
        if step.path == ("count",) and step.values.get("who") == who
    ]
    return found[-2]
