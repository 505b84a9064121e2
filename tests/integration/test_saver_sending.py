"""How a flush is sent: by which statement, and on connections of every kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from interlock.postgres import Checkpointer
from interlock.postgres.checkpointer import queue
from interlock.postgres.checkpointer.sending import SQL, Packed
from tests.savers import Story, talking


@pytest.fixture
async def saver(database_url: str) -> AsyncIterator[Checkpointer]:
    async with Checkpointer.from_conn_string(database_url) as opened:
        yield opened


@contextmanager
def sent(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note which flushes are sent with parameters that were packed here, by their names."""
    names = {text: name for name, text in SQL.items()}
    noted: list[str] = []
    run = Packed.run

    async def noting(self: Packed, *given: Any) -> Any:
        noted.append(names[self.text])
        return await run(self, *given)

    with patch.context() as within:
        within.setattr(Packed, "run", noting)
        yield noted


async def test_a_step_without_content_is_saved_by_the_plain_statement(
    saver: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small values go that way; a list, and what replaces what was written before, go through the function."""
    story = Story(saver)
    with sent(monkeypatch) as noted:
        config = await story.put(small=1)
        await saver.aput_writes(config, [("small", {"n": 2})], "task")
        await saver.aput_writes(config, [("__error__", "broken")], "task")
        await story.put(long=[{"n": n, "text": "x" * 100} for n in range(4)])

    assert noted == [
        "plain_flush",
        "plain_flush",
        "flush",
        "flush",
        "flush",
    ]  # the last is repeated
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [
        ("task", "__error__", "broken"),
        ("task", "small", {"n": 2}),
    ]


async def test_a_plain_step_that_is_sent_twice_changes_nothing_but_the_checkpoint(
    saver: Checkpointer,
) -> None:
    """What a task wrote first and a value's first bytes stay, as with the function and LangGraph's saver."""
    story = Story(saver)
    config = await story.put(seen={"n": 1})
    await saver.aput_writes(config, [("seen", {"n": 2})], "task")
    found = await saver.aget_tuple(config)
    assert found is not None

    await saver.aput_writes(config, [("seen", {"n": 3})], "task")
    versions = dict(found.checkpoint["channel_versions"])
    other: Any = {**found.checkpoint, "channel_values": {"seen": {"n": 4}}}  # a checkpoint
    await saver.aput(story.config, other, {"source": "fork", "step": 9}, versions)

    again = await saver.aget_tuple(config)
    assert again is not None
    assert again.pending_writes == [("task", "seen", {"n": 2})]
    assert again.checkpoint["channel_values"] == {"seen": {"n": 1}}
    assert again.metadata["source"] == "fork"


async def test_what_was_prepared_and_is_discarded_is_prepared_again(database_url: str) -> None:
    """A connection whose prepared statements were deallocated, as poolers do, goes on saving."""
    async with await _connected(database_url) as connection:
        saver = Checkpointer(connection)
        await saver.setup()
        story = Story(saver)
        await story.put(n=1)
        await connection.execute("deallocate all")
        await story.put(n=2)

        assert await story.values() == {"n": 2}
        assert saver.stats.retries == 0


@pytest.mark.parametrize("kind", ["unprepared", "committed by hand", "in a pipeline"])
async def test_the_driver_sends_where_the_connection_is_used_otherwise(
    database_url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Without prepared statements, with commits of our own and in a pipeline each step is saved all the same."""
    settings: dict[str, Any] = {
        "autocommit": kind != "committed by hand",
        "prepare_threshold": None if kind == "unprepared" else 0,
    }
    async with await _connected(database_url) as first:
        await Checkpointer(first).setup()
    async with await _connected(database_url, **settings) as connection:
        story = Story(Checkpointer(connection))
        with sent(monkeypatch) as noted:
            if kind == "in a pipeline":
                async with connection.pipeline():
                    await story.put(n=1)
            else:
                await story.put(n=1)
    async with Checkpointer.from_conn_string(database_url) as other:
        found = await Story(other, story.thread).values()

    assert (noted, found) == ([], {"n": 1})


async def test_a_thread_that_saves_alone_waits_for_nobody(
    saver: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else keeps the event loop at work does not keep its commits back, until another thread saves beside it."""
    monkeypatch.setattr(queue, "COMPANY", 30)
    story = Story(saver)
    for n in range(queue.ALONE):
        await story.put(n=n)
    computing = asyncio.create_task(_computing())
    await story.put(n=-1)
    assert not computing.done()
    await asyncio.gather(story.put(n=-2), Story(saver, "other").put(n=0))
    gathered = asyncio.create_task(story.put(n=-3))
    await asyncio.wait([computing, gathered], return_when=asyncio.FIRST_COMPLETED)

    assert computing.done()
    await gathered


async def test_a_table_that_is_missing_is_told_to_all_of_a_flush(database_url: str) -> None:
    """Where nothing was set up, each caller is told what is missing, and nothing is tried one by one."""
    async with await _connected(database_url, options="-c search_path=nowhere") as connection:
        saver = Checkpointer(connection)
        told = await asyncio.gather(
            *(Story(saver).put(n=n) for n in range(4)), return_exceptions=True
        )

    assert [type(each) for each in told] == [psycopg.errors.UndefinedTable] * 4
    assert saver.stats.round_trips == 2  # it says its name first


async def test_a_graph_runs_by_plain_statements_alone(
    saver: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short conversation needs nothing else, its writes and checkpoints included."""
    with sent(monkeypatch) as noted:
        await talking(saver, 2).ainvoke(
            {"said": [], "turns": 0}, {"configurable": {"thread_id": "t"}}, durability="sync"
        )

    assert set(noted) == {"plain_flush"}


async def _computing() -> None:
    """Keep the event loop at work for a while, longer in each pass than one without work takes."""
    for _ in range(400):
        until = time.perf_counter() + 4 * queue.IDLE
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def _connected(url: str, **given: Any) -> psycopg.AsyncConnection[Any]:  # of rows by name
    settings: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, **given}
    return await psycopg.AsyncConnection.connect(url, row_factory=dict_row, **settings)
