"""What a worker that was removed may not do any more: nothing of it is written, whenever it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from psycopg.rows import dict_row

import interlock
from interlock import Interlock
from interlock.errors import LeaseLost, ThreadBusy
from interlock.postgres.checkpointer.arrays import TextArray, prepare
from interlock.postgres.checkpointer.ending import NO_ENDS, End
from interlock.postgres.checkpointer.rows import Put, Rows, merged
from interlock.postgres.checkpointer.sending import SQL, sent
from interlock.postgres.checkpoints import saver_for
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.stored_runs import Ending
from interlock.postgres.workers import register
from interlock.worker.working import Plan
from tests.working import CONFIG, Working, ended, lines, rows, steps, until, worker_at

REMOVED = "delete from interlock.workers"
SESSION_ENDED = """
select pg_terminate_backend(l.pid, 5000)
from interlock.workers w cross join interlock.sessions_of(w.worker_id) as l (pid)
"""
REGISTERED = """
insert into interlock.workers (worker_id, process, backend, concurrency, lease_until) values ('w', 'p', 1, 1, now())
"""


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def taken_over(url: str) -> None:
    """Remove all workers, as another would do it that takes them for dead."""
    await rows(
        url,
        "select t.* from (select worker_id from interlock.workers for update) w "
        "cross join lateral interlock.take_over(w.worker_id, true, 3) t",
    )


async def test_a_removed_worker_stops_and_begins_anew_under_another_name(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It stops what it runs, registers again, and takes the run on once more from its last checkpoint."""
    (tmp_path / "hold-2").touch()
    async with worker_at(database_url, Plan(lease=1.0)) as working:
        await il.asubmit("working", steps(tmp_path, 3), thread_id="t")
        await until(lambda: "begin 2" in lines(tmp_path))
        before = await rows(database_url, "select worker_id from interlock.workers")
        await taken_over(database_url)
        await until(lambda: working.said("worker.started") == 2)
        (tmp_path / "hold-2").unlink()
        run = await ended(il, "t")
        after = await rows(database_url, "select worker_id from interlock.workers")

    assert run.output == {"done": 3}
    assert len(before) == len(after) == 1
    assert before != after
    assert lines(tmp_path) == [
        *("begin 1", "end 1", "begin 2"),
        *("begin 2", "end 2", "begin 3", "end 3"),
    ]


async def test_a_checkpoint_is_refused_in_the_very_statement(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was removed after it made sure that it holds the thread, and before the flush: nothing is saved."""
    async with worker_at(database_url, Plan(lease=60.0)) as working:
        _deaf(working)
        check = working.il.locks.check
        checked = 0

        async def removed_after(thread_id: str) -> None:
            nonlocal checked
            await check(thread_id)
            checked += 1
            if checked == 3:
                await rows(database_url, REMOVED)

        monkeypatch.setattr(ThreadLocks, "check", staticmethod(removed_after))
        await il.asubmit("working", steps(tmp_path, 5), thread_id="t")
        await until(lambda: any("run.failed" in line for line in working.told))
        saved = await rows(database_url, "select count(*) from checkpoints")
        await asyncio.sleep(0.2)
        again = await rows(database_url, "select count(*) from checkpoints")

    assert any("taken for dead" in line for line in working.told)
    assert saved == again
    assert checked >= 3


async def test_a_checkpoint_is_refused_once_the_session_has_ended(
    il: Interlock, database_url: str
) -> None:
    """As a crash does that takes a claim back: the worker's row is still there, and another may have the run."""
    name = await register(il.locks, Plan(), "p")

    async def held(_: str) -> None:
        return

    saver = saver_for(il.graph("working"), il.pool, held, fence=lambda _: name)
    await saver.aput(named(), empty_checkpoint(), {}, {})
    await rows(database_url, SESSION_ENDED)
    with pytest.raises(LeaseLost):
        await saver.aput(named(), empty_checkpoint(), {}, {})

    assert await rows(database_url, "select worker_id from interlock.workers") == [(name,)]
    assert await rows(database_url, "select count(*) from checkpoints") == [(1,)]


def named() -> RunnableConfig:
    """How LangGraph names a thread."""
    return {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


def _deaf(working: Working) -> None:
    """Let its heart not notice that the row is gone."""
    life = working.worker._life
    assert life is not None
    life._pulse.close()


async def test_an_intention_is_refused(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removed worker acts no more: its intention is not written, and nothing is done."""
    (tmp_path / "hold-1").touch()
    async with worker_at(database_url, Plan(lease=60.0)) as working:
        _deaf(working)
        await il.asubmit("working", steps(tmp_path, 1, acts=True), thread_id="t")
        await until(lambda: "begin 1" in lines(tmp_path))
        await rows(database_url, REMOVED)
        (tmp_path / "hold-1").unlink()
        await until(lambda: any("taken for dead" in line for line in working.told))

    assert lines(tmp_path, "effects") == []
    assert await rows(database_url, "select * from interlock.effects") == []


async def test_an_end_is_refused(il: Interlock, database_url: str, tmp_path: Path) -> None:
    """Another has begun the run anew: the end of the first attempt changes nothing."""
    (tmp_path / "hold-1").touch()
    async with worker_at(database_url, Plan(lease=60.0)) as working:
        _deaf(working)
        await il.asubmit("working", steps(tmp_path, 1), thread_id="t")
        await until(lambda: "begin 1" in lines(tmp_path))
        await rows(
            database_url,
            "update interlock.runs set attempts = attempts + 1 where thread_id = 't'",
        )
        await rows(database_url, "update interlock.queue set worker_id = 'another'")
        (tmp_path / "hold-1").unlink()
        await until(lambda: working.said("run.failed"))

        assert (await il.arun("t")).status == "running"


async def test_an_end_of_an_attempt_of_the_same_number_is_refused(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A crash took the claim back, and another has claimed the run: it is not ended by the first one's failure."""
    await il.asubmit("working", steps(tmp_path, 1), thread_id="t")
    run = (await il.store.latest("t")).run
    await rows(database_url, "update interlock.runs set status = 'running', attempts = 1")
    await rows(database_url, "update interlock.queue set worker_id = 'another'")

    with pytest.raises(ThreadBusy):
        await il.store.end(run, Ending(status="failed"), worker="the first")

    assert (await il.arun("t")).status == "running"
    await il.store.end(run, Ending(status="failed"), worker="another")
    assert (await il.arun("t")).status == "failed"


@pytest.mark.parametrize("statement", ["plain_run_flush", "fenced_flush"])
async def test_the_fence_holds_the_row_until_it_is_committed(
    database_url: str, statement: str
) -> None:
    """Whoever removes a worker waits for a flush of it that is under way."""
    await rows(database_url, REGISTERED)
    async with (
        await psycopg.AsyncConnection.connect(database_url) as living,
        await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as writing,
        await psycopg.AsyncConnection.connect(database_url) as removing,
    ):
        await living.execute("select pg_advisory_lock(hashtextextended('w', 7919))")
        prepare(writing)
        values = {**merged([], 0), **NO_ENDS, "fence": TextArray(["w"])}
        await writing.execute(SQL[statement], values)
        await removing.execute("set local lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await removing.execute(REMOVED)
        await removing.rollback()
        await writing.commit()
        await removing.execute(REMOVED)


@pytest.mark.parametrize("ends", [[], [End(run="r", attempt=1)]], ids=["saving", "ending"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "with content"])
async def test_each_way_to_save_refuses_the_same(
    database_url: str, plain: bool, ends: list[End]
) -> None:
    """Of two workers one has no session, or was removed: nothing is saved, and it is told which of both it is."""
    await rows(database_url, REGISTERED)
    await rows(database_url, REGISTERED.replace("'w'", "'other'"))
    put = Put(b"t", b"", b"c", None, b"{}", b"{}")
    values = merged([Rows(thread="t", puts=[put])], 0)
    told = []
    async with (
        await psycopg.AsyncConnection.connect(database_url) as living,
        await psycopg.AsyncConnection.connect(
            database_url, autocommit=True, prepare_threshold=0, row_factory=dict_row
        ) as line,
    ):
        await living.execute("select pg_advisory_lock(hashtextextended('w', 7919))")
        for fence in (["w", "other"], ["w", "removed"], ["other"], ["removed"]):
            with pytest.raises(psycopg.Error) as refused:
                await sent(line, values, plain=plain, fence=fence, ends=ends)
            told.append((refused.value.sqlstate, refused.value.diag.message_primary))
        before = await rows(database_url, "select checkpoint_id from checkpoints")
        await sent(line, values, plain=plain, fence=["w"], ends=ends)

    assert told == [
        ("IL001", "the session of the worker has ended"),
        ("IL001", "the worker was removed"),
        ("IL001", "the session of the worker has ended"),
        ("IL001", "the worker was removed"),
    ]
    assert before == []
    assert await rows(database_url, "select checkpoint_id from checkpoints") == [("c",)]


async def test_a_heartbeat_does_not_wait_for_a_flush(database_url: str) -> None:
    """A heartbeat changes the row while a flush holds it."""
    await rows(database_url, REGISTERED)
    async with (
        await psycopg.AsyncConnection.connect(database_url) as writing,
        await psycopg.AsyncConnection.connect(database_url) as beating,
    ):
        await writing.execute("select from interlock.workers where worker_id = 'w' for key share")
        await beating.execute("set local lock_timeout = '200ms'")
        await beating.execute("update interlock.workers set beat_at = clock_timestamp()")


async def test_an_attended_run_has_no_fence(il: Interlock, tmp_path: Path) -> None:
    """What is run in the caller's process needs no worker."""
    run = await il.ainvoke("working", steps(tmp_path))

    assert run.status == "succeeded"
    assert il.locks.fence(run.thread_id) == ""


async def test_an_act_in_doubt_is_not_taken_on_by_a_removed_worker(database_url: str) -> None:
    """To claim an effect whose performer is gone takes a worker that is there."""
    async with interlock.aopen(database_url, config=CONFIG) as il:
        ledger = PostgresLedger(il.pool, il.locks)
        await il.locks.owner()
        il.locks.worker = "removed"
        with pytest.raises(LeaseLost):
            await ledger.claim("a key", 1)
