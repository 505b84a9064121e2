"""Four workers, hundreds of runs, and everything that can befall processes, a database and the ways between them.

Each seed is one campaign and is printed with what befell whom, and with how long it took from a kill until another
worker went on. At the end everything is looked at from outside: the book of a recorder, the steps that were noted, the
database.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest

import interlock
from interlock.core.queueing import MAX_CRASHES
from tests.chaos import fleet
from tests.chaos.aftermath import Aftermath, aftermath, outcomes
from tests.chaos.campaign import DEATHS, EVERYTHING, LEASE, Campaign, Fault, summary
from tests.chaos.server import Server, serving
from tests.chaos.steps import read
from tests.chaos.unfenced import UNFENCED

pytestmark = pytest.mark.timeout(900)

RUNS, WORKERS, AT_ONCE = 200, 4, 4
ARGUMENTS = ("--concurrency", str(AT_ONCE), "--grace", "20", "--lease", str(LEASE))


@pytest.fixture
def server(short_folder: Path) -> Iterator[Server]:
    """A server for one test: others would not like what happens to it, nor what is left in it."""
    with serving(short_folder / f"chaos-{uuid4().hex[:8]}") as found:
        yield found


@pytest.fixture
def folder(short_folder: Path) -> Path:
    made = short_folder / f"notes-{uuid4().hex[:8]}"
    made.mkdir()
    return made


@contextmanager
def recording(folder: Path) -> Iterator[str]:
    """The world outside; its socket's path is its address."""
    address = str(folder / "world")
    script = Path(fleet.HERE) / "recorder.py"
    process = subprocess.Popen(  # our own recorder
        [sys.executable, str(script), address, f"{address}.book"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield address
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def campaign(
    server: Server,
    folder: Path,
    faults: Sequence[Fault],
    *,
    seed: int,
    acts: Literal["keyed", "all"],
    seconds: float,
    runs: int = RUNS,
) -> Aftermath:
    """Let everything befall, end the workers, and look at what is left."""
    chance = random.Random(seed)
    names = [f"{uuid4().hex[:6]}-{number}" for number in range(runs)]
    with (
        recording(folder) as address,
        fleet.fleet(WORKERS, lambda: server.url, folder, address, ARGUMENTS) as workers,
    ):
        async with interlock.aopen(server.url, config=fleet.CONFIG) as il:
            for each in workers:
                each.start()
            befalling = Campaign(
                il=il,
                server=server,
                workers=workers,
                recorder=address,
                chance=chance,
                acts=acts,
            )
            await befalling.run(names, chance.sample(faults, len(faults)), seconds=seconds)
            ended = await outcomes(il, names)
        for each in workers:
            each.term()
        told(seed, befalling)
        pids = fleet.lives(workers)
        return aftermath(server.url, folder, address, names, ended=ended, pids=pids)


def begun_so_often(folder: Path, step: int, times: int) -> bool:
    """Say whether a step of the only run there is was begun so many times."""
    return [each.step for each in read(folder)].count(step) == times


def told(seed: int, befallen: Campaign) -> None:
    print(f"seed {seed}: {', '.join(befallen.told)}")  # noqa: T201  # to try it again
    if times := befallen.takeovers():
        noticed, going_on = zip(*times, strict=True)
        print(f"noticed: {summary(noticed)}; going on: {summary(going_on)}")  # noqa: T201  # how fast


@pytest.fixture
def seed() -> int:
    """Chance, or what somebody wants to see again."""
    return int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 1 << 31)


async def test_workers_are_killed(server: Server, folder: Path, seed: int) -> None:
    """Workers are killed and told to end: each effect is there once, whatever the world can tell of its acts."""
    found = await campaign(server, folder, DEATHS * 2, seed=seed, acts="all", seconds=25, runs=100)

    assert found.wrong == []


async def test_everything_befalls(server: Server, folder: Path, seed: int) -> None:
    """Workers die, stand still and lose their ways, the database crashes: nothing is lost, doubled or done again."""
    found = await campaign(server, folder, EVERYTHING, seed=seed, acts="keyed", seconds=45)

    assert found.wrong == []


@pytest.mark.parametrize("fenced", [True, False])
async def test_one_stands_still_until_it_is_taken_for_dead(
    server: Server, folder: Path, fenced: bool
) -> None:
    """A worker that wakes in the middle of its steps writes nothing; without a fence it does, and that is found out."""
    names = [f"{uuid4().hex[:6]}-{number}" for number in range(12)]
    environment = {} if fenced else {UNFENCED: "1"}
    with (
        recording(folder) as address,
        fleet.fleet(2, lambda: server.url, folder, address, ARGUMENTS) as (sleeper, other),
    ):
        sleeper.start(**environment)
        async with interlock.aopen(server.url, config=fleet.CONFIG) as il:
            befalling = Campaign(
                il=il,
                server=server,
                workers=[sleeper, other],
                recorder=address,
                chance=random.Random(0),
                acts="keyed",
            )
            for name in names:
                await befalling.submit(name)
            await befalling.until(lambda: len({each.name for each in read(folder)}) == AT_ONCE)
            sleeper.freeze()
            other.start()
            await befalling.come_to_rest()
            before = len(read(folder))
            sleeper.thaw()
            await befalling.until(
                lambda: len(sleeper.lives()) > 1 if fenced else len(read(folder)) > before + 9
            )
            ended = await outcomes(il, names)
        other.term()
        sleeper.term() if fenced else sleeper.kill()
        pids = fleet.lives([sleeper, other])
        found = aftermath(server.url, folder, address, names, ended=ended, pids=pids)

    assert (found.wrong == []) if fenced else found.again and found.writers


async def test_who_is_taken_for_dead_and_lives_charges_no_run(server: Server, folder: Path) -> None:
    """A run whose workers stand still in one step, one after the other, ends as it should: nobody died of it."""
    name = "slowly-run"
    with (
        recording(folder) as address,
        fleet.fleet(
            2, lambda: server.url, folder, address, (*ARGUMENTS, "--lease", "2")
        ) as workers,
    ):
        for each in workers:
            each.start()
        async with interlock.aopen(server.url, config=fleet.CONFIG) as il:
            befalling = Campaign(
                il=il,
                server=server,
                workers=workers,
                recorder=address,
                chance=random.Random(0),
                acts="keyed",
            )
            await befalling.submit(name)
            for times in range(1, 2 + MAX_CRASHES):
                await befalling.until(partial(begun_so_often, folder, THINKING, times))
                holder = read(folder)[-1].pid
                for each in sorted(workers, key=lambda worker: worker.pid != holder):
                    each.freeze() if each.pid == holder else each.thaw()
            for each in workers:
                each.thaw()
            await befalling.come_to_rest()
            ended = await outcomes(il, [name])
        for each in workers:
            each.term()
        pids = fleet.lives(workers)
        found = aftermath(server.url, folder, address, [name], ended=ended, pids=pids)

    assert found.wrong == []


THINKING = 2
"""The first step that asks the model."""


@pytest.mark.long
@pytest.mark.parametrize("number", range(6))
async def test_everything_befalls_for_long(server: Server, folder: Path, number: int) -> None:
    """The same, with known seeds and three times as much."""
    found = await campaign(
        server, folder, EVERYTHING * 3, seed=1000 + number, acts="keyed", seconds=150, runs=600
    )

    assert found.wrong == []


@pytest.mark.long
@pytest.mark.parametrize("number", range(6))
async def test_workers_are_killed_for_long(server: Server, folder: Path, number: int) -> None:
    """Many deaths, with known seeds."""
    found = await campaign(
        server, folder, DEATHS * 8, seed=2000 + number, acts="all", seconds=100, runs=400
    )

    assert found.wrong == []
