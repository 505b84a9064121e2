"""Writers on 96 threads in two processes, which are killed with SIGKILL, as Postgres is with all its processes.

What a saver has acknowledged is there afterwards, every checkpoint that is there opens and holds what it should, and
the processes that live go on.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest
from langgraph.checkpoint.base import CheckpointTuple

from benchmarks.savers.contestants import OURS
from interlock.postgres import Checkpointer, embedded
from tests.saver_driver import HASTY, config_of, expected, task_of, written

ROOT = Path(__file__).parents[2]
NAMES = ("a", "b")
WRITERS = 48
"""For each of the two processes."""
MISSING = """
delete from checkpoint_content where hash in (select hash from checkpoint_references where holder = 'a.1.0')
"""
PATIENCE = 120.0
"""Seconds until something should have happened."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kills", [4, pytest.param(24, marks=pytest.mark.long)], ids=lambda kills: f"{kills} kills"
)
def test_nothing_acknowledged_is_lost(short_folder: Path, kills: int) -> None:
    """Processes and Postgres are killed again and again; each acknowledged step is there and whole, and all go on."""
    chance = random.Random(kills)
    with crashes(short_folder, OURS) as crash:
        for number in range(kills):
            crash.wait_for_all()
            time.sleep(chance.uniform(0, 0.05))  # at any moment
            crash.kill_postgres() if number % 2 else crash.kill_process(NAMES[number // 2 % 2])
            assert faults(crash) == []
        crash.wait_for_all()
        wait_until(lambda: bool(crash.noted().deleted))
        crash.end()

        assert faults(crash, of_all=True) == []
    print(f"{kills} kills, {len(crash.noted().put)} acknowledged steps")  # noqa: T201


def test_the_check_finds_what_was_acknowledged_too_early(short_folder: Path) -> None:
    """A saver that acknowledges before it has committed loses steps when its process is killed, and the check tells."""
    with crashes(short_folder, HASTY) as crash:
        crash.wait_for_all()
        crash.kill_process("a")

        found = faults(crash)

    assert {each.partition(":")[0] for each in found} >= {"lost"}


def test_the_check_finds_what_is_missing(short_folder: Path) -> None:
    """Where content that a thread refers to is gone, the check says which thread cannot be read any more."""
    with crashes(short_folder, OURS) as crash:
        wait_until(lambda: "a.1.1" in crash.noted().threads)  # the one before has ended
        with psycopg.connect(crash.server.url) as connection:
            connection.execute(MISSING)

        found = faults(crash)

    assert any(each.startswith("unreadable: a.1.0: MissingContent") for each in found)


@dataclass(frozen=True)
class Noted:
    """What the processes have noted until now."""

    put: set[tuple[str, str]]
    wrote: set[tuple[str, str]]
    deleted: set[str]

    @property
    def threads(self) -> set[str]:
        return set(self._by_thread)

    def of(self, thread: str) -> set[str]:
        """The checkpoints of a thread that were acknowledged."""
        return self._by_thread[thread]

    @cached_property
    def _by_thread(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for thread, checkpoint in self.put:
            found.setdefault(thread, set()).add(checkpoint)
        return found


@dataclass
class Crashes:
    """A server and two processes with writers, all of which may be killed."""

    folder: Path
    saver: str
    server: embedded.EmbeddedServer
    stack: ExitStack
    lives: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    checked: set[tuple[str, str]] = field(default_factory=set)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def begin(self, name: str) -> None:
        """Let a process write, on the threads where the one before it was."""
        driver = (sys.executable, "-W", "error", "-m", "tests.saver_driver", self.saver)
        given = (self.server.url, str(self.log(name)), name, str(WRITERS))
        with (self.folder / f"{name}.err").open("ab") as errors:
            self.lives[name] = subprocess.Popen([*driver, *given], cwd=ROOT, stderr=errors)

    def kill_process(self, name: str) -> None:
        self.lives[name].kill()
        assert self.lives[name].wait(PATIENCE) == -signal.SIGKILL
        self.begin(name)

    def kill_postgres(self) -> None:
        """Kill the server with all its processes, and let it recover."""
        first = psutil.Process(self.server.pid)
        for each in (first, *first.children(recursive=True)):
            each.kill()
        self.server = self.stack.enter_context(embedded.start(self.folder / "pg"))

    def end(self) -> None:
        """Kill the processes for good."""
        while self.lives:
            _, life = self.lives.popitem()
            life.kill()
            life.wait(PATIENCE)

    def fresh(self, noted: Noted) -> set[str]:
        """Return the threads of which more is noted than the last time."""
        fresh = {thread for thread, _ in (noted.put | noted.wrote) - self.checked}
        self.checked |= noted.put | noted.wrote
        return fresh

    def lines(self, name: str) -> list[list[str]]:
        """What a process noted; a line that it was killed in is none."""
        text = self.log(name).read_text() if self.log(name).exists() else ""
        return [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def noted(self) -> Noted:
        lines = [line for name in NAMES for line in self.lines(name)]
        found: dict[str, set[tuple[str, str]]] = {"put": set(), "wrote": set()}
        for word, thread, *rest in lines:
            if word in found:
                found[word].add((thread, rest[0]))
        deleted = {thread for word, thread, *_ in lines if word == "deleting"}
        return Noted(found["put"], found["wrote"], deleted)

    def wait_for_all(self) -> None:
        """Wait until each writer had another step acknowledged."""
        seen = {name: len(self.lines(name)) for name in NAMES}

        def all_went_on() -> bool:
            self.check_alive()
            return all(self._writers(name, seen[name]) == WRITERS for name in NAMES)

        wait_until(all_went_on)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let no process write for a while, wherever it is."""
        for life in self.lives.values():
            life.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for life in self.lives.values():
                life.send_signal(signal.SIGCONT)

    def check_alive(self) -> None:
        for name, life in self.lives.items():
            assert life.poll() is None, (self.folder / f"{name}.err").read_text()[-3000:]

    def _writers(self, name: str, since: int) -> int:
        put = (thread for word, thread, *_ in self.lines(name)[since:] if word == "put")
        return len({thread.rpartition(".")[0] for thread in put})


@contextmanager
def crashes(folder: Path, saver: str) -> Iterator[Crashes]:
    """Start a server of its own and both processes, and end what lives at the end."""
    place = folder / f"crash-{uuid4().hex[:8]}"
    place.mkdir()
    place.chmod(0o711)
    with ExitStack() as stack:
        server = stack.enter_context(embedded.start(place / "pg"))
        asyncio.run(set_up(server.url))
        found = Crashes(place, saver, server, stack)
        try:
            for name in NAMES:
                found.begin(name)
            yield found
        finally:
            found.end()


async def set_up(url: str) -> None:
    async with Checkpointer.from_conn_string(url) as saver:
        await saver.setup()


def faults(crash: Crashes, *, of_all: bool = False) -> list[str]:
    """Compare what was acknowledged with what is there; the writers stand still meanwhile.

    Only threads are looked at that were written to since the last time, or all.
    """
    with crash.standing_still():
        noted = crash.noted()
        threads = noted.threads if of_all else crash.fresh(noted)
        return asyncio.run(_faults(crash, noted, threads - noted.deleted))


async def _faults(crash: Crashes, noted: Noted, threads: set[str]) -> list[str]:
    found: dict[str, list[CheckpointTuple] | str] = {}  # or why it cannot be read
    async with Checkpointer.from_conn_string(
        crash.server.url
    ) as saver:  # reading waits for no lock
        for thread in threads:
            found[thread] = await _read(saver, thread)
    return [
        fault
        for thread, checkpoints in found.items()
        for fault in _faults_of(thread, checkpoints, noted)
    ]


async def _read(saver: Checkpointer, thread: str) -> list[CheckpointTuple] | str:
    """Return a thread's checkpoints, or the error that it cannot be read for."""
    try:
        return [each async for each in saver.alist(config_of(thread))]
    except Exception as error:  # any error is a finding
        return f"{type(error).__name__}: {error}"


def _faults_of(
    thread: str, checkpoints: list[CheckpointTuple] | str, noted: Noted
) -> Iterator[str]:
    if isinstance(checkpoints, str):
        yield f"unreadable: {thread}: {checkpoints}"
        return
    there = {each.checkpoint["id"]: each for each in checkpoints}
    yield from (f"lost: {thread} {each}" for each in noted.of(thread) - there.keys())
    for each, found in there.items():
        step = int(found.metadata["step"])
        if found.checkpoint["channel_values"] != expected(thread, step):
            yield f"half-written: {thread} {each}, step {step}"
        if (parent := found.parent_config) and parent["configurable"]["checkpoint_id"] not in there:
            yield f"without its parent: {thread} {each}, step {step}"
        task, wrote = task_of(thread, step), (thread, each) in noted.wrote
        writes = [
            (channel, value) for of, channel, value in found.pending_writes or () if of == task
        ]
        if writes != written(thread, step) and (wrote or writes):
            yield f"lost or half-written writes: {thread} {each}, step {step}"


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
