"""Runs that are worked on where they are asked for: accepted, held and begun in one commit, or not at all."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Interlock
from interlock.errors import DatabaseUnavailable, ThreadBusy
from interlock.postgres.accepting import Asked
from interlock.postgres.beginning import Beginner
from interlock.postgres.locks import ThreadLocks
from tests.cutting import Loses, cutting
from tests.working import CONFIG, lines, rows, steps, until

STANDS = "select status, attempts from interlock.runs"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def locked(url: str) -> int:
    """How many threads are held, by whomever; each session that holds any holds its own name, too."""
    found = await rows(
        url, "select count(*), count(distinct pid) from pg_locks where locktype = 'advisory'"
    )
    threads, sessions = found[0]
    return int(threads) - int(sessions)


async def test_runs_that_are_begun_at_once_are_begun_in_one_commit(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Eight that are asked for at once; their threads are let go of."""
    folders = [tmp_path / str(number) for number in range(8)]
    for folder in folders:
        folder.mkdir()
    runs = await asyncio.gather(
        *(il.ainvoke("working", steps(folder), thread_id=folder.name) for folder in folders)
    )

    assert [(run.status, run.attempts) for run in runs] == [("succeeded", 1)] * 8
    assert [lines(folder)[-1] for folder in folders] == ["end 2"] * 8
    together = "select count(distinct created_at) from interlock.threads"
    assert await rows(database_url, together) == [(1,)]
    assert await locked(database_url) == 0


async def test_of_two_on_one_thread_one_is_begun(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The other is refused, and nothing of it is stored."""
    came = await asyncio.gather(
        *(il.ainvoke("working", steps(tmp_path), thread_id="t") for _ in range(2)),
        return_exceptions=True,
    )

    assert sorted(type(each).__name__ for each in came) == ["Run", "ThreadBusy"]
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "end 2"]
    assert await rows(database_url, STANDS) == [("succeeded", 1)]


async def test_a_thread_that_is_held_keeps_its_next_run_from_being_begun(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is accepted, and stands in the line; those that came with it go on."""
    monkeypatch.setattr("interlock.postgres.locks.LETTING_GO_SECONDS", 0.1)
    holder = ThreadLocks(database_url)
    folders = {name: tmp_path / name for name in ("held", "free")}
    for folder in folders.values():
        folder.mkdir()
    async with holder.hold("held"):
        came = await asyncio.gather(
            *(
                il.ainvoke("working", steps(folder), thread_id=name)
                for name, folder in folders.items()
            ),
            return_exceptions=True,
        )
    await holder.close()

    assert isinstance(came[0], ThreadBusy)
    assert await rows(database_url, f"{STANDS} order by thread_id") == [
        ("succeeded", 1),
        ("queued", 0),
    ]
    assert await locked(database_url) == 0


@pytest.mark.parametrize(("loses", "attempts"), [("answer", 2), ("question", 1)])
async def test_a_connection_that_breaks_begins_with_no_run_twice(
    database_url: str, tmp_path: Path, loses: Loses, attempts: int
) -> None:
    """It breaks before the database is asked, or when it has committed and cannot say so: one run, which ends."""
    async with (
        cutting(database_url, b"to be cut", loses) as url,
        interlock.aopen(url, config=CONFIG) as il,
    ):
        run = await il.ainvoke("working", steps(tmp_path, 1), thread_id="to be cut")

    assert (run.status, run.output, run.attempts) == ("succeeded", {"done": 1}, attempts)
    assert lines(tmp_path) == ["begin 1", "end 1"]
    assert await rows(database_url, STANDS) == [("succeeded", attempts)]


async def test_a_run_outlives_the_process_that_began_it(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It is killed right after the commit: the run has lost its process, and a resume goes on with it."""
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES, database_url, str(CONFIG), str(tmp_path)
    )
    assert await died.wait() == -signal.SIGKILL
    left = await il.arun("t")
    run = await il.aresume("t")

    assert (left.status, left.alive, left.attempts) == ("running", False, 1)
    assert (run.run_id, run.status, run.attempts) == (left.run_id, "succeeded", 2)
    assert lines(tmp_path) == ["begin 1", "end 1"]


DIES = """
import asyncio, os, signal, sys
import interlock

async def main(url, config, folder):
    async with interlock.aopen(url, config=config) as il:
        il.prepare = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        await il.ainvoke("working", {"folder": folder, "steps": 1, "done": 0}, thread_id="t")

asyncio.run(main(*sys.argv[1:]))
"""


async def test_who_does_not_wait_for_the_beginning_leaves_a_run_to_go_on_with(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while the statement is under way: the run is handed back, and its thread is free."""
    asked, go_on = asyncio.Event(), asyncio.Event()
    taken_up = Beginner._taken_up

    async def slow(beginner: Beginner, some: Sequence[Asked]) -> Any:
        asked.set()
        await go_on.wait()
        return await taken_up(beginner, some)

    monkeypatch.setattr(Beginner, "_taken_up", slow)
    invoked = asyncio.create_task(il.ainvoke("working", steps(tmp_path), thread_id="t"))
    await asked.wait()
    invoked.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await invoked

    assert await rows(database_url, STANDS) == [("queued", 1)]
    assert await locked(database_url) == 0
    run = await il.aresume("t")

    assert (run.status, run.output, run.attempts) == ("succeeded", {"done": 2}, 2)


async def test_a_run_that_cannot_be_prepared_is_handed_back(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked of the database before it is worked on fails: its thread is free, and a resume goes on with it."""

    async def unavailable(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("It is away.")

    with monkeypatch.context() as patch:
        patch.setattr(il, "prepare", unavailable)
        with pytest.raises(DatabaseUnavailable):
            await il.ainvoke("working", steps(tmp_path), thread_id="t")

    assert await rows(database_url, STANDS) == [("queued", 1)]
    assert await locked(database_url) == 0
    assert (await il.aresume("t")).status == "succeeded"


async def test_a_statement_that_is_refused_holds_nothing(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The run is accepted and begun in the ordinary way, or refused there; the lock that it had taken is let go of."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(REFUSES)
    run = await il.ainvoke("working", steps(tmp_path), thread_id="t")

    assert (run.status, run.attempts) == ("succeeded", 1)
    await until(lambda: not il.locks.holding())
    assert await locked(database_url) == 0


REFUSES = """
    create function pg_temp_refuse() returns trigger language plpgsql as $$
    begin
        if pg_catalog.current_query() like '%take_up%' then
            raise exception 'not so';
        end if;
        return new;
    end
    $$;
    create trigger refused before update on interlock.runs for each row execute function pg_temp_refuse();
"""
