"""A worker is killed inside a run that was driven in some way: another one goes on, and does nothing twice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Run
from interlock.core.driving import Driving
from tests.questions import sql
from tests.submitting import PATIENCE, events, until, working

CONFIG = Path(__file__).parents[1] / "sample" / "driven" / "langgraph.json"
GOES_ON = Driving(goes_on=True)
WROTE = "select idx from checkpoint_writes where channel = '__no_writes__'"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def dies_in_a_worker(url: str, folder: Path, commands: int) -> None:
    """Start a worker, and kill it inside the node that waits for that; what a command wrote is saved by then."""

    async def is_there() -> bool:
        assert process.returncode is None, "the worker ended"
        return (folder / "died").exists() and len(await sql(url, WROTE)) >= commands

    command = [sys.executable, "-m", "interlock", "worker", "--url", url, "--config", str(CONFIG)]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await until(is_there)
    finally:
        process.kill()
        await process.wait()


async def gone_on(il: Interlock, run: Run, folder: Path, *, commands: int = 0) -> Run:
    """Let a worker die in a run, another one go on, and return how it ended."""
    await dies_in_a_worker(il.url, folder, commands)
    async with working(il):
        ended = await il.await_run(run.run_id, PATIENCE)
    assert (await il.store.stored(run.run_id)).run.attempts > 1
    assert "lost" in await events(il.url, run.run_id)
    return ended


def given(folder: Path, dies: str, **more: Any) -> Mapping[str, Any]:
    """An input with which a node kills its process."""
    return {"folder": str(folder), "dies": dies, **more}


def ran(folder: Path) -> list[str]:
    """The nodes that ran, in their order."""
    return (folder / "log").read_text().split()


async def before(il: Interlock, number: int) -> Mapping[str, str]:
    """The checkpoint before a step of the thread `t`."""
    step = next(each for each in await il.ahistory("t") if each.number == number)
    return {"checkpoint_id": step.checkpoint_id}


async def test_a_run_from_an_older_checkpoint_goes_on_from_its_own_last(
    il: Interlock, tmp_path: Path
) -> None:
    """It does not start again from there."""
    await il.ainvoke("line", {"folder": str(tmp_path)}, thread_id="t")
    driving = Driving(checkpoint=await before(il, 1))
    run = await il.asubmit("line", given(tmp_path, "b"), thread_id="t", driving=driving)
    ended = await gone_on(il, run, tmp_path)

    assert ended.output["said"] == ["a", "a", "b", "c"]
    assert ran(tmp_path) == ["a", "b", "c", "a", "b", "b", "c"]


async def test_a_run_that_had_not_begun_starts_from_its_checkpoint(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its process was gone before it had saved anything: what came behind the checkpoint is not part of it."""
    await il.ainvoke("line", {"folder": str(tmp_path)}, thread_id="t")
    driving = Driving(checkpoint=await before(il, 1))
    for number, (values, how) in enumerate(
        [({"said": ["n"]}, driving), (None, replace(driving, goes_on=True))]
    ):
        run = await il.asubmit("line", values, thread_id="t", driving=how)
        await sql(
            database_url, "update interlock.runs set attempts = 1 where run_id = %s", run.run_id
        )
        async with working(il):
            ended = await il.await_run(run.run_id, PATIENCE)
        assert ended.output["said"] == [["a", "n", "a", "b", "c"], ["a", "b", "c"]][number]


async def test_a_run_that_goes_on_does_so_again(il: Interlock, tmp_path: Path) -> None:
    """From the checkpoint that it had come to."""
    stops = Driving(interrupt_before=("b",))
    await il.asubmit("line", given(tmp_path, "c"), thread_id="t", driving=stops)
    async with working(il):
        await il.await_run("t", PATIENCE)
    run = await il.asubmit("line", None, thread_id="t", driving=GOES_ON)
    ended = await gone_on(il, run, tmp_path)

    assert ended.output["said"] == ["a", "b", "c"]
    assert ran(tmp_path) == ["a", "b", "c", "c"]


async def test_a_breakpoint_holds_for_who_takes_over(il: Interlock, tmp_path: Path) -> None:
    """The run dies on its way to it."""
    stops = Driving(interrupt_before=("c",))
    run = await il.asubmit("line", given(tmp_path, "b"), thread_id="t", driving=stops)
    stopped = await gone_on(il, run, tmp_path)

    assert (stopped.status, stopped.error_kind) == ("waiting", "breakpoint")
    assert ran(tmp_path) == ["a", "b", "b"]


@pytest.mark.parametrize("node", ["b", "c"])
async def test_a_command_is_done_once(il: Interlock, tmp_path: Path, node: str) -> None:
    """Whether its first step was saved before its process was killed, or not."""
    await il.ainvoke("line", {"folder": str(tmp_path)}, thread_id="t")
    update = {"said": ["u"], "dies": node}
    driving = Driving(command={"update": update, "goto": "b"})
    run = await il.asubmit("line", None, thread_id="t", driving=driving)
    ended = await gone_on(il, run, tmp_path, commands=1)

    assert ended.output["said"] == ["a", "b", "c", "u", "b", "c"]


async def test_an_equal_command_before_it_is_another_one(il: Interlock, tmp_path: Path) -> None:
    """Which left what it wrote beside the same checkpoint."""
    (tmp_path / "died").touch()
    await il.ainvoke("line", given(tmp_path, "b"), thread_id="t")
    (tmp_path / "died").unlink()
    ends = Driving(command={"update": {"said": ["u"]}, "goto": "__end__"})
    await il.asubmit("line", None, thread_id="t", driving=ends, attended=True)
    await il.aresume("t")
    driving = Driving(command={"update": {"said": ["u"]}, "goto": "b"})
    run = await il.asubmit("line", None, thread_id="t", driving=driving)
    ended = await gone_on(il, run, tmp_path, commands=2)

    assert ended.output["said"] == ["a", "b", "c", "u", "u", "b", "c"]


@pytest.mark.parametrize("node", ["ask", "b"])
async def test_an_update_that_came_with_an_answer_is_done_once(
    il: Interlock, tmp_path: Path, node: str
) -> None:
    """And so is the answer."""
    await il.ainvoke("asks_then", given(tmp_path, node), thread_id="t")
    driving = Driving(command={"update": {"said": ["u"]}})
    run = await il.asubmit_resume("t", "red", driving=driving)
    ended = await gone_on(il, run, tmp_path, commands=1)

    assert ended.output["said"] == ["u", "first red", "b"]
    assert ran(tmp_path) == sorted(["ask", "b", node])


async def test_what_is_saved_at_the_end_alone_begins_anew(il: Interlock, tmp_path: Path) -> None:
    """Its nodes run again from the input; so it is documented."""
    driving = Driving(durability="exit")
    run = await il.asubmit("line", given(tmp_path, "c"), thread_id="t", driving=driving)
    ended = await gone_on(il, run, tmp_path)

    assert ended.output["said"] == ["a", "b", "c"]
    assert ran(tmp_path) == ["a", "b", "c", "a", "b", "c"]
