"""Group commit under fire: every caller gets an answer, and the fault of one is no one else's."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from interlock.postgres import Checkpointer
from interlock.postgres.checkpointer import Core, lines, queue
from tests.savers import Story, count, place, talking


@pytest.fixture
async def saver(database_url: str) -> AsyncIterator[Checkpointer]:
    async with Checkpointer.from_conn_string(database_url) as opened:
        yield opened


async def test_callers_at_the_same_time_share_a_commit(saver: Checkpointer) -> None:
    """A hundred threads that save at once take one statement and one commit."""
    await asyncio.gather(*(Story(saver, f"t{n}").put(n=n) for n in range(100)))

    assert (saver.stats.requests, saver.stats.flushes, saver.stats.commits) == (100, 1, 1)
    assert (await Story(saver, "t99").values()) == {"n": 99}


async def test_a_commit_waits_for_those_at_work(
    saver: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hands something in while others still compute shares a commit with what they hand in."""
    monkeypatch.setattr(queue, "COMPANY", 30)
    await Story(saver, "first").put(n=0)
    before = saver.stats.flushes
    early = asyncio.create_task(Story(saver, "early").put(n=1))
    await _computing(passes=30)
    await Story(saver, "late").put(n=2)
    await early

    assert saver.stats.flushes - before == 1


async def test_nobody_waits_for_those_who_compute_for_ever(
    saver: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that never rests does not keep a commit back."""
    monkeypatch.setattr(queue, "COMPANY", 0.005)
    await Story(saver, "first").put(n=0)
    computing = asyncio.create_task(_computing(passes=50_000))

    await Story(saver, "t").put(n=1)

    assert not computing.done()
    computing.cancel()


async def test_a_caller_that_leaves_before_the_commit_begins_takes_nobody_along(
    saver: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only caller is cancelled while its commit waits for others: nothing is saved, and the next one is served."""
    monkeypatch.setattr(queue, "COMPANY", 30)
    await Story(saver, "first").put(n=0)
    alone = asyncio.create_task(Story(saver, "alone").put(n=1))
    computing = asyncio.create_task(_computing(passes=30))
    await _until(lambda: saver._core.queue._flusher is not None)
    flusher = saver._core.queue._flusher
    assert flusher is not None
    alone.cancel()
    await asyncio.wait([alone, computing, flusher])

    assert flusher.exception() is None
    assert await saver.aget_tuple(place("alone")) is None
    await Story(saver, "next").put(n=2)


async def _computing(passes: int) -> None:
    """Keep the event loop at work, longer in each pass than one without work takes."""
    for _ in range(passes):
        until = time.perf_counter() + 4 * queue.IDLE
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def test_a_step_is_one_commit(saver: Checkpointer) -> None:
    """What a task wrote rides with the checkpoint of its step: one round trip and one commit for both."""
    await talking(saver, 50).ainvoke({"said": [], "turns": 0}, place("t"), durability="sync")

    assert saver.stats.requests >= 100
    assert saver.stats.round_trips <= 55 + 4  # once for each connection of the pool
    assert saver.stats.commits <= 55


async def test_writes_without_a_checkpoint_are_saved_soon(saver: Checkpointer) -> None:
    """A task that ends long before its step does not wait for it."""
    config = await Story(saver).put(n=1)

    await asyncio.wait_for(saver.aput_writes(config, [("n", 2)], "task"), timeout=5)

    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [("task", "n", 2)]


async def test_rows_that_postgres_refuses_fail_their_own_caller_only(saver: Checkpointer) -> None:
    """Of many callers of one flush, one with a key that is too long for an index and one with NUL in its name fail."""
    # what is random cannot be compressed
    broken = [Story(saver, "".join(map(chr, range(200, 9_000)))), Story(saver, "nul\0")]
    fine = [Story(saver, f"t{n}") for n in range(40)]

    outcomes = await asyncio.gather(
        *(story.put(n=1) for story in (*fine[:20], *broken, *fine[20:])), return_exceptions=True
    )

    failed = [number for number, each in enumerate(outcomes) if isinstance(each, BaseException)]
    assert failed == [20, 21]
    assert isinstance(outcomes[20], psycopg.errors.ProgramLimitExceeded)
    assert isinstance(outcomes[21], psycopg.DataError)
    assert count(_url(saver), "select count(*) from checkpoints") == 40


async def test_a_value_that_cannot_be_serialized_fails_at_once(saver: Checkpointer) -> None:
    """Its caller is told before anything is sent."""
    with pytest.raises(TypeError):
        await Story(saver).put(value=[object()])

    assert saver.stats.flushes == 0


@pytest.mark.parametrize("own", [False, True], ids=["borrowed connection", "own connection"])
async def test_a_cut_connection_costs_no_caller_anything(database_url: str, own: bool) -> None:
    """The server ends the session before and while rows are sent: they are sent again on a new connection."""
    async with AsyncConnectionPool(
        database_url, min_size=1, max_size=3, open=False, kwargs={"autocommit": True}
    ) as pool:
        saver = Checkpointer(pool, core=Core.at(database_url) if own else None)
        stories = [Story(saver, f"t{n}") for n in range(20)]
        for _ in range(5):
            await asyncio.gather(*(story.put(n=1) for story in stories), _cut(database_url))
        await saver.aclose()

        assert count(database_url, "select count(*) from checkpoints") == 100


async def _cut(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


async def test_without_a_server_each_caller_is_told(saver: Checkpointer) -> None:
    """No connection can be made: everyone gets the driver's error, and later ones are served again."""
    await Story(saver).put(n=1)
    line = saver._core.queue._flushing.line
    saver._core.queue._flushing.line = lines.Own(_unreachable)

    outcomes = await asyncio.gather(
        *(Story(saver).put(n=1) for _ in range(10)), return_exceptions=True
    )

    assert [type(each) for each in outcomes] == [psycopg.OperationalError] * 10
    saver._core.queue._flushing.line = line
    await Story(saver).put(n=1)


async def _unreachable() -> lines.Connection:
    raise psycopg.OperationalError("connection refused")


async def test_who_may_not_write_any_more_is_not_sent_again(saver: Checkpointer) -> None:
    """Where a connection broke, each caller's right is looked at anew; others of the same flush are saved."""

    class Limited(Checkpointer):
        async def _allowed(self, thread_id: str) -> None:
            if thread_id == "lost":
                raise PermissionError(thread_id)

    limited = Limited(saver.conn, core=saver._core)
    line = _BreaksOnce(saver._core.queue._flushing.line)
    saver._core.queue._flushing.line = line

    outcomes = await asyncio.gather(
        Story(limited, "lost").put(n=1), Story(limited, "held").put(n=1), return_exceptions=True
    )

    assert isinstance(outcomes[0], PermissionError)
    assert await Story(saver, "held").values() == {"n": 1}
    assert await saver.aget_tuple(place("lost")) is None


class _BreaksOnce(lines.Own):
    def __init__(self, line: lines.Line) -> None:
        super().__init__(_unreachable)
        self._line = line
        self._broke = False

    async def lend(self) -> lines.Connection:
        if not self._broke:
            self._broke = True
            return await super().lend()
        return await self._line.lend()

    async def rest(self) -> None:
        await self._line.rest()

    async def close(self) -> None:
        await self._line.close()


async def test_a_cancelled_caller_harms_no_other(saver: Checkpointer) -> None:
    """One of three is cancelled while their flush waits for a lock: the others are saved, and it ends after them."""
    await Story(saver, "x").put(n=0)
    async with _held(_url(saver)) as release:
        tasks = [asyncio.create_task(Story(saver, f"t{n}").put(n=n)) for n in range(3)]
        await _until(lambda: saver._core.queue._flusher is not None)
        await _until(lambda: not saver._core.queue._waiting)
        tasks[1].cancel()
        late = asyncio.create_task(Story(saver, "late").put(n=9))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        assert not tasks[1].done()
        await release()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert [await Story(saver, f"t{n}").values() for n in (0, 2)] == [{"n": 0}, {"n": 2}]
    assert await saver.aget_tuple(place("late")) is None


async def test_a_stopped_flusher_answers_everyone(saver: Checkpointer) -> None:
    """The task that saves is cancelled: those it worked for and those that wait are told, later ones are served."""
    async with _held(_url(saver)):
        tasks = [asyncio.create_task(Story(saver, f"t{n}").put(n=n)) for n in range(3)]
        await _until(lambda: saver._core.queue._flusher is not None)
        await asyncio.sleep(0.05)  # until the statement waits; a later moment is no other case
        tasks.append(asyncio.create_task(Story(saver, "waits").put(n=4)))
        await asyncio.sleep(0)
        flusher = saver._core.queue._flusher
        assert flusher is not None
        flusher.cancel()
        outcomes = await asyncio.wait_for(
            asyncio.gather(*tasks, return_exceptions=True), timeout=10
        )

    assert [type(each) for each in outcomes] == [queue.SavingStopped] * 4
    await Story(saver, "later").put(n=1)


async def test_closing_saves_what_waits(database_url: str) -> None:
    """Callers that are under way when the saver is closed are answered after their commit."""
    async with Checkpointer.from_conn_string(database_url) as saver:
        config = await Story(saver, "t").put(n=1)
        tasks = [
            asyncio.create_task(saver.aput_writes(config, [("n", n)], f"task{n}")) for n in range(5)
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    assert count(database_url, "select count(*) from checkpoint_writes") == 5


async def test_a_flush_is_bounded(saver: Checkpointer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large requests go in several flushes, one larger than the bound alone."""
    monkeypatch.setattr(queue, "MOST_BYTES", 1_000_000)

    await asyncio.gather(
        *(Story(saver, f"t{n}").put(text=os.urandom(200_000).hex()) for n in range(10)),
        Story(saver, "large").put(text=os.urandom(1_500_000).hex()),
    )

    assert saver.stats.flushes >= 6
    assert len((await Story(saver, "large").values())["text"]) == 3_000_000


class _held:  # noqa: N801  # reads as a verb: `async with _held(url):`
    """Hold what nobody can save beside."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Any:
        self._connection = await psycopg.AsyncConnection.connect(self._url)
        await self._connection.execute("lock table checkpoints in exclusive mode")
        return self._connection.commit

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


async def _until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0)


def _url(saver: Checkpointer) -> str:
    assert isinstance(saver.conn, AsyncConnectionPool)
    return str(saver.conn.conninfo)


async def test_what_a_crashed_server_lost_is_sent_again(database_url: str) -> None:
    """Commits that were acknowledged before they were on disk are gone with all sessions: the next step is whole."""
    async with AsyncConnectionPool(
        database_url, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}
    ) as pool:
        saver = Checkpointer(pool)
        story = Story(saver)
        items = [f"{n} " + "x" * 100 for n in range(40)]
        await story.put(items=items)
        await _lose_everything(database_url)

        await story.put(items=[*items, "one more"])

        assert await story.values() == {"items": [*items, "one more"]}
        await saver.aclose()


async def test_who_waits_behind_a_lost_connection_is_sent_whole_too(database_url: str) -> None:
    """Rows that were made by what was known before a crash are made anew, also those of a later flush."""
    saver = Checkpointer(
        await psycopg.AsyncConnection.connect(database_url, autocommit=True),
        core=Core.at(database_url),
    )
    stories = [Story(saver, f"t{n}") for n in range(3)]
    said = {each.thread: [f"{each.thread} {n} " + "x" * 100 for n in range(40)] for each in stories}
    for story in stories:
        await story.put(items=said[story.thread])
    await _lose_everything(database_url)
    await saver.conn.close()
    saver.conn = await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, row_factory=dict_row
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "MOST_ROWS", 1)  # a flush for each
        await asyncio.gather(*(story.put(items=said[story.thread][1:]) for story in stories))

    found = [await story.values() for story in stories]
    assert found == [{"items": said[story.thread][1:]} for story in stories]
    await saver.aclose()
    await saver.conn.close()


async def test_a_new_connection_alone_is_no_reason_to_send_again(database_url: str) -> None:
    """While the server has a session that was written on, nothing is lost: a growing pool costs no content."""
    async with AsyncConnectionPool(
        database_url, min_size=2, max_size=2, open=False, kwargs={"autocommit": True}
    ) as pool:
        await pool.wait()
        saver = Checkpointer(pool)
        story = Story(saver)
        items = [f"{n} " + "x" * 100 for n in range(400)]
        await story.put(items=items)
        before = saver.stats.content_bytes
        for number in range(4):  # the pool lends its connections in turn
            await story.put(items=[*items, f"one more {number}"])

        assert len(saver._core.queue._flushing._met) == 2
        assert saver.stats.content_bytes - before < 15_000
        await saver.aclose()


async def _lose_everything(url: str) -> None:
    await _cut(url)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("truncate checkpoint_content, checkpoint_references")
