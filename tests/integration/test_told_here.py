"""Runs that end in the process that waits for them: their end and their output are told, and not looked up."""

from __future__ import annotations

import gc
from time import monotonic
from typing import LiteralString

import pytest

import interlock
from interlock import Interlock
from interlock.core.context import Around
from interlock.core.metering import Meter
from interlock.core.stopping import Stoppable
from interlock.errors import NotFound
from interlock.execution import Execution
from interlock.postgres.ended import POLL_SECONDS, Endings
from tests.questions import sql
from tests.submitting import CONFIG, PATIENCE, until, working

NOW = {"name": "a", "how": ""}
SAID = ["a first", "a second", "a last"]


async def ended(il: Interlock) -> interlock.Run:
    """Submit a run, and wait for it."""
    run = await il.asubmit("steps", NOW)
    return await il.await_run(run.run_id, PATIENCE)


async def test_who_waits_where_a_run_ends_is_told_of_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its output, and without a look at the database."""
    async with interlock.aopen(database_url, config=CONFIG) as il, working(il):
        await ended(il)  # from now on it listens
        run = await il.asubmit("steps", NOW)
        monkeypatch.setattr(Endings, "stands", _looked)

        told = await il.await_run(run.run_id, PATIENCE)

        monkeypatch.undo()
        found = await il.arun(run.thread_id)
    assert (told.status, told.output["said"], told.attempts) == ("succeeded", SAID, 1)
    assert (found.status, found.output) == ("succeeded", told.output)
    assert found.created_at == told.created_at


async def test_it_is_told_once_that_is_committed(database_url: str) -> None:
    """Who is told finds it ended, each time."""
    async with interlock.aopen(database_url, config=CONFIG) as il, working(il):
        for _ in range(10):
            run = await ended(il)
            row = await il.store.stored(run.run_id)
            assert row.run.status == "succeeded"


async def test_nothing_of_a_run_is_left_for_the_garbage_collector(database_url: str) -> None:
    """What drove it refers to nothing that refers back to it, and goes away by itself."""
    async with interlock.aopen(database_url, config=CONFIG) as il:
        gc.collect()
        gc.disable()
        try:
            before = {
                id(each): each for each in _driving()
            }  # other tests' that something still holds
            async with working(il):
                await ended(il)
            left = [each for each in _driving() if id(each) not in before]
        finally:
            gc.enable()
    assert left == []


def _driving() -> list[object]:
    """Return all that drives a run, of which the collector knows."""
    kinds = (Execution, Stoppable, Meter, Around)
    return [each for each in gc.get_objects() if isinstance(each, kinds)]


async def test_what_fails_is_looked_up(database_url: str) -> None:
    """What came of it stands in its row alone."""
    async with interlock.aopen(database_url, config=CONFIG) as il, working(il):
        await ended(il)
        run = await il.asubmit("steps", {"name": "a", "how": "person"})

        asks = await il.await_run(run.run_id, PATIENCE)

    assert (asks.status, len(asks.interrupts)) == ("waiting", 1)


async def test_a_run_of_another_process_is_told_too(database_url: str) -> None:
    """Its worker has a runtime of its own: its end is heard, and then looked up."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as il,
        interlock.aopen(database_url, config=CONFIG) as other,
        working(other),
    ):
        await ended(il)

        run = await ended(il)

    assert (run.status, run.output["said"]) == ("succeeded", SAID)


async def test_it_listens_again_when_its_connection_was_cut(database_url: str) -> None:
    """What it listens on is cut: runs that begin and end in another process are told of long before it looks."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as il,
        interlock.aopen(database_url, config=CONFIG) as other,
        working(other),
    ):
        await ended(il)
        await until(lambda: _listening(database_url, 2))
        await sql(database_url, CUT)
        await until(lambda: _listening(database_url, 1))  # for the queue: nobody waits for an end

        begun = monotonic()
        for _ in range(8):
            assert (await ended(il)).status == "succeeded"

    assert monotonic() - begun < 8 * POLL_SECONDS / 2


CUT: LiteralString = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and query in ('listen interlock_ended', 'listen interlock_queue')
"""


async def _listening(url: str, number: int) -> bool:
    """Say whether so many listen, to ends and to the queue."""
    [row] = await sql(
        url,
        "select count(*) as number from pg_stat_activity where datname = current_database()"
        " and query in ('listen interlock_ended', 'listen interlock_queue')",
    )
    return bool(row["number"] == number)


async def _looked(endings: Endings, run_id: str) -> None:
    raise NotFound(f"{run_id} was looked up")
