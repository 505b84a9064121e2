"""A run is watched from outside: what it did, what it does, and from which place on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Approve, Interlock
from interlock.core.happening import Cursor, Event
from interlock.errors import NotFound, UsageError
from interlock.postgres.pool import open_pool
from interlock.postgres.watch import WatchStore
from tests.working import rows, until, worker_at

CONFIG = Path(__file__).parents[1] / "sample" / "watched" / "langgraph.json"
PATIENCE = 120.0
Heard = list[Event]


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


def errand(**more: Any) -> dict[str, Any]:  # the graph's input
    return {"places": ["mill", "barn"], **more}


async def all_of(il: Interlock, name: str, **how: Any) -> Heard:  # of awatch
    async with asyncio.timeout(PATIENCE):
        return [event async for event in il.awatch(name, **how)]


def lasting(events: Heard) -> Heard:
    """What whoever comes later is told, too: without acts that were under way when they were looked at."""
    return [e for e in events if e.kind != "act" or e.detail["status"] != "intended"]


def told(events: Heard) -> list[tuple[str, Any]]:
    """What happened, with what matters of each."""
    what: dict[str, Callable[[Any], Any]] = {  # of details, which are JSON
        "step": lambda d: d["nodes"],
        "act": lambda d: (d["action"], d["status"]),
        "question": lambda d: d["happened"],
        "model_call": lambda d: d["input_tokens"] + d["output_tokens"],
    }
    return [(e.kind, what[e.kind](e.detail) if e.kind in what else "") for e in events]


async def test_what_a_run_did_is_told_in_order(il: Interlock) -> None:
    """Steps with their nodes, model calls and acts, and the end; also where nobody but its caller worked on it."""
    run = await il.ainvoke("errand", errand())

    events = await all_of(il, run.run_id)
    # The branches act at the same time, in whichever order.
    assert [each for each in told(events) if each[0] != "submitted"] == [
        ("step", []),
        ("step", []),
        ("model_call", 15),
        ("step", ["plan"]),
        ("step", ["hold"]),
        ("act", ("errand_knock", "done")),
        ("act", ("errand_knock", "done")),
        ("step", ["visit", "visit"]),
        ("step", ["settle"]),
        ("succeeded", ""),
    ]
    plan = next(e for e in events if e.kind == "step" and e.detail["nodes"] == ["plan"])
    assert (plan.detail["step"], plan.detail["tokens"], plan.detail["changed"]) == (1, 15, ["seen"])
    assert plan.detail["next"] == ["hold"]
    assert {each.thread_id for each in events} == {run.thread_id}


async def test_changes_carry_their_values_where_they_are_asked_for(il: Interlock) -> None:
    """Each changed key has its value before and after; without asking there are none."""
    run = await il.ainvoke("errand", errand())

    steps = [e for e in await all_of(il, run.thread_id, values=True) if e.kind == "step"]
    assert steps[3].values == {"seen": (["plan"], ["plan", "hold"])}
    assert [e.values for e in await all_of(il, run.thread_id) if e.kind == "step"] == [None] * 6


async def test_a_cursor_goes_on_where_it_was_given(il: Interlock) -> None:
    """Behind each event come exactly the later ones, the same for every reader; behind the last comes nothing."""
    run = await il.ainvoke("errand", errand())
    events = await all_of(il, run.run_id)

    assert len(events) > 6
    for number, event in enumerate(events):
        later = await all_of(il, run.run_id, since=event.cursor)
        assert [each.key for each in later] == [each.key for each in events[number + 1 :]]


async def test_a_run_is_watched_while_a_worker_works_on_it(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Who comes in the middle is told what was, then what happens, and leaves when it ends."""
    gate = tmp_path / "gate"
    async with worker_at(database_url, config=CONFIG) as working:
        run = await il.asubmit("errand", errand(gate=str(gate)))
        await until(lambda: _steps(database_url, run.thread_id, at_least=3))
        heard: Heard = []

        async def listen() -> None:
            async for event in il.awatch(run.run_id):
                heard.append(event)  # a comprehension would show it at its end

        watcher = asyncio.create_task(listen())
        await until(lambda: any(e.kind == "step" and e.detail["next"] == ["hold"] for e in heard))
        assert [e.kind for e in heard if e.kind in ("claimed", "succeeded")] == ["claimed"]
        standing = await il.astanding(run.thread_id)
        process = standing.process
        gate.touch()
        await asyncio.wait_for(watcher, PATIENCE)
        await working.stopped()

    assert (standing.status, standing.worker, standing.alive) == ("running", process, True)
    assert heard[-1].kind == "succeeded"
    assert len({e.key for e in heard}) == len(heard)
    claimed = next(e for e in heard if e.kind == "claimed")
    assert claimed.detail["process"] == process


async def test_who_follows_stays_over_a_question(il: Interlock, database_url: str) -> None:
    """Without following it ends at the question; with it goes on behind the answer, into the run that takes it on."""
    async with worker_at(database_url, config=CONFIG) as working:
        run = await il.asubmit("errand", errand(pays=True))
        first = lasting(await all_of(il, run.run_id))
        assert told(first)[-2:] == [("question", "asked"), ("waiting", "")]

        following = asyncio.create_task(all_of(il, run.run_id, follow=True))
        (question,) = await il.aquestions(run.thread_id)
        await il.asubmit_answer(run.thread_id, Approve(question.id, by="ann"))
        events = lasting(await asyncio.wait_for(following, PATIENCE))
        await working.stopped()

    later = told(events)[len(first) :]
    assert later[0] == ("question", "answered")
    assert [each for each in later if each[0] in ("act", "succeeded")] == [
        ("act", ("errand_pay", "done")),
        ("succeeded", ""),
    ]
    resumed = events[-1].run_id
    assert resumed != run.run_id
    # Whoever comes later, by either run or the thread, is told the same.
    for name in (run.run_id, resumed, run.thread_id):
        assert [e.key for e in await all_of(il, name)] == [e.key for e in events]


async def test_what_is_committed_late_is_not_missed(il: Interlock, database_url: str) -> None:
    """Rows whose numbers are lower than those that were told are told when they can be seen, and once."""
    run = await il.ainvoke("errand", errand())
    async with (
        await psycopg.AsyncConnection.connect(database_url) as late,
        open_pool(database_url, size=1) as pool,
    ):
        store = WatchStore(pool)
        standing = await store.standing(run.run_id)
        _, cursor = await store.happenings(standing, Cursor())
        note = "select interlock.note_run(%s, %s, %s, '', '{}')"
        async with late.transaction():
            await late.execute("select 1")
            async with late.transaction():  # a savepoint: its rows carry another number
                await late.execute(note, (run.run_id, run.thread_id, "late"))
            await rows(database_url, note, run.run_id, run.thread_id, "early")
            early, cursor = await store.happenings(standing, cursor)
        found, cursor = await store.happenings(standing, cursor)
        again, _ = await store.happenings(standing, cursor)

    assert [each.kind for each in early] == ["early"]
    assert [each.kind for each in found] == ["late"]
    assert again == []


async def test_an_effect_is_told_again_when_it_is_done(il: Interlock, database_url: str) -> None:
    """The intention is one event, what came of it another; who reads in between is told of both."""
    run = await il.ainvoke("errand", errand(places=["mill"]))
    async with open_pool(database_url, size=1) as pool:
        store = WatchStore(pool)
        standing = await store.standing(run.run_id)
        change = "update interlock.effects set status = %s, finished_at = %s where thread_id = %s"
        await rows(database_url, change, "intended", None, run.thread_id)
        first, cursor = await store.happenings(standing, Cursor())
        await rows(database_url, change, "done", "2026-01-01", run.thread_id)
        second, _ = await store.happenings(standing, cursor)

    assert ("act", ("errand_knock", "intended")) in told(first)
    assert told(second) == [("act", ("errand_knock", "done"))]


async def test_calls_under_way_and_calls_that_wait_are_seen(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A model call that has begun counts as under way until it is answered; one that waits for a limit is an event."""
    thought = tmp_path / "thought"
    running = asyncio.create_task(il.ainvoke("errand", errand(thought=str(thought)), thread_id="t"))

    async def calls() -> int:
        found = await rows(database_url, "select 1 from interlock.runs")
        return (await il.astanding("t")).calls if found else 0

    wait = (
        "insert into interlock.rate_waits (key, owner, name, why, model, run_id, node, until)"
        " select 'k', 'o', 'provider:x', 'requests', 'x:y', run_id, 'plan', '2030-01-01' from interlock.runs"
    )
    try:
        await until(calls)
        await rows(database_url, wait)
        standing = await il.astanding("t")
    finally:
        thought.touch()
    assert (standing.calls, standing.limited, standing.limited_by) == (1, 1, "provider:x")
    await asyncio.wait_for(running, PATIENCE)
    assert (await il.astanding("t")).calls == 0
    (limited,) = [e for e in await all_of(il, "t") if e.kind == "limited"]
    assert (limited.node, limited.detail["why"]) == ("plan", "requests")


async def test_wrong_names_and_cursors_are_refused(il: Interlock) -> None:
    """An unknown run, text that is no cursor, and the cursor of a database that was further."""
    run = await il.ainvoke("errand", errand())

    with pytest.raises(NotFound, match="no thread or run 'nobody'"):
        await all_of(il, "nobody")
    with pytest.raises(UsageError, match="is no cursor"):
        await all_of(il, run.run_id, since="yesterday")
    with pytest.raises(UsageError, match="another database"):
        await all_of(il, run.run_id, since="999999999:999999999:")


async def test_a_process_that_is_gone_is_noticed(il: Interlock, database_url: str) -> None:
    """A run that nobody holds is not alive, whatever its status says; one that waits in the queue is queued."""
    run = await il.asubmit("errand", errand())
    standing = await il.astanding(run.run_id)
    assert (standing.status, standing.queued, standing.ready, standing.alive) == (
        "queued",
        True,
        True,
        False,
    )

    await rows(database_url, "update interlock.runs set status = 'running'")
    assert (await il.astanding(run.run_id)).alive is False


async def _steps(url: str, thread: str, *, at_least: int) -> bool:
    found = await rows(url, "select count(*) from checkpoints where thread_id = %s", thread)
    return bool(found[0][0] >= at_least)
