"""`interlock worker` as a process: killed, frozen, stopped, and stopped at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import interlock
from interlock import Interlock
from tests.working import CONFIG, ended, lines, rows, steps, until

PATIENCE = 120


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@contextmanager
def worker(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own; at the end it is killed."""
    command = [sys.executable, "-m", "interlock", "worker", "--url", url, "--config", str(CONFIG)]
    process = subprocess.Popen(  # our own
        [*command, "--verbose", *options], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


async def registered(url: str, number: int) -> None:
    """Wait until so many workers are at work."""

    async def there() -> bool:
        return len(await rows(url, "select worker_id from interlock.workers")) == number

    await until(there, seconds=PATIENCE)


def begun_by(folder: Path, step: int) -> list[int]:
    """The processes that began a step, in order."""
    written = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return [int(line.split()[2]) for line in written if line.startswith(f"begin {step} ")]


async def test_a_killed_worker_is_replaced_at_once(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """With a lease of ten seconds another goes on much sooner; what was finished is not done again."""
    (tmp_path / "hold-2").touch()
    with worker(database_url) as first, worker(database_url) as second:
        await registered(database_url, 2)
        await il.asubmit("working", steps(tmp_path, 2), thread_id="t")
        await until(lambda: begun_by(tmp_path, 2))
        victim = begun_by(tmp_path, 2)[0]
        assert victim in (first.pid, second.pid)
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        await until(lambda: len(begun_by(tmp_path, 2)) == 2)
        seconds = time.monotonic() - began
        (tmp_path / "hold-2").unlink()
        run = await ended(il, "t")

    assert seconds < 5
    assert run.attempts == 2
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "begin 2", "end 2"]


async def test_a_frozen_worker_that_wakes_writes_nothing(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Frozen in a node for longer than its lease: another does its run; awake it writes nothing, and works anew."""
    (tmp_path / "hold-2").touch()
    with worker(database_url, "--lease", "1") as frozen:
        await registered(database_url, 1)
        await il.asubmit("working", steps(tmp_path, 3, acts=True), thread_id="t")
        await until(lambda: begun_by(tmp_path, 2))
        frozen.send_signal(signal.SIGSTOP)
        with worker(database_url, "--lease", "1") as other:
            await until(lambda: begun_by(tmp_path, 2)[1:])
            (tmp_path / "hold-2").unlink()
            run = await ended(il, "t")
            before = await everything(database_url)
            frozen.send_signal(signal.SIGCONT)
            await registered(database_url, 2)
            assert await everything(database_url) == before
            other.send_signal(signal.SIGTERM)
            assert other.wait(PATIENCE) == 0
        (tmp_path / "again").mkdir()
        await il.asubmit("working", steps(tmp_path / "again", 1), thread_id="again")
        await ended(il, "again")

    assert (run.attempts, run.output) == (2, {"done": 3})
    assert lines(tmp_path, "effects") == ["act 1", "act 2", "act 3"]
    assert begun_by(tmp_path, 3) == [other.pid]
    assert begun_by(tmp_path / "again", 1) == [frozen.pid]


async def everything(url: str) -> list[tuple[object, ...]]:
    """All that is stored of runs, as one value for each table."""
    return [
        *await rows(url, "select count(*), max(checkpoint_id) from checkpoints"),
        *await rows(url, "select count(*), max(checkpoint_id) from checkpoint_writes"),
        *await rows(url, "select count(*), max(attempt), max(finished_at) from interlock.effects"),
        *await rows(
            url, "select status, attempts, finished_at from interlock.runs order by number"
        ),
        *await rows(url, "select count(*) from interlock.run_events"),
    ]


async def test_a_stopped_worker_drains_and_exits_with_0(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """SIGTERM: the step that runs is finished, the run goes back, and nothing is left of the worker."""
    (tmp_path / "hold-2").touch()
    with worker(database_url) as process:
        await il.asubmit("working", steps(tmp_path, 3), thread_id="t")
        await until(lambda: begun_by(tmp_path, 2))
        process.send_signal(signal.SIGTERM)
        await until(lambda: _draining(database_url))
        (tmp_path / "hold-2").unlink()
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0

    assert (await il.arun("t")).status == "queued"
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "end 2"]
    assert await rows(database_url, "select * from interlock.workers") == []
    assert await rows(database_url, "select ready, worker_id from interlock.queue") == [
        (True, None)
    ]


async def _draining(url: str) -> bool:
    return await rows(url, "select state from interlock.workers") == [("draining",)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_stops_it_at_once(
    il: Interlock, database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    """What runs is cancelled and handed back; the exit code is 0 all the same."""
    (tmp_path / "hold-1").touch()
    with worker(database_url, "--grace", "600") as process:
        await il.asubmit("working", steps(tmp_path, 1), thread_id="t")
        await until(lambda: begun_by(tmp_path, 1))
        process.send_signal(number)
        await until(lambda: _draining(database_url))
        process.send_signal(number)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0

    assert (await il.arun("t")).status == "queued"
    assert lines(tmp_path) == ["begin 1"]


async def test_a_synchronous_node_does_not_hold_up_the_end(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A node sleeps for a minute in a thread: when grace is over the process is gone, and the run is back."""
    with worker(database_url, "--grace", "0.1") as process:
        await il.asubmit("stuck", steps(tmp_path, 1), thread_id="t")
        await until(lambda: begun_by(tmp_path, 1))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0

    assert (await il.arun("t")).status == "queued"


async def test_a_run_that_kills_its_workers_is_dead_after_three(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Each worker dies in its second step: the third time it is dead, with a letter that says so."""
    (tmp_path / "die-2").touch()
    await il.asubmit("working", steps(tmp_path, 3), thread_id="t")
    for _ in range(3):
        with worker(database_url) as process:
            assert await asyncio.to_thread(process.wait, PATIENCE) == -signal.SIGKILL
    with worker(database_url):
        run = await ended(il, "t", "dead")

    (letter,) = await il.aletters()
    assert (run.error_kind, letter.kind, run.attempts) == ("poison", "poison", 3)
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "begin 2", "begin 2"]


def test_a_graph_that_is_not_there_is_refused(database_url: str) -> None:
    """A misspelled name is told at once, with the names that there are."""
    with worker(database_url, "--graphs", "wroking") as process:
        _, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2
    assert "There is no graph 'wroking'." in said
    assert "other, stuck, working." in said


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("exit-1", "RuntimeError: SystemExit: 3"),
        ("interrupt-1", "RuntimeError: KeyboardInterrupt: "),
    ],
)
async def test_a_node_that_exits_ends_its_run_and_not_the_worker(
    il: Interlock, database_url: str, tmp_path: Path, file: str, error: str
) -> None:
    """A node calls `sys.exit`, or raises what Ctrl-C does: its run is dead; those beside it go on in that process."""
    leaving, staying = tmp_path / "leaving", tmp_path / "staying"
    for folder, name in ((leaving, file), (staying, "hold-1")):
        folder.mkdir()
        (folder / name).touch()
    with worker(database_url) as process:
        beside = await il.asubmit("working", steps(staying))
        await until(lambda: begun_by(staying, 1))
        run = await il.asubmit("working", steps(leaving))
        dead = await ended(il, run.thread_id, "dead")
        (staying / "hold-1").unlink()
        await ended(il, beside.thread_id)
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, PATIENCE)
        assert process.stderr is not None
        told = process.stderr.read()

    assert code == 0
    assert dead.error == error
    assert (dead.attempts, len(begun_by(staying, 1))) == (1, 1)
    assert f"run.failed run={run.run_id}" in told
