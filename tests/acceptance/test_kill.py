"""A process is killed with SIGKILL at each node; another goes on without redoing what was finished."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import interlock
from tests.killing import PATIENCE, ROOT, Killable

SAMPLE = ROOT / "tests" / "sample" / "langgraph.json"


@pytest.fixture
def sample(database_url: str, tmp_path: Path) -> Killable:
    return Killable(SAMPLE, database_url, tmp_path)


@pytest.mark.parametrize("kill", ["begin:1", "step:1", "step:3", "branch:1", "branch:2", "end:1"])
def test_a_killed_count_goes_on(sample: Killable, tmp_path: Path, kill: str) -> None:
    """Whichever node is killed, the count ends the same, and only the killed step may run twice."""
    given = {"goal": 3, "log": str(tmp_path / "nodes")}

    assert sample.begin("counter", given, kill=kill) is None
    run = sample.resume()

    assert run is not None
    assert (run["status"], run["output"], run["attempts"]) == ("succeeded", {"count": 3}, 2)
    assert sample.redone() == []
    times = Counter((tmp_path / "nodes").read_text().splitlines())
    killed = "branch" if kill.startswith("branch") else kill.split(":", maxsplit=1)[0]
    once = {line: n for line, n in times.items() if not line.startswith(killed)}
    assert all(n == 1 for line, n in once.items() if line != "branch"), times


def test_an_answer_taken_before_the_kill_is_used_after_it(sample: Killable, tmp_path: Path) -> None:
    """Killed after the approval and before its node finished: the payment is made once, the next gate stays shut."""
    given = {"payee": "ann", "amount": 5, "ledger": str(tmp_path / "bank")}
    run = sample.begin("payment", given)
    assert run is not None

    assert sample.resume(answer=run["questions"][0], kill="ask:1") is None
    after = sample.resume()

    assert after is not None
    assert (after["status"], len(after["questions"])) == ("waiting", 1)
    assert after["questions"] != run["questions"]
    assert (tmp_path / "bank").read_text() == "ann 5\n"


def test_an_act_that_was_cut_short_is_never_repeated_unasked(
    sample: Killable, tmp_path: Path
) -> None:
    """Killed after an act and before its result was noted: whether it happened is unknown, so it is not repeated."""
    run = sample.begin("payment", {"payee": "ann", "amount": 5, "ledger": str(tmp_path / "bank")})
    assert run is not None
    (tmp_path / "bank.trap").touch()
    assert sample.resume(answer=run["questions"][0]) is None

    again = sample.resume()
    assert again is not None
    with interlock.open(sample.url, config=sample.config) as il:
        (question,) = il.questions(sample.thread)
        (effect,) = il.effects(sample.thread)

    assert (again["status"], question.kind, effect.status) == ("waiting", "in_doubt", "in_doubt")
    assert (tmp_path / "bank").read_text() == "ann 5\n"


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_moment(sample: Killable, tmp_path: Path, seed: int) -> None:
    """Killed from outside in the middle of its work, three times, the count still ends once."""
    given = {"goal": 20, "log": str(tmp_path / "nodes")}
    chance = random.Random(seed)
    first = ["--graph", "counter", "--input", json.dumps(given)]
    for options in (first, [], []):
        kill_at_work(sample, options, after=chance.uniform(0, 0.04))

    last = subprocess.run(
        sample.command(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=tmp_path,
    )

    assert last.returncode == 0 or "there is nothing to resume" in last.stderr, last.stderr
    counted = [
        line for line in (tmp_path / "nodes").read_text().splitlines() if line.startswith("step")
    ]
    assert list(dict.fromkeys(counted)) == [f"step {n}" for n in range(1, 21)]
    assert len(counted) - 20 <= 3


def kill_at_work(thread: Killable, options: list[str], *, after: float) -> None:
    """Kill a process so many seconds after the next task of the thread began, unless it ends before."""
    begun = thread.begun()
    process = subprocess.Popen(
        thread.command(*options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=thread.folder,
    )
    deadline = time.monotonic() + PATIENCE
    while thread.begun() == begun and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(after)
    process.kill()
    process.wait()
