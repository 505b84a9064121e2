"""A graph with twenty actions is killed with SIGKILL at every boundary; a recorder outside counts what it did.

The recorder is a process of its own with a file of its own. After each death another process goes on. Whoever is asked
whether something happened looks into that file, and says the truth.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest

from tests.chaos.fate import ACTS, RUNS, SAVES
from tests.chaos.lives import NAMES, Driver, Life, asked_about, check, living

DOUBTS = {
    "keyed": ("before-claim",),
    "probed": ("before-probe", "after-probe", "before-settle", "after-settle"),
    "plain": ("before-settle", "after-settle"),
}
"""The boundaries of finding out what became of an act: there a process dies that goes on for one that died."""

UNKNOWN = ("after-intention", "acted", "before-result")
"""Where a death leaves an intention without a result."""

FEW = ("keyed_1", "probed_3", "plain_4", "keyed_5", "probed_2", "plain_6")
"""Actions in a row, in a parallel branch, in a subgraph, as a tool, side by side, and agreed to by a person."""

pytestmark = pytest.mark.timeout(600)  # many processes begin and end; a busy machine takes its time

PATIENCE = 120.0
"""Seconds until a process should have come to the next boundary."""


@pytest.fixture
def driver(database_url: str, short_folder: Path) -> Iterator[Driver]:
    folder = short_folder / f"chaos-{uuid4().hex[:8]}"
    folder.mkdir()
    found = Driver(database_url, folder)
    yield found
    found.close()


@pytest.fixture
def undisturbed(driver: Driver) -> dict[str, Any]:
    """How the graph ends when nobody dies."""
    with living(driver) as life:
        run = life.live()
        check(life, run, run)
    assert life.kills == 0
    return run


def test_killed_at_each_kind_of_boundary(driver: Driver, undisturbed: dict[str, Any]) -> None:
    """Killed at each boundary of actions of each kind and place, each effect is there once, and nothing is guessed."""
    deadly = boundaries(*FEW) | {f"{boundary}:" for boundary in RUNS}

    assert killed_at_each(driver, undisturbed, deadly) >= 30


@pytest.mark.long
def test_killed_at_every_boundary(driver: Driver, undisturbed: dict[str, Any]) -> None:
    """Killed at every boundary of all twenty actions, each effect is there once, and nothing is guessed."""
    deadly = boundaries(*NAMES) | {f"{boundary}:" for boundary in RUNS}

    assert killed_at_each(driver, undisturbed, deadly) >= 200


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_killed_once(driver: Driver, undisturbed: dict[str, Any], name: str) -> None:
    """Of a death that is the only one in a thread's life, a person is asked exactly where nothing else can tell."""
    for boundary in (*ACTS, *SAVES):
        with living(driver) as life:
            run = life.live({f"{boundary}:{name}"})

            check(life, run, undisturbed)
            assert life.fired == [f"{boundary}:{name}"]
            doubtful = name.startswith("plain") and boundary in UNKNOWN
            assert asked_about(life).count((name, 1)) == doubtful
    told(len((*ACTS, *SAVES)))


@pytest.mark.parametrize(("boundary", "times"), [("after-intention", 0), ("acted", 1)])
def test_nothing_goes_on_while_a_question_is_open(
    driver: Driver, undisturbed: dict[str, Any], boundary: str, times: int
) -> None:
    """Whether it happened or not, it is not guessed: the run waits, and nothing is done until a person has answered."""
    with living(driver) as life:
        assert life.go_on({f"{boundary}:plain_1"}) is None

        for _ in range(3):
            run = life.go_on() or {}

            assert [each["kind"] for each in run["questions"]] == ["in_doubt"]
            assert life.effects() == Counter(keyed_1=1, probed_1=1, plain_1=times)

        check(life, life.live(answers=life.truth(run)), undisturbed)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))]
)
def test_killed_at_random_moments(driver: Driver, undisturbed: dict[str, Any], seed: int) -> None:
    """Killed from outside at any moment, ten times, each effect is there once, and nothing is guessed."""
    chance = random.Random(seed)
    with living(driver) as life:
        answers: dict[str, Any] = {}
        while life.kills < 10:
            lines, after = chance.randrange(20), chance.uniform(0, 0.01)
            if (run := cut_short(life, answers, lines=lines, after=after)) is not None:
                if run["status"] == "succeeded":
                    break
                answers = life.truth(run)

        check(life, life.live(answers=answers), undisturbed)
    told(life.kills)
    assert life.kills >= 3


@pytest.mark.parametrize(
    "name",
    [n if n in ("keyed_1", "plain_3") else pytest.param(n, marks=pytest.mark.long) for n in NAMES],
)
def test_two_go_on_at_once(driver: Driver, undisturbed: dict[str, Any], name: str) -> None:
    """Two processes that resume the killed thread at the same moment do together what one would have done."""
    for boundary in (*ACTS, *SAVES):
        with living(driver) as life:
            run = raced(life, f"{boundary}:{name}")

            check(life, run, undisturbed)
            assert life.fired == [f"{boundary}:{name}"]
    told(len((*ACTS, *SAVES)))


@pytest.mark.parametrize("name", ["keyed_1", "probed_1", "plain_1"])
def test_who_is_taken_for_dead_cannot_write(
    driver: Driver, undisturbed: dict[str, Any], name: str
) -> None:
    """A process that stands still after its act, and whose connections are cut, finds its result refused later."""
    with living(driver) as life:
        pid, out = life.start({f"before-result:{name}"}, {}, by=signal.SIGSTOP)
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        cut_connections(driver.url)
        run = life.live()
        os.kill(pid, signal.SIGCONT)

        assert driver.wait(pid) == 1
        assert "EffectTakenOver" in driver.errors()
        assert not out.exists()
        check(life, run, undisturbed)


def raced(life: Life, deadly: str) -> dict[str, Any]:  # JSON
    """Let a process die, and then two at a time go on until the thread has ended."""
    answers: dict[str, Any] = {}
    while (run := life.go_on({deadly}, answers)) is not None:
        answers = life.truth(run)
    while True:
        rivals = [life.start(set(), answers) for _ in range(2)]
        runs = [run for each in rivals if (run := life.outcome(*each)) is not None]
        if ended := [run for run in runs if run["status"] == "succeeded"]:
            return ended[0]
        asked = [run for run in runs if run["questions"]]  # or else a rival has just answered
        answers = {name: each for run in asked for name, each in life.truth(run).items()}


def cut_short(
    life: Life, answers: dict[str, Any], *, lines: int, after: float
) -> dict[str, Any] | None:
    """Kill a process so many seconds after it came to so many boundaries; return the run if it ended before."""
    seen = len(life.journal()) + lines
    pid, out = life.start(set(), answers)
    wait_until(lambda: len(life.journal()) >= seen or out.exists())
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    return life.outcome(pid, out)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def cut_connections(url: str) -> None:
    """End all sessions of a database, as a network that fails would."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


def boundaries(*names: str) -> set[str]:
    """Return every boundary of some actions, with those of finding out what they did."""
    return {
        f"{boundary}:{name}"
        for name in names
        for boundary in (*ACTS, *SAVES, *DOUBTS[name.partition("_")[0]])
    }


def killed_at_each(driver: Driver, undisturbed: dict[str, Any], deadly: set[str]) -> int:
    """Kill once at each boundary, in as many lives as it takes, and return the number of kills."""
    wanted, kills = len(deadly), 0
    while deadly:
        with living(driver) as life:
            check(life, life.live(deadly), undisturbed)
        assert life.kills, f"never come to: {sorted(deadly)}"
        kills += life.kills
    told(kills)
    assert kills == wanted
    return kills


def told(kills: int) -> None:
    print(f"{kills} kills")  # noqa: T201  # how much was tried
