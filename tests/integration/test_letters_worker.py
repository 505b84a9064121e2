"""Failures of runs that a worker does: tried again by a timer, and dead with a letter."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.queueing import MAX_CRASHES, Options
from interlock.errors import ResumeRefused
from interlock.worker import Plan, work
from interlock.worker.timing import keep_time

CONFIG = Path(__file__).parents[1] / "sample" / "failing" / "langgraph.json"
PATIENCE = 120


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def fails(log: Path, times: int, how: str = "network") -> dict[str, Any]:
    Path(f"{log}.left").write_text(str(times))
    return {"how": how, "log": str(log)}


@asynccontextmanager
async def working(il: Interlock, plan: Plan | None = None) -> AsyncIterator[None]:
    """A worker beside the test, and what keeps the time."""
    stopped = asyncio.Event()
    keeping = asyncio.create_task(keep_time(il))
    at_work = asyncio.create_task(work(il, plan, stopped=stopped))
    try:
        yield
    finally:
        stopped.set()
        await at_work
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def test_a_failure_that_passes_is_tried_again(il: Interlock, log: Path) -> None:
    """No process holds the run meanwhile; what was done is not done again."""
    async with working(il):
        run = await il.asubmit("fails", fails(log, 2))
        ended = await il.await_run(run.run_id, timeout=PATIENCE)

    assert (ended.status, ended.attempts) == ("succeeded", 3)
    assert log.read_text().split() == ["begin", "act", "fail", "fail", "end"]
    assert await il.aletters(status=None) == []


async def test_a_failure_that_does_not_pass_ends(il: Interlock, log: Path) -> None:
    """Tries are counted over the timers that begin them, and their pauses grow; then the run is dead."""
    async with working(il):
        run = await il.asubmit("fails", fails(log, 9))
        ended = await il.await_run(run.run_id, timeout=PATIENCE)

    (letter,) = await il.aletters()
    assert (ended.status, ended.attempts, letter.kind) == ("dead", 4, "transient")
    tries = (await il.aletter(letter.id)).tries
    assert [each.detail.get("tries") for each in tries if each.kind == "retried"] == [1, 2, 3]


async def test_a_rate_limit_passes(il: Interlock, log: Path) -> None:
    """The run waits for as long as the provider says, and goes on."""
    async with working(il):
        run = await il.asubmit("fails", fails(log, 3, "limited"))
        ended = await il.await_run(run.run_id, timeout=PATIENCE)

    assert (ended.status, ended.attempts) == ("succeeded", 4)


async def test_a_bug_is_replayed_by_the_worker(il: Interlock, log: Path) -> None:
    """Its letter hands it to whatever worker there is."""
    async with working(il):
        run = await il.asubmit("fails", fails(log, 1, "bug"))
        assert (await il.await_run(run.run_id, timeout=PATIENCE)).status == "dead"
        (letter,) = await il.aletters()
        await il.aletter_replay(letter.id, reason="mended")
        ended = await il.await_run(run.run_id, timeout=PATIENCE)

    assert ended.status == "succeeded"
    assert log.read_text().split() == ["begin", "act", "fail", "end"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("mute", "Mute: (its text is not known: ValueError)"),
        ("panic", "RuntimeError: Panic: panicked"),
        ("round", "ValueError: of itself"),
    ],
)
async def test_whatever_a_node_raises_ends_its_run(
    il: Interlock, log: Path, how: str, told: str
) -> None:
    """An error without a text, one that is no `Exception`, and one that was raised from itself."""
    async with working(il):
        run = await il.asubmit("fails", fails(log, 9, how))
        dead = await il.await_run(run.run_id, timeout=PATIENCE)

    (letter,) = await il.aletters()
    assert (dead.status, dead.attempts) == ("dead", 1)
    assert (letter.kind, letter.error) == ("bug", told)


async def test_a_run_that_cannot_begin_is_a_letter(
    il: Interlock, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not claimed again and again: its code does not fit what is stored, and a person has to look."""

    async def refuse(*_: object, **__: object) -> None:
        raise ResumeRefused("The thread was begun with a prompt that was changed.")

    monkeypatch.setattr(il, "prepare", refuse)
    async with working(il):
        run = await il.asubmit("fails", fails(log, 0))
        dead = await il.await_run(run.run_id, timeout=PATIENCE)

    (letter,) = await il.aletters()
    assert (dead.status, letter.kind, letter.attempts) == ("dead", "changed", 1)
    assert letter.error == "The thread was begun with a prompt that was changed."


WORKER = """
import asyncio, sys, interlock
from interlock.worker import work

async def main():
    async with interlock.aopen(sys.argv[1], config=sys.argv[2]) as il:
        await work(il)

asyncio.run(main())
"""


async def test_a_run_that_kills_its_workers_is_a_letter(
    il: Interlock, log: Path, database_url: str
) -> None:
    """After so many in a row; what was done is not done again, and the thread is held until the letter is closed."""
    enqueue = Options(multitask_strategy="enqueue")
    run = await il.asubmit("holds", fails(log, MAX_CRASHES, "poison"))
    behind = await il.asubmit("holds", {"log": str(log)}, thread_id=run.thread_id, options=enqueue)
    arguments = (sys.executable, "-c", WORKER, database_url, str(CONFIG))
    async with asyncio.timeout(PATIENCE), working(il, Plan(graphs=("nested",))):
        for _ in range(MAX_CRASHES):
            process = await asyncio.create_subprocess_exec(*arguments)
            assert await process.wait() == -signal.SIGKILL
        dead = await il.await_run(run.run_id)

    assert dead.status == "dead"
    (letter,) = await il.aletters()
    assert (letter.kind, letter.run_id, letter.attempts) == ("poison", run.run_id, MAX_CRASHES)
    assert (letter.holds, (await il.store.stored(behind.run_id)).run.attempts) == (True, 0)
    assert f"{MAX_CRASHES} workers ended" in letter.error
    assert log.read_text().split() == ["begin", "act", *["fail"] * MAX_CRASHES]

    async with working(il):
        await il.aletter_replay(letter.id)
        assert (await il.await_run(run.run_id, timeout=PATIENCE)).status == "succeeded"
        assert (await il.await_run(behind.run_id, timeout=PATIENCE)).status == "succeeded"
    noted = ["begin", "act", *["fail"] * MAX_CRASHES, "end", "begin", "act", "end"]
    assert log.read_text().split() == noted
