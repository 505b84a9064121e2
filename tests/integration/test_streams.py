"""The log of streams: what is written, by whom, in which order, how much of it is held, and for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

import interlock
from interlock import Interlock, Run
from interlock.core.driving import Driving
from interlock.core.stream_events import StreamEvent
from interlock.errors import DatabaseUnavailable, LeaseLost, NotFound, StreamCut, UsageError
from interlock.postgres import streams
from interlock.postgres.pool import fetch
from interlock.postgres.streams import PAGE, Recorder, StreamStore
from interlock.server.routes.streams import join_thread
from interlock.server.scope import Scope
from interlock.settings import Settings
from tests.working import rows, until, worker_at

CONFIG = Path(__file__).parents[1] / "server" / "sample" / "langgraph.json"
PATIENCE = 120.0
TOLD = Driving(stream_modes=("updates",))
REGISTERED = """
insert into interlock.workers (worker_id, process, backend, concurrency, lease_until) values ('w', 'p', 1, 1, now())
"""
LISTENERS = "select pid from pg_stat_activity where application_name = 'interlock stream news'"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
async def recorder(il: Interlock, database_url: str) -> Recorder:
    """What writes for a run that nobody works on."""
    await rows(database_url, REGISTERED)
    run = await il.asubmit("echo", {"said": "abc"}, thread_id="t", driving=TOLD, attended=True)
    return Recorder(il.stream_log, run, 1, "w")


async def written(il: Interlock, run_id: str) -> list[Any]:
    """What stands in the log of a run."""
    looked = await StreamStore(il.pool, il._ring).look(run_id, 0)
    return [json.loads(event.data) for event in looked.events]


async def tailed(il: Interlock, run: Run, after: str = "") -> list[StreamEvent]:
    """All that a run tells."""
    async with asyncio.timeout(PATIENCE):
        return [event async for event in il.atail(run.run_id, after)]


# --- reading ---


async def test_a_run_is_told_to_its_end(il: Interlock, database_url: str) -> None:
    """Whoever tails a run gets what was asked for, each attempt's beginning, and the end."""
    async with worker_at(database_url, config=CONFIG):
        run = await il.asubmit("steps", {"count": 2}, driving=TOLD)
        events = await tailed(il, run)

    assert [(event.mode, json.loads(event.data)) for event in events] == [
        ("metadata", {"run_id": run.run_id, "attempt": 1}),
        ("updates", {"step": {"done": [0]}}),
        ("updates", {"step": {"done": [1]}}),
        ("end", None),
    ]


async def test_what_nobody_asked_for_is_not_written(il: Interlock, database_url: str) -> None:
    """A run without stream modes costs the log nothing; its end is told all the same."""
    async with worker_at(database_url, config=CONFIG):
        run = await il.asubmit("steps", {"count": 2})
        events = await tailed(il, run)

    assert [event.event for event in events] == ["end"]
    assert await rows(database_url, "select count(*) from interlock.streams") == [(0,)]


async def test_a_run_that_waits_is_over(il: Interlock, database_url: str) -> None:
    """A run that asks a person tells nothing more; the answer's run has a stream of its own."""
    async with worker_at(database_url, config=CONFIG):
        run = await il.asubmit("asks", {"topic": "tea"}, driving=TOLD)
        events = await tailed(il, run)

    assert list(json.loads(events[1].data)) == ["__interrupt__"]
    assert [event.event for event in events] == ["metadata", "updates", "end"]


async def test_a_breakpoint_ends_a_stream(il: Interlock, database_url: str) -> None:
    """So does a run that stops before a node."""
    driving = replace(TOLD, interrupt_before=("echo",))
    async with worker_at(database_url, config=CONFIG):
        run = await il.asubmit("echo", {"said": "abc"}, driving=driving)
        events = await tailed(il, run)

    assert events[-1].event == "end"


async def test_a_run_that_is_cancelled_in_the_queue(il: Interlock) -> None:
    """Who looks on at a run that never begins is told of its end."""
    run = await il.asubmit("echo", {"said": "abc"}, driving=TOLD)
    looking = asyncio.create_task(tailed(il, run))
    await until(lambda: il.stream_news._waiting)

    await il.acancel(run.run_id)

    assert [event.event for event in await looking] == ["end"]


async def test_in_pages(il: Interlock, recorder: Recorder) -> None:
    """What was told at length is read a page at a time, and none of it is lost or doubled."""
    for number in range(3 * PAGE + 7):
        await recorder.note("custom", str(number).encode())
    await recorder.flush()

    pages = il.atail_pages(recorder.run.run_id)
    async with aclosing(pages), asyncio.timeout(PATIENCE):
        read = [await anext(pages) for _ in range(4)]

    assert [len(page) for page in read] == [PAGE, PAGE, PAGE, 7]
    assert [int(event.data) for page in read for event in page] == list(range(3 * PAGE + 7))


async def test_large_events_in_pages(il: Interlock, recorder: Recorder) -> None:
    """A page holds so many bytes, and one event more at most: nobody holds more for a slow client."""
    for _ in range(10):
        await recorder.note("values", b'"' + b"x" * 200_000 + b'"')
    await recorder.flush()

    pages = il.atail_pages(recorder.run.run_id)
    async with aclosing(pages), asyncio.timeout(PATIENCE):
        read = [len(await anext(pages)) for _ in range(4)]

    assert read == [3, 3, 3, 1]


async def test_one_connection_listens_for_all(il: Interlock, database_url: str) -> None:
    """However many look on in a process, one connection listens."""
    run = await il.asubmit("echo", {"said": "abc"}, driving=TOLD)
    looking = [asyncio.create_task(tailed(il, run)) for _ in range(20)]
    await until(lambda: rows(database_url, LISTENERS))

    assert len(await rows(database_url, LISTENERS)) == 1

    await il.acancel(run.run_id)
    await asyncio.gather(*looking)


async def test_a_listening_connection_that_is_lost(
    il: Interlock, recorder: Recorder, database_url: str
) -> None:
    """It is made anew, and what was told meanwhile is read at once."""
    pages = il.atail_pages(recorder.run.run_id)
    async with aclosing(pages), asyncio.timeout(10.0):  # sooner than it looks unasked
        next_one = asyncio.create_task(anext(pages))
        await until(lambda: rows(database_url, LISTENERS))
        await rows(database_url, f"select pg_terminate_backend(pid) from ({LISTENERS}) l")
        await recorder.note("custom", b"1")

        assert [event.data for event in await next_one] == [b"1"]


async def test_a_runtime_that_is_to_stop_cuts_streams(il: Interlock) -> None:
    """Who looks on is told to go on elsewhere."""
    run = await il.asubmit("echo", {"said": "abc"}, driving=TOLD)
    looking = asyncio.create_task(tailed(il, run))
    await until(lambda: il.stream_news._waiting)

    il.stream_news.stop()

    with pytest.raises(StreamCut):
        await looking


async def test_a_deleted_run_ends(il: Interlock, recorder: Recorder, database_url: str) -> None:
    """What a run told goes with it, and whoever looks on at it is told of its end."""
    await recorder.note("custom", b"1")
    await recorder.flush()
    pages = il.atail_pages(recorder.run.run_id)
    async with aclosing(pages), asyncio.timeout(PATIENCE):
        await anext(pages)
        await rows(database_url, "delete from interlock.runs")
        il.stream_news._tell_all()

        assert [event.event for event in await anext(pages)] == ["end"]
    assert await rows(database_url, "select count(*) from interlock.stream_events") == [(0,)]


async def test_what_is_told_before_anybody_reads(il: Interlock, recorder: Recorder) -> None:
    """A client that has the head of a thread's stream misses nothing, however late its first event is asked for."""
    place = SimpleNamespace(reader=il, il=il, house=SimpleNamespace(il=il))
    response = await join_thread(cast("Scope", place), "t", ["run_modes"], None, "")
    await recorder.note("custom", b"1")
    await recorder.flush()

    async with aclosing(response._pages) as pages, asyncio.timeout(PATIENCE):
        assert [each.event for each in await anext(pages)] == ["custom"]


async def test_what_is_not_there(il: Interlock) -> None:
    """There is no such run, no such thread, no such place."""
    with pytest.raises(NotFound):
        await anext(aiter(il.atail("nobody")))
    with pytest.raises(NotFound):
        await anext(aiter(il.atail_thread("nobody")))
    with pytest.raises(UsageError):
        await anext(aiter(il.atail("nobody", "yesterday")))


def test_synchronously(database_url: str) -> None:
    """Code without a loop reads the same."""
    with interlock.open(database_url, config=CONFIG) as il:
        run = il.submit("echo", {"said": "abc"}, driving=TOLD)
        il.cancel(run.run_id)

        assert [event.event for event in il.tail(run.run_id)] == ["end"]


# --- writing ---


async def test_order(il: Interlock, recorder: Recorder) -> None:
    """Events stand in the log as they were noted, whatever came between."""
    for number in range(50):
        await recorder.note("custom", str(number).encode())
        if number % 7 == 0:
            await recorder.flush()
    await recorder.flush()

    assert await written(il, recorder.run.run_id) == list(range(50))


async def test_a_removed_worker_writes_nothing(
    il: Interlock, recorder: Recorder, database_url: str
) -> None:
    """Whose worker was taken for dead is told so, and nothing of it is in the log."""
    await recorder.note("custom", b"1")
    await recorder.flush()
    await rows(database_url, "delete from interlock.workers")
    await recorder.note("custom", b"2")

    with pytest.raises(LeaseLost):
        await recorder.flush()
    with pytest.raises(LeaseLost):
        await recorder.note("custom", b"3")
    assert await written(il, recorder.run.run_id) == [1]


async def test_an_earlier_attempt_writes_nothing(il: Interlock, recorder: Recorder) -> None:
    """What an attempt still had to say when another one spoke is not heard any more."""
    later = Recorder(il.stream_log, recorder.run, 2, "w")
    await later.note("custom", b"2")
    await later.flush()
    await recorder.note("custom", b"1")
    await recorder.flush()

    assert await written(il, recorder.run.run_id) == [2]


async def test_two_attempts_at_once(il: Interlock, recorder: Recorder) -> None:
    """Events of two attempts at one run that come together do not meet in one statement."""
    later = Recorder(il.stream_log, recorder.run, 2, "w")
    await recorder.note("custom", b"1")
    await later.note("custom", b"2")
    await later.flush()

    assert await written(il, recorder.run.run_id) == [1, 2]


async def test_an_answer_that_was_lost(
    il: Interlock, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the connection broke as events were written, they are written again, and stand there once."""
    broke: list[str] = []

    async def breaks(connection: Any, statement: Any, values: Any) -> Any:
        found = await fetch(connection, statement, values)
        if not broke:
            broke.append("once")
            await connection.close()
            raise DatabaseUnavailable("The connection broke.")
        return found

    monkeypatch.setattr("interlock.postgres.streams.fetch", breaks)
    for number in range(5):
        await recorder.note("custom", str(number).encode())
    await recorder.flush()
    monkeypatch.undo()

    assert broke
    assert await written(il, recorder.run.run_id) == list(range(5))


async def test_a_database_that_is_slow(
    recorder: Recorder, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many bytes wait for it at most; then the run waits, too, and goes on when they are written."""
    monkeypatch.setattr(streams, "BUFFER", 10_000)
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("lock table interlock.stream_events in exclusive mode")
        noting = asyncio.create_task(_noted(recorder, 20, b'"' + b"x" * 1000 + b'"'))
        await until(lambda: recorder.log._size >= 10_000)
        await asyncio.sleep(0.1)  # long enough for the rest, if it did not wait

        assert not noting.done()
        assert recorder.log._size < 12_000
    await asyncio.wait_for(noting, PATIENCE)
    await recorder.flush()


async def test_a_run_ends_when_all_can_be_read(il: Interlock, database_url: str) -> None:
    """Neither its end nor the checkpoint with it is written before what it told: who finds it ended finds that too."""
    step = "select 1 from checkpoints where thread_id = 't' and metadata ->> 'step' = '%s'"
    async with worker_at(database_url, config=CONFIG):
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("lock table interlock.stream_events in exclusive mode")
            run = await il.asubmit("echo", {"said": "abc"}, thread_id="t", driving=TOLD)
            await until(lambda: rows(database_url, step % 0))
            await asyncio.sleep(0.3)  # long enough to end, if it did not wait

            assert (await il.arun("t")).status == "running"
            assert await rows(database_url, step % 1) == []
        await il.await_run(run.run_id, PATIENCE)

        assert len(await written(il, run.run_id)) == 2


async def test_after_a_clock_that_went_back(
    il: Interlock, recorder: Recorder, database_url: str
) -> None:
    """Places go on behind the last one, whatever the clock says; also behind an earlier run of the thread."""
    await recorder.note("custom", b"1")
    await recorder.flush()
    future = 9_000_000_000_000_000
    await rows(database_url, f"update interlock.streams set last_id = {future}")
    await recorder.note("custom", b"2")
    await recorder.flush()
    other = replace(recorder.run, run_id=await _another_run(il))
    second = Recorder(il.stream_log, other, 1, "w")
    await second.note("custom", b"3")
    await second.flush()

    places = await rows(database_url, "select id from interlock.stream_events order by id")
    assert [place for (place,) in places][1:] == [future + 1, future + 2]


async def test_encrypted(database_url: str) -> None:
    """Where values are encrypted, what runs tell of them is, too."""
    settings = Settings(encryption_key=(b"k" * 32,))
    async with (
        interlock.aopen(database_url, config=CONFIG, settings=settings) as il,
        asyncio.timeout(PATIENCE),
    ):
        await rows(database_url, REGISTERED)
        run = await il.asubmit("echo", {"said": "abc"}, attended=True, driving=TOLD)
        recorder = Recorder(il.stream_log, run, 1, "w")
        await recorder.note("values", b'{"said":"abc"}')
        await recorder.flush()
        kept = await rows(database_url, "select cipher, data from interlock.stream_events")

        assert await written(il, run.run_id) == [{"said": "abc"}]
    assert kept[0][0].startswith("aes-")
    assert b"abc" not in kept[0][1]


async def test_what_is_old_is_forgotten(il: Interlock, database_url: str) -> None:
    """What a run told is removed so many hours after its end; what has not ended is kept."""
    async with worker_at(database_url, config=CONFIG):
        run = await il.asubmit("echo", {"said": "abc"}, driving=TOLD)
        await tailed(il, run)
    old = "clock_timestamp() - interval '23 hours'"
    await rows(database_url, f"update interlock.streams set begun_at = {old}")
    await rows(database_url, f"update interlock.runs set finished_at = {old}")
    kept = await il.aforget_streams()
    older = "clock_timestamp() - interval '25 hours'"
    await rows(database_url, f"update interlock.streams set begun_at = {older}")
    kept_too = await il.aforget_streams()
    await rows(database_url, f"update interlock.runs set finished_at = {older}")

    assert (kept, kept_too, await il.aforget_streams()) == (0, 0, 1)
    assert await rows(database_url, "select count(*) from interlock.stream_events") == [(0,)]
    assert [event.event for event in await tailed(il, run)] == ["end"]


async def _noted(recorder: Recorder, times: int, data: bytes) -> None:
    for _ in range(times):
        await recorder.note("custom", data)


async def _another_run(il: Interlock) -> str:
    options = interlock.Options(multitask_strategy="enqueue")
    run = await il.asubmit("echo", {"said": "abc"}, thread_id="t", driving=TOLD, options=options)
    return str(run.run_id)
