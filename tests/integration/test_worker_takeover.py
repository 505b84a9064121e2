"""Workers that are gone, frozen, cut off or stopped: their runs go on, and who is suspected of what."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path

import psycopg
import pytest

import interlock
from interlock import Interlock, settling
from interlock.errors import DatabaseUnavailable
from interlock.execution import Execution, Part
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.workers import Plan, register
from tests.working import CONFIG, ended, lines, rows, steps, until, worker_at

BREAK = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


class Dead:
    """A worker that claims, and is gone without a word."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.locks = ThreadLocks(url)
        self.name = ""

    async def claim(self, il: Interlock, *threads: str) -> None:
        """Be registered, and have the runs of some threads."""
        self.name = await register(self.locks, Plan(lease=60.0), "gone:1")
        for thread in threads:
            await rows(
                self.url,
                "update interlock.queue set worker_id = %s, claimed_at = now() where thread_id = %s",
                *(self.name, thread),
            )
            await rows(
                self.url,
                "update interlock.runs set status = 'running', attempts = attempts + 1 where thread_id = %s",
                thread,
            )

    async def die(self) -> None:
        """Let its connection end, and wait until the server has noticed."""
        connection = self.locks._connection
        assert connection is not None
        pid = connection.info.backend_pid
        await self.locks.close()
        gone = "select 1 where not exists (select from pg_stat_activity where pid = %s)"
        await until(lambda: rows(self.url, gone, pid))


async def crashes(url: str) -> dict[str, int]:
    """By thread: how many deaths a queued run is charged with."""
    return dict(
        await rows(url, "select thread_id, crashes from interlock.queue order by thread_id")
    )


async def take_over(il: Interlock, dead: Dead) -> None:
    """Take over as any worker does it."""
    from interlock.postgres.workers import Gone
    from interlock.worker.connecting import connect
    from interlock.worker.log import Log
    from interlock.worker.takeover import take_over as take

    gone = Gone(worker_id=dead.name, process="gone:1", why="a test")
    async with await connect(il.url) as connection:
        await take(connection, il.url, gone, Log())


async def test_the_runs_of_a_dead_worker_go_on_in_another(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its row is removed, its run is noted as lost and ends elsewhere, at its second attempt."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    dead = Dead(database_url)
    await dead.claim(il, "t")
    async with worker_at(database_url) as working:
        await asyncio.sleep(0.7)  # it looks at least once, and the other one lives
        assert working.said("worker.taken_over") == 0
        await dead.die()
        run = await ended(il, "t")

    assert (run.attempts, run.output) == (2, {"done": 2})
    kinds = await rows(database_url, "select kind from interlock.run_events order by id")
    assert [row[0] for row in kinds] == ["submitted", "lost", "claimed", "succeeded"]


async def test_a_worker_whose_lease_is_over_loses_its_connection_too(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It is frozen and its connection stands: the session that holds its threads is ended, so that others can."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    frozen = Dead(database_url)
    await frozen.claim(il, "t")
    async with frozen.locks.session(frozen.name) as connection:
        await connection.execute(
            "select pg_try_advisory_lock(hashtextextended('t', %s))", (0x1E7E,)
        )
    await rows(database_url, "update interlock.workers set lease_until = now() - interval '1 s'")
    async with worker_at(database_url):
        await ended(il, "t")

    await frozen.locks.close()


async def test_a_frozen_transaction_holds_up_no_takeover(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The process froze within a transaction that holds its worker's row: that session is ended as well."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    frozen = Dead(database_url)
    await frozen.claim(il, "t")
    async with await psycopg.AsyncConnection.connect(database_url) as silent:
        await silent.execute("select from interlock.workers for key share")
        await frozen.die()
        async with worker_at(database_url):
            await ended(il, "t")
        with pytest.raises(psycopg.OperationalError):
            await silent.execute("select")


async def test_each_run_of_a_worker_that_died_is_suspected(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Either may have been the cause, so either is charged with a death."""
    for thread in ("a", "b"):
        await il.asubmit("working", steps(tmp_path), thread_id=thread)
    dead = Dead(database_url)
    await dead.claim(il, "a", "b")
    await dead.die()
    await take_over(il, dead)

    assert await crashes(database_url) == {"a": 1, "b": 1}


async def test_beside_a_suspect_nobody_else_is_charged(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A run that had lost its worker before was there: it is charged, and the one beside it is not."""
    for thread in ("a", "b"):
        await il.asubmit("working", steps(tmp_path), thread_id=thread)
    for threads in (("a",), ("a", "b")):
        dead = Dead(database_url)
        await dead.claim(il, *threads)
        await dead.die()
        await take_over(il, dead)

    assert await crashes(database_url) == {"a": 2, "b": 0}


async def test_a_run_that_takes_three_workers_with_it_is_dead(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It ends as dead, with a letter; the next run of its thread may begin."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    for _ in range(3):
        dead = Dead(database_url)
        await dead.claim(il, "t")
        await dead.die()
        await take_over(il, dead)

    run = await il.arun("t")
    assert (run.status, run.error_kind, run.attempts) == ("dead", "poison", 3)
    assert [letter.kind for letter in await il.aletters()] == ["poison"]
    assert await crashes(database_url) == {}


async def test_a_run_that_makes_steps_is_never_taken_for_poison(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Five workers die under it, but each time it has made a step since: it is charged with one death at most."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    seen = []
    for number in range(5):
        await rows(
            database_url,
            "insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint) values ('t', '', %s, '{}')",
            f"c{number}",
        )
        dead = Dead(database_url)
        await dead.claim(il, "t")
        await dead.die()
        await take_over(il, dead)
        seen.append(await crashes(database_url))

    assert seen == [{"t": 1}] * 5


async def test_suspects_are_run_one_at_a_time(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Of three suspects a worker has one, beside innocents; when that one has made a step the next is taken on."""
    for name in ("a", "b", "c", "innocent"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hold-1").touch()
        (tmp_path / name / "hold-2").touch()
        await il.asubmit("working", steps(tmp_path / name, 2), thread_id=name)
    await rows(
        database_url,
        "update interlock.queue set crashes = 1, crashed_at = ':0' where thread_id <> 'innocent'",
    )
    async with worker_at(database_url):
        await until(lambda: all(lines(tmp_path / each) for each in ("a", "innocent")))
        await asyncio.sleep(0.3)
        assert not lines(tmp_path / "b")
        (tmp_path / "a" / "hold-1").unlink()
        await until(lambda: lines(tmp_path / "b"))
        assert not lines(tmp_path / "c")
        assert (await crashes(database_url))["a"] == 0
        for name in ("a", "b", "c", "innocent"):
            (tmp_path / name / "hold-1").unlink(missing_ok=True)
            (tmp_path / name / "hold-2").unlink()
        for name in ("a", "b", "c", "innocent"):
            await ended(il, name)


async def test_a_stopped_worker_hands_back_what_remains(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It drains to the next checkpoint: the step that runs is finished, and another worker does the next."""
    (tmp_path / "hold-2").touch()
    async with worker_at(database_url) as first:
        await il.asubmit("working", steps(tmp_path, 3), thread_id="t")
        await until(lambda: "begin 2" in lines(tmp_path))
        first.worker.stop()
        await until(lambda: first.said("worker.draining"))
        (tmp_path / "hold-2").unlink()
        await asyncio.wait_for(first.task, 20)
        run = await il.arun("t")
        assert run.status == "queued"
        assert await crashes(database_url) == {"t": 0}
    async with worker_at(database_url):
        await ended(il, "t")

    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]


async def test_when_grace_is_over_what_runs_is_cancelled_and_handed_back(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A step that takes too long is begun again elsewhere; what was finished is not."""
    (tmp_path / "hold-2").touch()
    async with worker_at(database_url, grace=0.2) as first:
        await il.asubmit("working", steps(tmp_path, 2), thread_id="t")
        await until(lambda: "begin 2" in lines(tmp_path))
        await first.stopped()
        assert (await il.arun("t")).status == "queued"
    (tmp_path / "hold-2").unlink()
    async with worker_at(database_url):
        await ended(il, "t")

    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "begin 2", "end 2"]


def _so_many(folder: Path, least: int) -> bool:
    return sum(len(lines(folder / str(each))) for each in range(10)) >= least


async def test_connections_that_break_cost_nothing_but_time(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """All sessions are ended in the middle of ten runs, twice: all succeed, and none is taken for a failure."""
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        await il.asubmit("working", steps(tmp_path / str(number), 10), thread_id=f"t{number}")
    async with worker_at(database_url), worker_at(database_url):
        for least in (10, 40):
            await until(partial(_so_many, tmp_path, least))
            await rows(database_url, BREAK)
    async with interlock.aopen(database_url, config=CONFIG) as again, worker_at(database_url):
        runs = [await ended(again, f"t{number}") for number in range(10)]

    assert [run.output for run in runs] == [{"done": 10}] * 10
    kinds = await rows(database_url, "select distinct kind from interlock.run_events")
    assert {row[0] for row in kinds}.isdisjoint({"dead", "failed"})
    failed = "select kind, detail from interlock.run_events where detail ->> 'failure' <> ''"
    assert await rows(database_url, failed) == []


async def test_a_connection_that_breaks_beside_its_workers_is_no_failure_of_the_run(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads its thread breaks five times, and its worker keeps its threads: it goes on, and no try is counted."""
    drive, broken = Execution._drive, itertools.count()

    async def breaking(execution: Execution) -> AsyncGenerator[Part]:
        if next(broken) < 5:
            raise DatabaseUnavailable("The database does not answer: cut.")
        async with aclosing(drive(execution)) as parts:
            async for part in parts:
                yield part

    monkeypatch.setattr(Execution, "_drive", breaking)
    monkeypatch.setattr(settling, "DATABASE_SECONDS", 0.01)
    async with worker_at(database_url):
        await il.asubmit("working", steps(tmp_path, 3), thread_id="t")
        run = await ended(il, "t")

    assert (run.output, run.attempts) == ({"done": 3}, 6)
    assert await il.aletters() == []
    failed = "select detail from interlock.run_events where detail ->> 'failure' <> ''"
    assert await rows(database_url, failed) == []


async def test_a_blocking_node_does_not_stop_the_heartbeat(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A node holds up its event loop for three leases: nobody takes its worker over."""
    (tmp_path / "block-1").write_text("1.8")
    async with worker_at(database_url, Plan(lease=0.6)) as blocked:
        await il.asubmit("working", steps(tmp_path, 1), thread_id="t")
        async with worker_at(database_url, Plan(concurrency=1, graphs=("other",))) as watching:
            await ended(il, "t")
            assert watching.said("worker.taken_over") == 0
        assert blocked.said("worker.started") == 1

    assert lines(tmp_path) == ["begin 1", "end 1"]


async def test_a_person_may_resume_what_a_dead_worker_had(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """No worker is about: `resume` takes the run from the one that is gone."""
    await il.asubmit("working", steps(tmp_path), thread_id="t")
    dead = Dead(database_url)
    await dead.claim(il, "t")
    await dead.die()

    run = await il.aresume("t")

    assert run.status == "succeeded"
    assert await rows(database_url, "select * from interlock.queue") == []
    assert await rows(database_url, "select * from interlock.workers") == []


async def test_a_connection_that_breaks_between_two_lives_is_waited_for(
    database_url: str,
) -> None:
    """It is told of as a database that does not answer, for which a worker waits, and ends no process."""
    from interlock.worker.connecting import connect
    from interlock.worker.takeover import forgive

    async with await connect(database_url) as connection:
        await rows(database_url, BREAK)

        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            await forgive(connection, "gone")
