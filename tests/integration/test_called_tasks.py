"""Threads whose nodes call tasks of LangGraph's functional interface go on after a question and after a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import interlock
from interlock import Interlock, Resume
from interlock.errors import ResumeRefused
from interlock.settings import Settings

SAMPLE = Path(__file__).parents[1] / "sample" / "called"
SETTINGS = Settings(policy=SAMPLE / "policy.toml")


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    """A runtime with the graphs that call tasks."""
    async with interlock.aopen(
        database_url, config=SAMPLE / "langgraph.json", settings=SETTINGS
    ) as opened:
        yield opened


def noted(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


async def test_a_node_that_asks_behind_a_call_goes_on(il: Interlock, tmp_path: Path) -> None:
    """What it had called before the question does not run again."""
    await il.ainvoke("asks", {"folder": str(tmp_path)}, thread_id="one")
    [question] = await il.aquestions("one")
    assert (await il.acheck()).broken == ()
    done = await il.aresume("one", Resume(question.id, "yes"))

    assert (done.status, done.output["said"]) == ("succeeded", ["a", "yes", "b"])
    assert noted(tmp_path) == ["a", "b"]


async def test_tasks_that_are_called_may_ask(il: Interlock, tmp_path: Path) -> None:
    """Two that run at once are asked about one after the other, and each is given its own answer."""
    run = await il.ainvoke("asked", {"folder": str(tmp_path)}, thread_id="one")
    answers = {"first?": "1", "second?": "2"}
    while run.status == "waiting":
        asked = await il.aquestions("one")
        given = [Resume(each.id, answers[str(each.payload["value"])]) for each in asked]
        run = await il.aresume("one", given)

    assert (run.status, run.output["said"]) == ("succeeded", ["1", "2"])
    assert noted(tmp_path) == ["a"]


async def test_a_node_that_failed_behind_its_calls_goes_on(il: Interlock, tmp_path: Path) -> None:
    """Neither the calls nor what they called runs again, and each payment is made once."""
    (tmp_path / "trap").touch()
    with pytest.raises(ConnectionError):
        await il.ainvoke("fails", {"folder": str(tmp_path)}, thread_id="one")
    done = await il.aresume("one")

    assert (done.status, done.output["said"]) == ("succeeded", ["paid 1", "paid 2"])
    assert noted(tmp_path) == ["settles 1", "paid 1", "settles 2", "paid 2"]


async def test_what_a_node_that_is_gone_called_would_be_lost(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Code that has no such node is told of it, and pays nothing again."""
    (tmp_path / "trap").touch()
    with pytest.raises(ConnectionError):
        await il.ainvoke("fails", {"folder": str(tmp_path)}, thread_id="one")
    newer = SAMPLE / "renamed.json"
    async with interlock.aopen(database_url, config=newer, settings=SETTINGS) as other:
        with pytest.raises(ResumeRefused, match="waits in the node 'desk'"):
            await other.aresume("one")

    assert noted(tmp_path) == ["settles 1", "paid 1", "settles 2", "paid 2"]
