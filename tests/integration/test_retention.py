"""Pruned threads: what is kept opens, forks and replays as before, and the rest is gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Approve, Interlock, Run, Step
from interlock.errors import NotFound, ThreadBusy, UsageError
from interlock.postgres.pool import open_pool
from interlock.postgres.retention import held_still

SAMPLE = Path(__file__).parents[1] / "sample"
NOW = timedelta(0)


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=SAMPLE / "volumes/langgraph.json") as opened:
        yield opened


@pytest.fixture
async def nested(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=SAMPLE / "nested/langgraph.json") as opened:
        yield opened


async def written(
    il: Interlock, folder: Path, *, until: int, sign: int = 1000, bind: int = 1000
) -> Run:
    """A finished chronicle, each of whose questions was answered with yes."""
    given = {"until": until, "sign_every": sign, "bind_every": bind}
    run = await il.ainvoke("volumes", given | {"book": str(folder / "book")})
    while run.status == "waiting":
        run = await il.aresume(run.thread_id, Approve(run.interrupts[0].id))
    assert run.status == "succeeded"
    return run


async def states(
    il: Interlock, thread_id: str, *, inside: bool = False
) -> dict[str, Mapping[str, Any]]:
    """What each checkpoint holds."""
    steps = await il.ahistory(thread_id, inside=inside)
    return {step.checkpoint_id: step.values for step in steps}


def numbers(steps: list[Step]) -> list[int]:
    """The numbers of steps."""
    return [step.number for step in steps]


async def test_the_first_the_last_and_what_is_asked_for_are_kept(
    il: Interlock, tmp_path: Path
) -> None:
    """Each kept step holds what it held, although its values were rebuilt from steps that are gone."""
    run = await written(il, tmp_path, until=60)
    before = await states(il, run.thread_id)

    done = await il.aprune(run.thread_id, keep=3, older_than=NOW)
    steps = await il.ahistory(run.thread_id)

    assert numbers(steps) == [-1, 58, 59, 60]
    assert {each.checkpoint_id: each.values for each in steps} == {
        each.checkpoint_id: before[each.checkpoint_id] for each in steps
    }
    assert len(steps[1].values["pages"]) == 58
    assert done.checkpoints == (62, 4)
    assert done.bytes[1] < done.bytes[0]
    assert done.threads[0].kept == {"first": 1, "last": 1, "among the last": 2}


async def test_a_kept_step_tells_what_was_folded_into_it(il: Interlock, tmp_path: Path) -> None:
    """Its nodes, its changes and its time are those of all the steps; a folded one is said to be."""
    run = await written(il, tmp_path, until=10, sign=4)
    await il.aprune(run.thread_id, keep=1, older_than=NOW)
    steps = await il.ahistory(run.thread_id)
    told = [(each.number, each.folded, dict(each.folded_nodes), each.next) for each in steps]

    assert told == [
        (-1, 0, {}, ("__start__",)),
        (4, 4, {"__start__": 1, "write": 4}, ("sign",)),
        (9, 4, {"sign": 1, "write": 4}, ("sign",)),
        (12, 2, {"sign": 1, "write": 2}, ()),
    ]
    assert set(steps[1].changed) == {
        *("until", "sign_every", "bind_every", "book", "page", "pages"),
    }
    with pytest.raises(NotFound, match="Step 6 was folded into step 9") as raised:
        await il.astep(run.thread_id, 6)
    assert "4 and 9" in raised.value.hint


async def test_a_second_pruning_folds_further(il: Interlock, tmp_path: Path) -> None:
    """What was folded into a step goes on with it into the next one; a third finds nothing to do."""
    run = await written(il, tmp_path, until=30)
    await il.aprune(run.thread_id, keep=10, older_than=NOW)
    await il.aprune(run.thread_id, keep=2, older_than=NOW)
    steps = await il.ahistory(run.thread_id)
    last = await il.aprune(run.thread_id, keep=2, older_than=NOW)

    assert [(each.number, each.folded) for each in steps] == [(-1, 0), (29, 29), (30, 0)]
    assert steps[1].folded_nodes == {"__start__": 1, "write": 29}
    assert last.checkpoints == (3, 3)


async def test_approvals_effects_and_milestones_are_kept(il: Interlock, tmp_path: Path) -> None:
    """The steps that questions and acts point to, and those that hold a bound chapter."""
    run = await written(il, tmp_path, until=40, sign=15, bind=12)
    done = await il.aprune(run.thread_id, keep=1, older_than=NOW)
    steps = await il.ahistory(run.thread_id)

    signing = [each.number for each in steps if each.next == ("sign",)]
    bound = [
        each.values["chapters"] for each in steps if each.nodes[:1] and "chapters" in each.changed
    ]
    assert signing == [16, 33]
    assert bound == [1, 2, 3]
    assert done.threads[0].kept == {"first": 1, "question": 2, "milestone": 3, "last": 1}


async def test_every_kept_step_forks_and_replays(il: Interlock, tmp_path: Path) -> None:
    """A fork from a kept step ends as it would have, and a replay comes to the same end."""
    run = await written(il, tmp_path, until=30, sign=11)
    await il.aprune(run.thread_id, keep=2, older_than=NOW)
    steps = await il.ahistory(run.thread_id)

    for step in steps[1:-1]:
        fork = await il.afork(run.thread_id, at=step.number)
        while fork.status == "waiting":
            fork = await il.aresume(fork.thread_id, Approve(fork.interrupts[0].id))
        assert fork.output["pages"] == run.output["pages"], step.number
        replay = await il.areplay(run.thread_id, at=step.number)
        assert replay.same, step.number
    whole = await il.areplay(run.thread_id)
    assert whole.same


async def test_where_a_fork_began_is_kept(il: Interlock, tmp_path: Path) -> None:
    """Of parent and fork; the tree and the difference are told as before."""
    run = await written(il, tmp_path, until=20)
    fork = await il.afork(run.thread_id, at=12, values={"until": 25})
    before = await il.adiff(run.thread_id, fork.thread_id)

    done = await il.aprune(keep=1, older_than=NOW)
    after = await il.adiff(run.thread_id, fork.thread_id)
    tree = await il.atree(run.thread_id)

    assert done.checkpoints[1] == 3 + 3
    assert numbers(await il.ahistory(fork.thread_id)) == [-1, 12, 25]
    assert tree.children[0].forked_at == 12
    assert after.changed == before.changed
    assert (after.common_steps, before.common_steps) == (2, 14)
    assert (after.path_a, after.path_b) == (("write",), ("write",))


async def test_effects_before_a_fork_are_still_shared(il: Interlock, tmp_path: Path) -> None:
    """Also when the step that came of them was folded."""
    run = await written(il, tmp_path, until=20, sign=5)
    fork = await il.afork(run.thread_id, at=14)
    while fork.status == "waiting":
        fork = await il.aresume(fork.thread_id, Approve(fork.interrupts[0].id))
    before = await il.adiff(run.thread_id, fork.thread_id)
    await il.aprune(keep=1, older_than=NOW)
    after = await il.adiff(run.thread_id, fork.thread_id)

    assert [each.key for each in after.effects_both] == [each.key for each in before.effects_both]
    assert after.effects_only_a == before.effects_only_a == ()


async def test_an_input_goes_on_from_where_the_run_before_it_ended(
    il: Interlock, tmp_path: Path
) -> None:
    """The end of a run is kept with the input that came after it, so that a fork of the input starts there."""
    run = await written(il, tmp_path, until=10)
    await il.ainvoke("volumes", {"until": 20}, thread_id=run.thread_id)
    inputs = [each for each in await il.ahistory(run.thread_id) if each.source == "input"]
    await il.aprune(run.thread_id, keep=12, older_than=NOW)

    assert numbers(await il.ahistory(run.thread_id)) == [-1, *range(10, 23)]
    fork = await il.afork(run.thread_id, at=inputs[1].number, values={"until": 15})
    assert len(fork.output["pages"]) == 15


async def test_young_steps_are_kept(il: Interlock, tmp_path: Path) -> None:
    """By default nothing of the last week goes."""
    run = await written(il, tmp_path, until=30)
    done = await il.aprune()

    assert done.checkpoints == (32, 32)
    assert run.thread_id == done.threads[0].thread_id


async def test_a_dry_run_changes_nothing(il: Interlock, tmp_path: Path) -> None:
    """It says what would be kept and why."""
    run = await written(il, tmp_path, until=30)
    before = await states(il, run.thread_id)
    done = await il.aprune(run.thread_id, keep=2, older_than=NOW, dry_run=True)

    assert done.dry_run
    assert done.checkpoints == (32, 3)
    assert done.bytes[1] < done.bytes[0]
    assert await states(il, run.thread_id) == before


async def test_a_negative_number_is_refused(il: Interlock) -> None:
    """Before anything is looked at."""
    with pytest.raises(UsageError, match="negative"):
        await il.aprune(keep=-1)
    with pytest.raises(NotFound):
        await il.aprune("nowhere")


async def test_a_thread_that_is_run_is_left_alone(
    il: Interlock, tmp_path: Path, database_url: str
) -> None:
    """Nothing of it is folded while a process holds it; the others are."""
    held = await written(il, tmp_path, until=30)
    other = await written(il, tmp_path, until=30)
    async with il._locks.hold(held.thread_id):
        done = await il.aprune(keep=1, older_than=NOW)

    told = {each.thread_id: (each.skipped, each.checkpoints_after) for each in done.threads}
    assert told == {held.thread_id: ("being run", 0), other.thread_id: ("", 2)}
    assert done.skipped == {"being run": 1}


async def test_threads_of_unknown_graphs_are_left_alone(il: Interlock, tmp_path: Path) -> None:
    """Their milestones are not known here; nor are threads of plain LangGraph touched."""
    run = await written(il, tmp_path, until=30)
    with psycopg.connect(il.url, autocommit=True) as connection:
        connection.execute("update interlock.threads set graph = 'elsewhere'")
        connection.execute(
            "insert into checkpoints (thread_id, checkpoint_id, checkpoint) values ('plain', '1', '{}')"
        )
    done = await il.aprune(keep=1, older_than=NOW)

    told = [(each.thread_id, each.skipped) for each in done.threads]
    assert told == [(run.thread_id, "its graph is not in this application")]


async def test_values_of_another_version_are_left_as_they_are(
    il: Interlock, tmp_path: Path
) -> None:
    """What the present code would write down otherwise than it was stored is not folded."""
    run = await written(il, tmp_path, until=30)
    steps = await il.ahistory(run.thread_id)
    with psycopg.connect(il.url, autocommit=True) as connection:
        connection.execute(
            "update checkpoints set metadata = metadata || jsonb_build_object('schema_version', 7)"
            " where checkpoint_id = any(%s)",
            ([each.checkpoint_id for each in steps[:10]],),
        )
    done = await il.aprune(run.thread_id, keep=1, older_than=NOW)

    assert done.threads[0].kept == {"first": 1, "last": 1, "cannot be folded": 9}


async def test_a_run_that_begins_meanwhile_waits(
    il: Interlock, tmp_path: Path, database_url: str
) -> None:
    """A run that meets a batch goes on when it is over, and is not told that the thread is busy."""
    run = await written(il, tmp_path, until=10)
    async with open_pool(database_url) as pool:
        async with held_still(pool, run.thread_id):
            going = asyncio.ensure_future(
                il.ainvoke("volumes", {"until": 12}, thread_id=run.thread_id)
            )
            done, _ = await asyncio.wait([going], timeout=0.5)
            assert not done
        assert (await going).output["page"] == 12
    async with il._locks.hold(run.thread_id):
        with pytest.raises(ThreadBusy):
            await il.ainvoke("volumes", {"until": 14}, thread_id=run.thread_id)


async def test_pruning_runs_beside_runs(il: Interlock, tmp_path: Path) -> None:
    """Threads that are written to and pruned all the time end as they do without."""
    stop = asyncio.Event()

    async def prune() -> int:
        folded = 0
        while not stop.is_set():
            done = await il.aprune(keep=2, older_than=NOW)
            folded += done.checkpoints[0] - done.checkpoints[1]
        return folded

    async def write(until: int) -> Run:
        run = await il.ainvoke("volumes", first | {"until": 5})
        for pages in range(10, until + 1, 5):
            run = await il.ainvoke("volumes", {"until": pages}, thread_id=run.thread_id)
        return run

    first = {"sign_every": 1000, "bind_every": 1000, "book": str(tmp_path / "r")}
    pruning = asyncio.ensure_future(prune())
    runs = await asyncio.gather(*(write(40) for _ in range(3)))
    stop.set()

    assert await pruning > 10
    for run in runs:
        assert run.status == "succeeded"
        assert [page.partition(":")[0] for page in run.output["pages"]] == [
            str(n) for n in range(1, 41)
        ]


async def test_a_fork_that_begins_meanwhile_is_told_what_was_folded(
    il: Interlock, tmp_path: Path, database_url: str
) -> None:
    """It waits for the batch; a step that is still there can be forked then, and one that is not is refused."""
    run = await written(il, tmp_path, until=10)
    steps = await il.ahistory(run.thread_id)
    async with open_pool(database_url) as pool, held_still(pool, run.thread_id) as still:
        forks = [asyncio.ensure_future(il.afork(run.thread_id, at=at)) for at in (5, 8)]
        done, _ = await asyncio.wait(forks, timeout=1)
        assert not done
        await still.fold([("", steps[6].checkpoint_id)])
        assert (steps[6].number, steps[9].number) == (5, 8)
    ended = await asyncio.gather(*forks, return_exceptions=True)

    assert isinstance(ended[0], NotFound)
    assert "folded in this moment" in str(ended[0])
    assert isinstance(ended[1], Run)
    assert len(await il.athreads()) == 2


async def test_forks_begin_beside_pruning(il: Interlock, tmp_path: Path) -> None:
    """A fork either begins with all that it needs, or is told that its step was folded."""
    run = await written(il, tmp_path, until=60)
    forks = [
        asyncio.ensure_future(il.afork(run.thread_id, at=at, values={"until": 62}))
        for at in range(5, 60, 6)
    ]
    pruned = await il.aprune(run.thread_id, keep=1, older_than=NOW)
    ended = await asyncio.gather(*forks, return_exceptions=True)

    done = [each for each in ended if isinstance(each, Run)]
    assert {type(each) for each in ended} <= {Run, NotFound}
    assert pruned.checkpoints[1] <= 2 + len(done)
    for fork in done:
        assert len(fork.output["pages"]) == 62


async def test_steps_of_subgraphs_go_with_the_step_that_ran_them(
    nested: Interlock, tmp_path: Path
) -> None:
    """What is left tells the same; nothing is left of calls whose step was folded."""
    run = await nested.ainvoke("clerks", {"clerks": ["ann", "bob"], "log": str(tmp_path / "log")})
    before = await states(nested, run.thread_id, inside=True)
    await nested.aprune(run.thread_id, keep=1, older_than=NOW)
    after = await states(nested, run.thread_id, inside=True)

    assert after.items() <= before.items()
    paying = [
        step
        for step in await nested.ahistory(run.thread_id, inside=True)
        if step.inside and step.next == ("pay",)
    ]
    assert len(paying) == 2
    for step in paying:
        fork = await nested.afork(run.thread_id, at=step.checkpoint_id)
        assert sorted(fork.output["paid"]) == sorted(run.output["paid"])


@pytest.mark.parametrize("node", ["wake", "diary"])
async def test_a_memory_is_kept_for_each_kept_step(
    nested: Interlock, tmp_path: Path, node: str
) -> None:
    """A fork of a pruned thread remembers what its parent had in mind at that step, and nothing later."""
    run = await nested.ainvoke("diary", {"days": 6, "log": str(tmp_path / "log")})
    steps = await nested.ahistory(run.thread_id)
    wanted = [step for step in steps if step.values.get("day") == 3 and step.next == (node,)]
    anchor = await nested.afork(run.thread_id, at=wanted[0].number)

    done = await nested.aprune(run.thread_id, keep=2, older_than=NOW)
    again = await nested.afork(run.thread_id, at=wanted[0].number)

    assert done.checkpoints[1] < done.checkpoints[0] / 3
    assert again.output == anchor.output
    assert again.output["said"] == "day 1, day 2, day 3, day 4, day 5, day 6"


async def test_the_database_holds_nothing_that_nobody_needs(
    il: Interlock, tmp_path: Path, database_url: str
) -> None:
    """Values and writes of folded checkpoints are gone."""
    run = await written(il, tmp_path, until=60)
    await il.aprune(run.thread_id, keep=1, older_than=NOW)
    with psycopg.connect(database_url) as connection:
        left = connection.execute(
            "select (select count(*) from checkpoints), (select count(distinct checkpoint_id) from"
            " checkpoint_writes), (select count(*) from checkpoint_blobs where channel = 'pages')"
        ).fetchone()

    assert left == (2, 1, 1)
    assert len((await il.arun(run.thread_id)).output["pages"]) == 60


async def test_the_storage_is_told(il: Interlock, tmp_path: Path) -> None:
    """What takes how much, the largest first."""
    await written(il, tmp_path, until=30)
    ref = await il.blobs.put(b"x" * 100_000)
    await il.items().aput(("notes",), "one", {"text": random.Random(1).randbytes(50_000).hex()})
    stored = await il.astorage()

    assert (stored.threads, stored.checkpoints) == (1, 32)
    assert (stored.blobs, stored.blob_bytes) == (1, 100_000)
    assert ref["size"] == 100_000
    assert stored.tables["blobs"] > 100_000
    assert stored.tables["store"] > 50_000
    assert {
        "streams",
        "outcomes",
        "audit",
        "runs",
        "threads",
        "ledger",
        "letters",
    } <= stored.tables.keys()
    assert stored.rows.keys() == stored.tables.keys()
    assert list(stored.tables.values()) == sorted(stored.tables.values(), reverse=True)
    assert stored.bytes == sum(stored.tables.values())
