"""Runs end in the commit of their last checkpoint: all of it or nothing, once, and otherwise in the ordinary way."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

import interlock
from interlock import Interlock, execution, settling
from interlock.core.queueing import Options
from interlock.core.walltime import Charge
from interlock.postgres.checkpointer.ending import End
from interlock.postgres.checkpoints import ENDING, Saver, saver_for
from interlock.postgres.finishing import end_of
from tests.chaos.proxy import _connected
from tests.savers import place
from tests.working import CONFIG, ended, lines, rows, steps, until, worker_at

READY = b"Z\x00\x00\x00\x05I"
"""How the server says, outside of a transaction, that it is done with a statement (ReadyForQuery)."""

CHARGED = b"\x00\x00\x00\x05graph"
"""What only an end is given, which is charged to its graph: an element of an array in binary form."""

SUCCEEDED = "select count(*) from interlock.run_events where kind = 'succeeded'"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


class Swallowing:
    """A way to the database on which one answer is lost: that to the first statement that is given some bytes."""

    def __init__(self, url: str, what: bytes) -> None:
        self._url = url
        self._what = what
        self.lost = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen for the length of a block, and say where."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        parts = urlsplit(self._url)
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await _connected(self._url)
        asked = asyncio.Event()
        passing = [self._there(reader, to_server, asked), self._back(from_server, writer, asked)]
        tasks = [asyncio.ensure_future(each) for each in passing]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.transport.abort()
        to_server.transport.abort()

    async def _there(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while said := await reader.read(1 << 16):
            if self._what in said and not self.lost:
                asked.set()
            writer.write(said)

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while said := await reader.read(1 << 16):
            if asked.is_set() and said.endswith(READY) and not self.lost:
                self.lost = True  # it is committed
                return
            writer.write(said)


@pytest.mark.parametrize("way", ["attended", "worker"])
async def test_an_end_whose_answer_was_lost_is_recognized(
    database_url: str, tmp_path: Path, way: str
) -> None:
    """The connection ends after the commit, before its answer: asked again the run has ended, and is charged once."""
    way_there = Swallowing(database_url, CHARGED)
    async with way_there.listening() as cut_once:
        if way == "attended":
            async with interlock.aopen(cut_once, config=CONFIG) as il:
                run = await il.ainvoke("working", steps(tmp_path), thread_id="t")
                retries = il._core.stats.retries
        else:
            async with worker_at(cut_once) as working:
                submitted = await working.il.asubmit("working", steps(tmp_path), thread_id="t")
                run = await working.il.await_run(submitted.run_id, timeout=30)
                retries = working.il._core.stats.retries

    async with interlock.aopen(database_url, config=CONFIG) as il:
        account = await il.abudget("thread", "t")
        history = await il.ahistory("t")
    assert way_there.lost
    assert (run.status, run.output, retries) == ("succeeded", {"done": 2}, 1)
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "end 2"]
    assert account.spent.steps == 2
    assert history[-1].values["done"] == 2
    assert await rows(database_url, SUCCEEDED) == [(1,)]


async def test_what_cannot_be_charged_there_does_not_keep_others(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three runs that end together one is refused: its checkpoint is saved, it ends by itself, and is charged."""

    def misnamed(run_id: str, attempt: int, due: Charge | None) -> End:
        end = end_of(run_id, attempt, due)
        wrong = any(name == "b" for _, name in end.budgets)
        return End(run=run_id, attempt=attempt, budgets=[("no kind", "b")]) if wrong else end

    monkeypatch.setattr(settling, "end_of", misnamed)
    for name in "abc":
        (tmp_path / name).mkdir()
    runs = await asyncio.gather(
        *(il.ainvoke("working", steps(tmp_path / name), thread_id=name) for name in "abc")
    )

    assert [run.status for run in runs] == ["succeeded"] * 3
    for name in "abc":
        assert (await il.abudget("thread", name)).spent.steps == 2
        assert (await il.ahistory(name))[-1].values["done"] == 2
    assert await rows(database_url, SUCCEEDED) == [(3,)]


async def test_what_was_ordered_meanwhile_is_obeyed(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is to be undone, as is known only when it ends, is saved, and undone by the ordinary way."""
    let_go = Saver.let_go

    async def ordered_before(self: Saver, thread_id: str, end: End | None = None) -> bool:
        ordering = "insert into interlock.stop_orders (run_id, kind) select run_id, 'rollback' from interlock.runs"
        await rows(database_url, ordering)
        return await let_go(self, thread_id, end)

    monkeypatch.setattr(Saver, "let_go", ordered_before)
    run = await il.ainvoke("working", steps(tmp_path), thread_id="t")

    assert run.status == "cancelled"
    assert await rows(database_url, "select status from interlock.runs") == [("cancelled",)]


async def test_what_was_to_stop_a_run_later_is_called_off_with_its_end(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its timer, and no other's, is cancelled by the statement that ends it."""
    (tmp_path / "hold-2").touch()
    running = asyncio.create_task(il.ainvoke("working", steps(tmp_path), thread_id="t"))
    await until(lambda: "begin 2" in lines(tmp_path))
    await rows(
        database_url,
        "insert into interlock.timers (kind, due_at, run_id, thread_id) "
        "select 'deadline', now() + interval '1 day', run_id, thread_id from interlock.runs",
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    later = await il.asubmit(
        "working", {"folder": str(tmp_path)}, options=Options(deadline=tomorrow)
    )
    (tmp_path / "hold-2").unlink()
    run = await running

    found = await rows(database_url, "select run_id, state from interlock.timers order by id")
    assert found == [(run.run_id, "cancelled"), (later.run_id, "set")]


async def test_a_thread_that_another_holds_is_not_waited_for(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """While somebody holds a thread's row its run waits for that; the checkpoints of others do not."""
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "hold-2").touch()
    held = asyncio.create_task(il.ainvoke("working", steps(tmp_path / "a"), thread_id="a"))
    await until(lambda: "begin 2" in lines(tmp_path / "a"))
    async with il.pool.connection() as connection, connection.transaction():
        await connection.execute("select from interlock.threads where thread_id = 'a' for update")
        (tmp_path / "a" / "hold-2").unlink()
        beside = asyncio.create_task(il.ainvoke("working", steps(tmp_path / "b"), thread_id="b"))
        await asyncio.wait([beside], timeout=10)
        saved = await rows(
            database_url,
            "select (max(metadata ->> 'step'))::int from checkpoints where thread_id = 'a'",
        )
        ended_first = beside.done() and not held.done()

    assert ended_first
    assert (await beside).status == (await held).status == "succeeded"
    assert saved == [(2,)]


async def test_whoever_sees_states_finds_the_last_one(il: Interlock, tmp_path: Path) -> None:
    """When a stream tells of the last state, its checkpoint is there."""
    seen = []
    async for part in il.astream("working", steps(tmp_path), thread_id="t", stream_mode=["values"]):
        if part["type"] == "values":
            seen.append((part["data"]["done"], (await il.ahistory("t"))[-1].values["done"]))

    assert seen[-1] == (2, 2)


async def test_what_breaks_behind_the_last_checkpoint_leaves_it_there(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails after its last step: that is saved, and a resume has nothing left to run."""

    async def breaks(self: execution.Execution, ending: object) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as broken:
        broken.setattr(execution.Execution, "_end_with_its_checkpoint", breaks)
        with pytest.raises(RuntimeError, match="out of luck"):
            await il.ainvoke("working", steps(tmp_path), thread_id="t")
    failed = await il.arun("t")
    run = await il.aresume("t")

    assert (failed.status, run.status) == ("failed", "succeeded")
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "end 2"]


class _Sum(TypedDict, total=False):
    number: Annotated[int, operator.add]


def _one(state: _Sum) -> _Sum:
    return {"number": 1}


def _two(state: _Sum) -> Sequence[Send]:
    return [Send("one", {}), Send("one", {})]


def _straight() -> Any:  # a builder
    builder = StateGraph(_Sum)
    builder.add_node("first", _one)
    builder.add_node("one", _one)
    builder.add_edge(START, "first")
    builder.add_edge("first", "one")
    builder.add_edge("one", END)
    return builder


def _sending() -> Any:  # a builder
    builder = StateGraph(_Sum)
    builder.add_node("first", _one)
    builder.add_node("one", _one)
    builder.add_edge(START, "first")
    builder.add_conditional_edges("first", _two, ["one"])
    return builder


def _deferring() -> Any:  # a builder
    builder = StateGraph(_Sum)
    builder.add_node("first", _one)
    builder.add_node("one", _one)
    builder.add_node("last", _one, defer=True)
    builder.add_edge(START, "first")
    builder.add_edge(START, "one")
    builder.add_edge("one", "last")
    builder.add_edge("first", "last")
    return builder


def _alone() -> Any:  # a builder
    builder = StateGraph(_Sum)
    builder.add_node("one", _one)
    builder.add_edge(START, "one")
    return builder


@pytest.mark.parametrize(
    ("made", "steps", "total"),
    [(_straight, 3, 2), (_sending, 3, 3), (_deferring, 3, 3), (_alone, 2, 1)],
    ids=["straight", "sending", "deferring", "alone"],
)
async def test_the_last_checkpoint_alone_is_kept_back(
    il: Interlock, made: Any, steps: int, total: int
) -> None:
    """Whatever a graph looks like: before it is let go all others are there, and then it is, with what was written."""

    async def allowed(thread_id: str) -> None:
        """Let everything be written."""

    bare = made().compile()
    saver = saver_for(bare, il.pool, allowed)
    graph = bare.copy({"checkpointer": saver})
    config: Any = {"configurable": {"thread_id": "t", ENDING: True}}

    output = await graph.ainvoke({"number": 0}, config, durability="sync")
    before = [each.metadata["step"] async for each in saver.alist(place("t"))]
    ended = await saver.let_go("t")
    states = [each async for each in graph.aget_state_history(place("t"))]

    assert output == {"number": total}
    assert before == list(range(steps - 2, -2, -1))
    assert not ended
    assert [each.metadata["step"] for each in states] == list(range(steps - 1, -2, -1))
    assert states[0].next == ()
    assert all(task.result is not None for each in states[1:] for task in each.tasks if each.next)
    await saver.aclose()


async def test_closing_saves_what_is_kept_back(il: Interlock) -> None:
    """A saver that is closed loses nothing that it was given."""

    async def allowed(thread_id: str) -> None:
        """Let everything be written."""

    bare = _straight().compile()
    saver = saver_for(bare, il.pool, allowed)
    config: Any = {"configurable": {"thread_id": "t", ENDING: True}}
    await bare.copy({"checkpointer": saver}).ainvoke({"number": 0}, config, durability="sync")
    assert saver.holds("t")
    await saver.aclose()

    found = await saver.aget_tuple(place("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"number": 2}


async def test_the_end_of_a_worker_that_was_removed_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    """Neither its last checkpoint is saved nor does its run end; the next worker does that."""
    (tmp_path / "hold-2").touch()
    async with interlock.aopen(database_url, config=CONFIG) as il, worker_at(database_url):
        await il.asubmit("working", steps(tmp_path), thread_id="t")
        await until(lambda: "begin 2" in lines(tmp_path))
        await rows(
            database_url,
            "select t.* from (select worker_id from interlock.workers for update) w "
            "cross join lateral interlock.take_over(w.worker_id, true, 3) t",
        )
        (tmp_path / "hold-2").unlink()
        run = await ended(il, "t")

    assert run.output == {"done": 2}
    assert await rows(database_url, SUCCEEDED) == [(1,)]
