"""What a node's error handler asks is a question like any other: it is open, is answered, and the run goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import interlock
from interlock import Approve, Interlock, Reject, Resume, Run
from interlock.errors import ActionRefused

SAMPLE = Path(__file__).parents[1] / "sample" / "handled"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    """A runtime with the graphs whose nodes fail."""
    async with interlock.aopen(database_url, config=SAMPLE / "langgraph.json") as opened:
        yield opened


def noted(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


async def answered(il: Interlock, **answers: str) -> Run:
    """Answer what is open, each with what is said to its first word."""
    given = [
        Resume(each.id, answers[str(each.payload["value"]).partition("?")[0].replace(" ", "_")])
        for each in await il.aquestions("one")
    ]
    return await il.aresume("one", given)


@pytest.mark.parametrize("graph", ["asks", "around"])
async def test_a_handler_asks_twice(il: Interlock, tmp_path: Path, graph: str) -> None:
    """The failed node does not run again; in a subgraph too."""
    run = await il.ainvoke(graph, {"folder": str(tmp_path)}, thread_id="one")
    assert run.status == "waiting"
    again = await answered(il, first="a")
    done = await answered(il, first_again="b")

    assert (again.status, done.status) == ("waiting", "succeeded")
    assert done.output["said"] == ["first a b"]
    assert noted(tmp_path) == ["first"]


async def test_handlers_ask_side_by_side(il: Interlock, tmp_path: Path) -> None:
    """Each question is its own failed node's, and stands beside that of a node that did not fail."""
    await il.ainvoke("beside", {"folder": str(tmp_path)}, thread_id="one")
    asked = {each.node: each.payload["value"] for each in await il.aquestions("one")}
    await answered(il, first="a", second="b", third="c")
    done = await answered(il, first_again="d", second_again="e")

    assert asked == {"first": "first?", "second": "second?", "third": "third?"}
    assert sorted(done.output["said"]) == ["first a d", "second b e", "third c"]
    assert sorted(noted(tmp_path)) == ["first", "second"]


async def test_a_handler_acts_once_it_is_approved(il: Interlock, tmp_path: Path) -> None:
    """Its act is asked about, and happens once."""
    await il.ainvoke("refunds", {"folder": str(tmp_path)}, thread_id="one")
    [question] = await il.aquestions("one")
    assert noted(tmp_path) == ["first"]
    done = await il.aresume("one", Approve(question.id))

    assert (question.action, done.status) == ("handled_refund", "succeeded")
    assert noted(tmp_path) == ["first", "refunded"]


async def test_what_was_rejected_in_a_handler_does_not_happen(
    il: Interlock, tmp_path: Path
) -> None:
    """Not when the thread is resumed again, either."""
    await il.ainvoke("refunds", {"folder": str(tmp_path)}, thread_id="one")
    [question] = await il.aquestions("one")
    with pytest.raises(ActionRefused):
        await il.aresume("one", Reject(question.id, "no"))
    with pytest.raises(ActionRefused):
        await il.aresume("one")

    assert noted(tmp_path) == ["first"]


async def test_a_handler_sleeps(il: Interlock, tmp_path: Path) -> None:
    """The run waits for the time that its handler named."""
    run = await il.ainvoke("sleeps", {"folder": str(tmp_path)}, thread_id="one")

    assert run.status == "waiting"
    assert run.wakes_at is not None
