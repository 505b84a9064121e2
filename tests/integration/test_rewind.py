"""Forks that begin inside a subgraph go on there; each node's run is counted by a file outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Run, Step
from interlock.errors import NotFound, UsageError
from tests.killing import Killable

CONFIG = Path(__file__).parents[1] / "sample" / "nested" / "langgraph.json"
LETTERS = ["a: dear draft by a", "b: dear draft by b", "c: dear draft by c"]


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


class Office:
    """An office with three desks, and what its nodes noted."""

    def __init__(self, il: Interlock, log: Path) -> None:
        self.il = il
        self.log = log

    async def open(self, **given: Any) -> Run:  # the graph's input
        desks = {"desks": ["a", "b", "c"], "log": str(self.log)}
        return await self.il.ainvoke("office", desks | given)

    async def step(self, thread: str, path: Sequence[str], desk: str, following: str) -> Step:
        """The step of a desk, or of the letter on it, before a node runs."""
        [found] = [
            step
            for step in await self.il.ahistory(thread, inside=True)
            if step.path == tuple(path)
            and step.values.get("desk") == desk
            and step.next == (following,)
        ]
        return found

    def noted(self) -> list[str]:
        """What ran since this was asked before."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def office(il: Interlock, tmp_path: Path) -> Office:
    return Office(il, tmp_path / "log")


async def test_a_fork_inside_goes_on_there(office: Office) -> None:
    """Neither what had run before in the subgraph runs again, nor the branches beside it."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    office.noted()

    fork = await office.il.afork(run.thread_id, at=at.checkpoint_id)

    assert (fork.status, fork.output["letters"]) == ("succeeded", LETTERS)
    assert office.noted() == ["polish b", "close b", "post"]


async def test_a_fork_inside_changes_the_subgraphs_state(office: Office) -> None:
    """The values of a fork are those of the state that it begins in."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    office.noted()

    fork = await office.il.afork(run.thread_id, at=at.checkpoint_id, values={"text": "hello"})

    assert fork.output["letters"] == [LETTERS[0], "b: hello by b", LETTERS[2]]
    assert office.noted() == ["polish b", "close b", "post"]
    assert (await office.il.arun(run.thread_id)).output["letters"] == LETTERS


async def test_a_fork_one_level_in_runs_the_inner_graph_anew(office: Office) -> None:
    """A step of a subgraph that ran another one runs that from its beginning."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk"], "a", "letter")
    office.noted()

    fork = await office.il.afork(run.thread_id, at=at.checkpoint_id, values={"text": "hey"})

    assert fork.output["letters"] == ["a: hey draft by a", *LETTERS[1:]]
    assert office.noted() == ["draft a", "stamp a", "polish a", "close a", "post"]


async def test_a_fork_before_a_subgraphs_input_changes_the_input(office: Office) -> None:
    """What the subgraph takes in is changed, and other keys of its state too."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk"], "a", "greet")
    before = next(
        step
        for step in await office.il.ahistory(run.thread_id, inside=True)
        if step.inside == at.inside and step.source == "input"
    )
    office.noted()

    changed = {"desk": "z", "tone": "oh"}
    fork = await office.il.afork(run.thread_id, at=before.checkpoint_id, values=changed)

    assert fork.output["letters"] == ["z: oh draft by z", *LETTERS[1:]]
    assert office.noted() == ["greet z", "draft z", "stamp z", "polish z", "close z", "post"]


async def test_a_fork_at_a_step_of_the_root_runs_all_branches(office: Office) -> None:
    """Between two steps of the thread's own graph nothing inside is kept."""
    run = await office.open()
    office.noted()

    fork = await office.il.afork(run.thread_id, at=1)

    assert fork.output["letters"] == LETTERS
    assert sorted(office.noted()).count("greet a") == 1
    assert len(await office.il.ahistory(fork.thread_id, inside=True)) == len(
        await office.il.ahistory(run.thread_id, inside=True)
    )


async def test_a_fork_of_a_fork_inside_what_was_copied(office: Office) -> None:
    """A fork's history inside goes back before it, in its own branch and in those beside it."""
    run = await office.open()
    first = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    fork = await office.il.afork(run.thread_id, at=first.checkpoint_id, values={"text": "hi"})
    earlier = await office.step(fork.thread_id, ["desk"], "b", "letter")
    beside = await office.step(fork.thread_id, ["desk", "letter"], "c", "polish")
    office.noted()

    again = await office.il.afork(fork.thread_id, at=earlier.checkpoint_id)
    ran_again = office.noted()
    other = await office.il.afork(fork.thread_id, at=beside.checkpoint_id, values={"text": "ho"})

    assert again.output["letters"] == LETTERS
    assert ran_again == ["draft b", "stamp b", "polish b", "close b", "post"]
    assert other.output["letters"] == [LETTERS[0], "b: hi by b", "c: ho by c"]
    assert office.noted() == ["polish c", "close c", "post"]


async def test_a_fork_of_a_fork_behind_it(office: Office) -> None:
    """What the fork did on its own is the next one's past."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    fork = await office.il.afork(run.thread_id, at=at.checkpoint_id, values={"text": "hi"})
    closing = await office.step(fork.thread_id, ["desk"], "b", "close")
    office.noted()

    again = await office.il.afork(fork.thread_id, at=closing.checkpoint_id)
    ran_again = office.noted()
    at_root = await office.il.afork(fork.thread_id, at=2)

    assert again.output["letters"] == [LETTERS[0], "b: hi by b", LETTERS[2]]
    assert ran_again == ["close b", "post"]
    assert (at_root.output["letters"], office.noted()) == (again.output["letters"], ["post"])


async def test_a_fork_of_a_fork_at_the_same_step_keeps_what_was_changed(office: Office) -> None:
    """A fork that changed the state shows it at its first step; who forks from there begins with it."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    changed = {"text": "hi", "desk": "x"}
    fork = await office.il.afork(run.thread_id, at=at.checkpoint_id, values=changed)

    again = await office.il.afork(fork.thread_id, at=at.checkpoint_id, values={"text": "ho"})

    assert again.output["letters"][1] == "x: ho by b"
    step = await office.il.astep(again.thread_id, at.checkpoint_id)
    assert (step.values["text"], step.values["desk"]) == ("ho", "x")


async def test_a_failed_branch_runs_again_beside_the_fork(office: Office) -> None:
    """Where a branch beside it had not ended, a fork goes on with that from its newest step."""
    with pytest.raises(RuntimeError, match="stamp c was told to fail"):
        await office.open(fail_at="stamp c")
    [thread] = await office.il.athreads()
    at = await office.step(thread.thread_id, ["desk", "letter"], "a", "stamp")
    office.noted()

    with pytest.raises(RuntimeError, match="stamp c was told to fail"):
        await office.il.afork(thread.thread_id, at=at.checkpoint_id)

    assert "draft c" not in (noted := office.noted())
    assert "draft a" not in noted
    assert "plan" not in noted


@pytest.mark.parametrize("at", ["ffffffff-0000", "99"])
async def test_an_unknown_checkpoint_is_told(office: Office, at: str) -> None:
    """Nothing is made of a checkpoint that the thread does not have."""
    run = await office.open()

    with pytest.raises(NotFound, match=f"There is no step '{at}' in this thread.") as refused:
        await office.il.afork(run.thread_id, at=at)

    assert refused.value.hint == "It has the steps -1 to 3."
    assert len(await office.il.athreads()) == 1


async def test_the_beginning_of_an_id_names_a_checkpoint(office: Office) -> None:
    """As many characters as tell it apart are enough, and fewer are refused."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    office.noted()

    with pytest.raises(UsageError, match="fits several checkpoints"):
        await office.il.afork(run.thread_id, at=at.checkpoint_id[:7])
    fork = await office.il.afork(run.thread_id, at=at.checkpoint_id[:-12])

    assert (fork.status, office.noted()) == ("succeeded", ["polish b", "close b", "post"])


async def test_a_key_that_the_subgraph_does_not_have_is_refused(office: Office) -> None:
    """The refusal names the keys of the subgraph, not those of the thread's own graph."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")

    with pytest.raises(UsageError, match="state has no letters") as refused:
        await office.il.afork(run.thread_id, at=at.checkpoint_id, values={"letters": []})

    assert refused.value.hint == "It has: desk, fail_at, log, stamp, text."
    assert len(await office.il.athreads()) == 1


@pytest.mark.parametrize("victim", ["polish", "close", "post"])
async def test_a_fork_that_is_killed_goes_on_from_its_last_step(
    office: Office, database_url: str, tmp_path: Path, victim: str
) -> None:
    """The changed state is still there, and what was done is not done again."""
    run = await office.open()
    at = await office.step(run.thread_id, ["desk", "letter"], "b", "polish")
    changed = {"text": "hi"}
    fork = await office.il.asubmit_fork(run.thread_id, at=at.checkpoint_id, values=changed)
    office.noted()
    process = Killable(CONFIG, database_url, tmp_path, fork.thread_id)

    killed = process.resume(kill=f"{victim}:1")
    resumed = process.resume()

    assert killed is None
    assert resumed is not None
    assert resumed["output"]["letters"] == [LETTERS[0], "b: hi by b", LETTERS[2]]
    # The node that was killed may have begun; then it runs again.
    assert list(dict.fromkeys(office.noted())) == ["polish b", "close b", "post"]
    assert process.redone() == []
