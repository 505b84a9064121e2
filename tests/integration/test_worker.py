"""Workers in the test's own process: what they claim, in which order, and how the runs end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Interlock
from interlock.core.queueing import Options
from interlock.postgres.claiming import Claimed, Claims
from interlock.postgres.locks import ThreadLocks, held
from interlock.worker.working import Plan
from tests.working import CONFIG, ended, lines, rows, steps, until, worker_at

SAMPLE = Path(__file__).parents[1] / "sample" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def order_of(url: str) -> list[str]:
    """The threads in the order in which their runs were claimed."""
    claimed = await rows(
        url, "select thread_id from interlock.run_events where kind = 'claimed' order by id"
    )
    return [row[0] for row in claimed]


async def test_submitted_runs_are_taken_to_their_end(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Twenty runs, four at a time: each ends with its output, its steps are done once, and nothing is left queued."""
    async with worker_at(database_url, Plan(concurrency=4)):
        for number in range(20):
            (tmp_path / str(number)).mkdir()
            await il.asubmit("working", steps(tmp_path / str(number)), thread_id=f"t{number}")
        runs = [await ended(il, f"t{number}") for number in range(20)]

    assert [run.output for run in runs] == [{"done": 2}] * 20
    assert [run.attempts for run in runs] == [1] * 20
    assert [lines(tmp_path / str(number)) for number in range(20)] == [
        ["begin 1", "end 1", "begin 2", "end 2"]
    ] * 20
    assert await rows(database_url, "select * from interlock.queue") == []


async def test_what_happened_to_a_run_is_written_down(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A run was submitted, claimed and succeeded, and by which worker."""
    async with worker_at(database_url):
        run = await il.asubmit("working", steps(tmp_path))
        await ended(il, run.thread_id)
        ((name,),) = await rows(database_url, "select worker_id from interlock.workers")

    events = await rows(
        database_url, "select kind, worker_id from interlock.run_events order by id"
    )
    assert events == [("submitted", ""), ("claimed", name), ("succeeded", name)]


async def test_a_worker_leaves_nothing_when_it_ends(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its row is gone, and no thread is held any more."""
    async with worker_at(database_url) as working:
        run = await il.asubmit("working", steps(tmp_path))
        await ended(il, run.thread_id)
        await working.stopped()

        assert await rows(database_url, "select * from interlock.workers") == []
        assert working.il.locks.holding() == []


async def test_an_answered_run_goes_on_in_a_worker(database_url: str, tmp_path: Path) -> None:
    """A worker's run waits for a person; the answer alone lets it go on, and nobody calls resume."""
    async with (
        interlock.aopen(database_url, config=SAMPLE) as il,
        worker_at(database_url, config=SAMPLE),
    ):
        given = {"payee": "ann", "amount": 5, "ledger": str(tmp_path / "bank")}
        await il.asubmit("payment", given, thread_id="t")
        waiting = await ended(il, "t", "waiting")
        await il.asubmit_answer("t", Approve(waiting.interrupts[0].id, by="ann"))
        second = await until(lambda: _other_question(il, waiting.interrupts[0].id))
        await il.asubmit_answer("t", Approve(second, by="ann"))
        await ended(il, "t")

    assert (tmp_path / "bank").read_text() == "ann 5\n"


async def _other_question(il: Interlock, first: str) -> str | None:
    return next((each.id for each in await il.aquestions("t") if each.id != first), None)


async def test_tenants_take_turns(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """One tenant has queued many runs before another comes: they are claimed in turns all the same."""
    async with (
        interlock.aopen(database_url, config=CONFIG, settings=_tenant("loud")) as loud,
        interlock.aopen(database_url, config=CONFIG, settings=_tenant("quiet")) as quiet,
    ):
        for number in range(6):
            await loud.asubmit("working", steps(tmp_path, 1), thread_id=f"loud{number}")
        for number in range(2):
            await quiet.asubmit("working", steps(tmp_path, 1), thread_id=f"quiet{number}")
    async with worker_at(database_url, Plan(concurrency=1)):
        await ended(il, "loud5")

    claimed = await order_of(database_url)
    assert claimed[:4] == ["loud0", "quiet0", "loud1", "quiet1"]


async def test_half_of_the_room_is_for_each_of_two_tenants(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Four places, and two tenants with four runs each, one of them later: each gets two."""
    (tmp_path / "hold-1").touch()
    for tenant in ("loud", "quiet"):
        async with interlock.aopen(database_url, config=CONFIG, settings=_tenant(tenant)) as theirs:
            for number in range(4):
                await theirs.asubmit("working", steps(tmp_path, 1), thread_id=f"{tenant}{number}")
    async with worker_at(database_url, Plan(concurrency=4)):
        await until(lambda: len(lines(tmp_path)) >= 4)
        claimed = set(await order_of(database_url))
        (tmp_path / "hold-1").unlink()

    assert claimed == {"loud0", "loud1", "quiet0", "quiet1"}


def _tenant(name: str) -> interlock.Settings:
    return interlock.Settings(tenant=name)


async def test_priority_goes_first(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """Of runs that wait, the one of the highest priority is claimed first, and equals as they came."""
    for name, priority in (("first", 0), ("second", 0), ("late", 5), ("low", -5)):
        await il.asubmit(
            "working", steps(tmp_path, 1), thread_id=name, options=Options(priority=priority)
        )
    async with worker_at(database_url, Plan(concurrency=1)):
        await ended(il, "low")

    assert await order_of(database_url) == ["late", "first", "second", "low"]


async def test_a_worker_takes_its_graphs_and_tenants_alone(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Runs of other graphs and tenants are left to others."""
    async with interlock.aopen(database_url, config=CONFIG, settings=_tenant("acme")) as acme:
        await acme.asubmit("working", steps(tmp_path, 1), thread_id="of acme")
        await acme.asubmit("other", steps(tmp_path, 1), thread_id="other graph")
    await il.asubmit("working", steps(tmp_path, 1), thread_id="of nobody")
    async with worker_at(database_url, Plan(graphs=("working",), tenants=("acme",))):
        await ended(il, "of acme")

    assert await order_of(database_url) == ["of acme"]
    async with worker_at(database_url):
        await ended(il, "of nobody")
        await ended(il, "other graph")


async def test_more_lines_than_one_look_takes_in(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five tenants, and two lines a look: the next look goes on behind them, so that each tenant has its turn."""
    monkeypatch.setattr("interlock.postgres.claiming.LANES", 2)
    for number in range(5):
        async with interlock.aopen(
            database_url, config=CONFIG, settings=_tenant(f"t{number}")
        ) as theirs:
            await theirs.asubmit("working", steps(tmp_path, 1), thread_id=f"of {number}")
    async with worker_at(database_url, Plan(concurrency=4, tenants=("t3", "t4"))):
        await ended(il, "of 3")
        await ended(il, "of 4")

    assert sorted(await order_of(database_url)) == ["of 3", "of 4"]


async def test_a_killed_run_is_ended_and_not_claimed_for_ever(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A switch stood over a queued run before it was claimed: it ends as killed, and none of its nodes ran."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    await il.akill("thread", "t", reason="a test")
    async with worker_at(database_url):
        run = await ended(il, "t", "killed")

    assert "a test" in run.error
    assert lines(tmp_path) == []
    assert await rows(database_url, "select * from interlock.queue") == []


async def test_a_held_thread_is_left_alone(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds its thread a run is not claimed, others are, and nothing spins; then it is."""
    other = ThreadLocks(database_url)
    async with other.hold("held"):
        await il.asubmit("working", steps(tmp_path, 1), thread_id="held")
        await il.asubmit("working", steps(tmp_path, 1), thread_id="free")
        async with worker_at(database_url):
            await ended(il, "free")
            looked = claims(monkeypatch)
            await asyncio.sleep(1.0)
            assert (await il.arun("held")).status == "queued"
            assert 2 <= len(looked) < 20
    await other.close()
    async with worker_at(database_url):
        await ended(il, "held")


async def test_once_a_held_thread_is_free_nothing_spins(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker takes its run, and then looks no more often than one that never found a thread held."""
    other = ThreadLocks(database_url)
    async with worker_at(database_url):
        async with other.hold("held"):
            await il.asubmit("working", steps(tmp_path, 1), thread_id="held")
            await asyncio.sleep(0.3)
            assert (await il.arun("held")).status == "queued"
        await ended(il, "held")
        looked = claims(monkeypatch)
        await asyncio.sleep(1.0)
    await other.close()

    assert len(looked) < 5


def claims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each claim was to take on, from now on."""
    asked: list[int] = []
    claim = Claims.claim

    async def noted(self: Claims, most: int, **given: Any) -> list[Claimed]:
        asked.append(most)
        return await claim(self, most, **given)

    monkeypatch.setattr(Claims, "claim", noted)
    return asked


async def test_a_breakpoint_stops_a_run_until_somebody_resumes_it(
    database_url: str, tmp_path: Path
) -> None:
    """A graph that was compiled to stop before a node does so in a worker, and no worker takes it on again unasked."""
    (tmp_path / "stops.py").write_text(STOPS)
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"stops": "./stops.py:graph", "around": "./stops.py:around"}}')
    async with interlock.aopen(database_url, config=config) as il:
        async with worker_at(database_url, config=config) as working:
            for name in ("stops", "around"):
                await il.asubmit(name, {"done": 0}, thread_id=name)
            await until(lambda: working.said("run.ended") == 2)
            stopped = [await il.arun(name) for name in ("stops", "around")]
            queued = await rows(database_url, "select * from interlock.queue")
        resumed = await il.aresume("stops")

    assert [run.status for run in stopped] == ["waiting", "waiting"]
    assert [run.error_kind for run in stopped] == ["breakpoint", "breakpoint"]
    assert queued == []
    assert (resumed.status, resumed.output) == ("succeeded", {"done": 2})


STOPS = """
import operator
from typing import Annotated
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    done: Annotated[int, operator.add]

async def step(state: State) -> State:
    return {"done": 1}

builder = StateGraph(State)
builder.add_node("first", step)
builder.add_node("second", step)
builder.add_edge(START, "first")
builder.add_edge("first", "second")
builder.add_edge("second", END)
graph = builder.compile(interrupt_before=["second"])
outer = StateGraph(State)
outer.add_node("inner", graph)
outer.add_edge(START, "inner")
around = outer.compile()
"""


async def test_a_thread_is_free_when_its_run_has_ended_and_nothing_else_is_due(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A worker has ended a run and has nothing to do: whoever calls goes on with the thread at once."""
    async with worker_at(database_url):
        run = await il.asubmit("working", steps(tmp_path))
        await ended(il, run.thread_id)
        await until(lambda: _free(il, run.thread_id), seconds=5)
        again = await il.ainvoke("working", steps(tmp_path), thread_id=run.thread_id)

    assert again.status == "succeeded"


async def test_a_worker_that_drains_lets_go_of_what_it_has_handed_back(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Of two runs one comes to its next checkpoint and one stays in its step: the first goes on elsewhere meanwhile."""
    quick, slow = tmp_path / "quick", tmp_path / "slow"
    for folder in (quick, slow):
        folder.mkdir()
        (folder / "hold-1").touch()
    async with worker_at(database_url) as first:
        runs = [await il.asubmit("working", steps(folder)) for folder in (quick, slow)]
        await until(lambda: lines(quick) and lines(slow))
        first.worker.stop()
        await until(lambda: first.said("worker.draining"))
        (quick / "hold-1").unlink()
        async with worker_at(database_url):
            await ended(il, runs[0].thread_id)
            assert not first.task.done()
            (slow / "hold-1").unlink()
            await ended(il, runs[1].thread_id)


async def _free(il: Interlock, thread: str) -> bool:
    return thread not in await held(il.pool, [thread])
