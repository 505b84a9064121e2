"""A long thread with a `DeltaChannel`, approvals, milestones and forks is pruned, and nothing that matters is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

import interlock
from interlock import Approve, Interlock, Run, Step

CONFIG = Path(__file__).parents[1] / "sample/volumes/langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def answered(il: Interlock, run: Run) -> Run:
    """A run whose questions are all answered with yes."""
    while run.status == "waiting":
        run = await il.aresume(run.thread_id, Approve(run.interrupts[0].id))
    assert run.status == "succeeded"
    return run


def expected(step: Step) -> list[str]:
    """What stands at the head of each page by now, told from the number of pages alone."""
    every, found = step.values["sign_every"], []
    for page in range(1, step.values["page"] + 1):
        found.append(str(page))
        if page % every == 0 and not (page == step.values["page"] and step.next == ("sign",)):
            found.append(f"signed {page}")
    return found


def heads(pages: Sequence[str]) -> list[str]:
    """The head of each page."""
    return [page.partition(":")[0] for page in pages]


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(240, id="short"),
        pytest.param(2000, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_a_long_thread_is_folded_to_what_matters(
    il: Interlock, tmp_path: Path, pages: int
) -> None:
    """Every pinned step holds what it held, a fork of it goes on, and a replay of it comes to the same end."""
    given = {"until": pages, "sign_every": pages // 6, "bind_every": pages // 7}
    begun = await il.ainvoke("volumes", given | {"book": str(tmp_path / "book")})
    run = await answered(il, begun)
    forked = [pages // 5, pages // 2]
    forks = [
        await answered(il, await il.afork(run.thread_id, at=at, values={"until": at + 2}))
        for at in forked
    ]

    done = await il.aprune(run.thread_id, keep=5, older_than=timedelta(0))
    steps = await il.ahistory(run.thread_id)

    (before, after), (bytes_before, bytes_after) = done.checkpoints, done.bytes
    print(  # noqa: T201  # the measurement
        f"{before:,} checkpoints to {after:,}, {bytes_before:,} bytes to {bytes_after:,}"
    )
    assert before == len(steps) + sum(step.folded for step in steps)
    assert after < 30
    assert bytes_after < bytes_before * 0.75
    pinned = {each.number: each for each in steps}
    assert set(forked) <= pinned.keys()
    assert sum(each.next == ("sign",) for each in steps) == 6
    assert sum("chapters" in each.changed for each in steps) >= 7
    for step in steps[1:]:
        assert heads(step.values["pages"]) == expected(step)
    for step in steps[1:-1]:
        until = step.values["page"] + 1
        fork = await answered(
            il, await il.afork(run.thread_id, at=step.number, values={"until": until})
        )
        assert heads(fork.output["pages"])[: len(expected(step))] == expected(step)
        assert fork.output["page"] in (until, until - 1)
    for step in steps[1:-1:3]:
        replay = await il.areplay(run.thread_id, at=step.number)
        assert replay.same, step.number
    tree = await il.atree(run.thread_id)
    assert [each.forked_at for each in tree.children][:2] == forked
    assert [each.output["page"] for each in forks] == [
        (await il.arun(each.thread_id)).output["page"] for each in forks
    ]
