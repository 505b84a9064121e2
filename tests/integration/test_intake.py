"""Runs that are accepted together, and by the claim of a worker that lives in the same process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

import interlock
from interlock import Interlock, Run
from interlock.core.queueing import OnlyOn, Options
from interlock.errors import NotFound, ThreadBusy
from interlock.postgres import accepting, intake
from interlock.postgres.accepting import Asked, news_of
from interlock.postgres.checkpointer.arrays import prepare
from interlock.postgres.claiming import Claims
from interlock.postgres.pool import fetch
from interlock.postgres.stored_runs import NewRun
from interlock.postgres.thread_metadata import MetadataChanged
from interlock.postgres.workers import register
from interlock.worker.working import Plan, Worker
from tests.cutting import Loses, cutting
from tests.working import CONFIG, ended, lines, rows, steps, until, worker_at

ENQUEUE = Options(multitask_strategy="enqueue")


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@asynccontextmanager
async def inside(il: Interlock, plan: Plan | None = None) -> AsyncIterator[Worker]:
    """A worker in the process that submits."""
    worker = Worker(il, plan or Plan())
    task = asyncio.create_task(worker.run())
    await until(lambda: il.intake.has_worker)
    try:
        yield worker
    finally:
        worker.stop()
        worker.stop()
        await task


async def commits(url: str, kind: str) -> dict[str, str]:
    """In which transaction something happened to each thread's run."""
    found = await rows(
        url, "select thread_id, transaction::text from interlock.run_events where kind = %s", kind
    )
    return dict(found)


def named(tmp_path: Path, name: str, number: int = 1) -> dict[str, object]:
    """The input of a run with a folder of its own."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    return steps(folder, number)


async def test_a_run_is_accepted_and_claimed_in_one_commit(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Beside an idle worker; its end is as any other's."""
    async with inside(il):
        await il.asubmit("working", steps(tmp_path), thread_id="t")
        run = await ended(il, "t")

    assert (run.output, run.attempts) == ({"done": 2}, 1)
    assert lines(tmp_path) == ["begin 1", "end 1", "begin 2", "end 2"]
    assert await commits(database_url, "submitted") == await commits(database_url, "claimed")
    happened = await rows(database_url, "select kind from interlock.run_events order by id")
    assert happened == [("submitted",), ("claimed",), ("succeeded",)]
    assert await rows(database_url, "select * from interlock.queue") == []


NOTES_COMMITS = """
    create table commits (kind text, waits text);
    create function note_commit() returns trigger language plpgsql as $$
    begin
        insert into commits values (new.kind, current_setting('synchronous_commit'));
        return null;
    end
    $$;
    create constraint trigger noted after insert on interlock.run_events deferrable initially deferred
        for each row execute function note_commit();
    do $$ begin execute format('alter database %I set synchronous_commit = local', current_database()); end $$;
"""


async def test_what_is_accepted_waits_for_the_disk_and_a_claim_alone_does_not(
    database_url: str, tmp_path: Path
) -> None:
    """The claim is on the disk with the first checkpoint; one that accepts, and an end, wait as they are told to."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(NOTES_COMMITS)
    async with interlock.aopen(database_url, config=CONFIG) as il:
        async with worker_at(database_url):
            await il.asubmit("working", named(tmp_path, "apart"), thread_id="apart")
            await ended(il, "apart")
        async with inside(il):
            await il.asubmit("working", named(tmp_path, "inside"), thread_id="inside")
            await ended(il, "inside")

    assert await rows(database_url, "select kind, waits from commits") == [
        ("submitted", "local"),
        ("claimed", "off"),
        ("succeeded", "local"),
        ("submitted", "local"),
        ("claimed", "local"),
        ("succeeded", "local"),
    ]


@pytest.mark.parametrize("beside", [True, False])
async def test_runs_that_come_at_once_are_accepted_in_one_commit(
    il: Interlock, database_url: str, tmp_path: Path, beside: bool
) -> None:
    """Ten of them, with a worker beside and without: each has its own input, and they stand in the order they came."""
    names = [f"t{number}" for number in range(10)]
    async with inside(il) if beside else worker_at(database_url):
        given = {name: named(tmp_path, name) for name in names}
        await asyncio.gather(
            *(il.asubmit("working", given[name], thread_id=name) for name in names)
        )
        for name in names:
            await ended(il, name)

    assert [lines(tmp_path / name) for name in names] == [["begin 1", "end 1"]] * 10
    assert len(set((await commits(database_url, "submitted")).values())) == 1
    found = await rows(database_url, "select thread_id from interlock.runs order by number")
    assert [name for (name,) in found] == names


@pytest.mark.parametrize("beside", [True, False])
async def test_no_statement_takes_more_than_a_server_can_be_sent(
    il: Interlock,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: bool,
) -> None:
    """Of runs that come at once two small ones go together, each large one alone; those of a thread stay in order."""
    monkeypatch.setattr(accepting, "MOST_BYTES", 20_000)
    folder = str(tmp_path)
    given = {size: {**steps(tmp_path, 1), "folder": folder + "/" * size} for size in (1, 30_000)}
    sent = [("a", 1), ("b", 30_000), ("b", 1), ("c", 1), ("d", 30_000)]
    async with inside(il) if beside else worker_at(database_url):
        runs = await asyncio.gather(
            *(
                il.asubmit("working", given[size], thread_id=name, options=ENQUEUE)
                for name, size in sent
            )
        )
        for name in "abcd":
            await il.ajoin(name, timeout=30)

    groups = await rows(
        database_url,
        "select array_agg(run_id order by id) from interlock.run_events where kind = 'submitted'"
        " group by transaction",
    )
    order = await rows(
        database_url, "select run_id from interlock.runs where thread_id = 'b' order by number"
    )
    a, b, b_again, c, d = (run.run_id for run in runs)
    assert sorted(found for (found,) in groups) == sorted([[a, c], [b], [b_again], [d]])
    assert order == [(b,), (b_again,)]


async def test_two_of_one_thread_come_one_after_the_other(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """At the same moment: the second waits for its turn, and a third that may not wait is refused."""
    (tmp_path / "hold-1").touch()
    async with inside(il):
        first, second, third = await asyncio.gather(
            il.asubmit("working", steps(tmp_path, 1), thread_id="t", options=ENQUEUE),
            il.asubmit("working", steps(tmp_path, 1), thread_id="t", options=ENQUEUE),
            il.asubmit("working", steps(tmp_path, 1), thread_id="t"),
            return_exceptions=True,
        )
        (tmp_path / "hold-1").unlink()
        await il.ajoin("t", timeout=30)

    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert isinstance(third, ThreadBusy)
    claimed = "select run_id from interlock.run_events where kind = 'claimed' order by id"
    assert await rows(database_url, claimed) == [(first.run_id,), (second.run_id,)]


@pytest.mark.parametrize("beside", [True, False])
async def test_one_that_the_database_refuses_takes_no_other_along(
    il: Interlock, database_url: str, tmp_path: Path, beside: bool
) -> None:
    """Of five at once the third is refused by the database: its caller gets that error, and the others run."""
    await rows(
        database_url,
        "create function no() returns trigger language plpgsql as "
        "$$ begin raise exception 'not this one' using errcode = 'check_violation'; end $$",
    )
    await rows(
        database_url,
        "create trigger no before insert on interlock.runs for each row"
        " when (new.thread_id = 't2') execute function no()",
    )
    names = [f"t{number}" for number in range(5)]
    async with inside(il) if beside else worker_at(database_url):
        came = await asyncio.gather(
            *(il.asubmit("working", named(tmp_path, name), thread_id=name) for name in names),
            return_exceptions=True,
        )
        for name in names[:2] + names[3:]:
            await ended(il, name)
        held = set(il.locks.holding())

    assert isinstance(came[2], psycopg.errors.CheckViolation)
    assert [type(each) for each in came[:2] + came[3:]] == [Run] * 4
    assert held == set()
    assert (
        await rows(database_url, "select thread_id from interlock.threads where thread_id = 't2'")
        == []
    )


async def test_a_look_that_finds_nothing_writes_nothing(database_url: str, il: Interlock) -> None:
    """Workers look once a second: it costs no commit that has to reach the disk."""
    plan = Plan()
    name = await register(il.locks, plan, "a test:1")
    claims = Claims(locks=il.locks, worker=name, plan=plan, graphs=["working"], process="a test:1")
    async with il.locks.session(name) as connection:
        await connection.execute("begin")
    assert await claims.claim(16, suspect=True) == []
    async with il.locks.session(name) as connection:
        cursor = await connection.execute("select pg_current_xact_id_if_assigned() as written")
        assert await cursor.fetchall() == [{"written": None}]
        await connection.execute("rollback")


@pytest.mark.parametrize("beside", [True, False])
async def test_only_where_clients_say_of_the_thread_what_was_read(
    il: Interlock, database_url: str, tmp_path: Path, beside: bool
) -> None:
    """What a run notes there of itself does not count; anything else is told, and no run is there then."""
    known = replace(ENQUEUE, only_on=OnlyOn(tenant="", metadata={"team": "blue"}))
    stale = replace(ENQUEUE, only_on=OnlyOn(tenant="", metadata={"team": True}))
    await il.acreate_thread("t", metadata={"team": "blue", "graph_id": "x", "assistant_id": "y"})
    async with inside(il) if beside else worker_at(database_url):
        run = await il.asubmit("working", steps(tmp_path, 1), thread_id="t", options=known)
        await ended(il, "t")
        for written in ('{"team": 1}', '{"team": "blue", "more": 1}', "{}"):
            change = "update interlock.thread_cards set metadata = %s returning 1"
            await rows(database_url, change, written)
            for options in (known, stale):
                with pytest.raises(MetadataChanged, match="thread t"):
                    await il.asubmit("working", steps(tmp_path, 1), thread_id="t", options=options)

    assert await rows(database_url, "select run_id from interlock.runs") == [(run.run_id,)]


PAST = """
    insert into interlock.threads (thread_id, graph) values ('t', 'working');
    insert into interlock.runs (run_id, thread_id, graph, kind, status, finished_at)
    select 'past ' || number, 't', 'working', 'invoke', 'succeeded', now() from generate_series(1, 200) as number;
"""


async def test_a_long_past_of_a_thread_is_not_read(il: Interlock, database_url: str) -> None:
    """Whether a run of it has not ended is looked up without those that have: they get more and more."""
    new = NewRun(run_id="new", thread_id="t", graph="working", kind="invoke", context={}, input={})
    asked = Asked.of(il.store, new, ENQUEUE, enqueue=True)
    read = "select pg_stat_get_xact_tuples_fetched('interlock.runs'::regclass) as read"
    async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as db:
        await db.execute(PAST)
        await db.commit()
        prepare(db)
        accepted = await fetch(db, intake.SQL["accept"], news_of([asked]))
        (found,) = await fetch(db, read, {})

    assert [row["run_id"] for row in accepted] == ["new"]
    assert found["read"] < 20


async def test_it_goes_on_accepting_while_its_worker_is_full(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """One place and one run that keeps it: another run is accepted at once, and begins when there is room."""
    held = tmp_path / "held"
    given = named(tmp_path, "held"), named(tmp_path, "next")
    (held / "hold-1").touch()
    async with inside(il, Plan(concurrency=1)):
        await il.asubmit("working", given[0], thread_id="held")
        async with asyncio.timeout(5):
            run = await il.asubmit("working", given[1], thread_id="next")
        assert (await il.arun("next")).status == "queued"
        (held / "hold-1").unlink()
        assert (await il.await_run(run.run_id, timeout=30)).status == "succeeded"


async def test_it_goes_on_accepting_while_its_worker_drains(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A worker that was told to stop takes nothing on; what is submitted meanwhile waits for another one."""
    (tmp_path / "hold-1").touch()
    async with inside(il) as worker:
        await il.asubmit("working", steps(tmp_path, 1), thread_id="held")
        await until(lambda: lines(tmp_path))
        worker.stop()
        await until(lambda: not il.intake.has_worker)
        await il.asubmit("working", named(tmp_path, "next"), thread_id="next")
        (tmp_path / "hold-1").unlink()
    assert (await il.arun("next")).status == "queued"
    async with worker_at(database_url):
        await ended(il, "next")


async def test_it_does_not_wait_for_a_worker_that_is_stuck(
    il: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is busy with something else: after a moment the run is accepted without it."""
    monkeypatch.setattr(intake, "PATIENCE_SECONDS", 0.05)
    taken: list[list[Asked]] = []
    batch = il.intake.batch

    def noted() -> list[Asked]:
        taken.append(batch())
        return taken[-1]

    monkeypatch.setattr(il.intake, "batch", noted)
    async with inside(il):
        async with il.locks.session(il.locks.worker):
            first = asyncio.create_task(
                il.asubmit("working", named(tmp_path, "first"), thread_id="first")
            )
            await until(lambda: any(taken) or first.done())  # done: it was busy before it saw it
            async with asyncio.timeout(5):
                await il.asubmit("working", named(tmp_path, "next"), thread_id="next")
            assert (await il.arun("next")).status == "queued"
            assert first.done() is not any(taken)
        await first
        await ended(il, "first")
        await ended(il, "next")


@pytest.mark.parametrize(("loses", "claims"), [("answer", 2), ("question", 1)])
async def test_a_connection_that_breaks_accepts_no_run_twice(
    database_url: str, tmp_path: Path, loses: Loses, claims: int
) -> None:
    """It breaks before the database is asked, or when it has committed and cannot say so: one run, which ends."""
    async with (
        cutting(database_url, b"to be cut", loses) as url,
        interlock.aopen(url, config=CONFIG) as il,
        inside(il),
    ):
        run = await il.asubmit("working", steps(tmp_path, 1), thread_id="to be cut")
        async with worker_at(database_url):
            await ended(il, "to be cut")

    assert await rows(database_url, "select run_id from interlock.runs") == [(run.run_id,)]
    assert lines(tmp_path).count("end 1") == 1
    claimed = "select run_id from interlock.run_events where kind = 'claimed'"
    assert await rows(database_url, claimed) == [(run.run_id,)] * claims


async def test_a_run_outlives_the_process_that_accepted_it(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """It is killed right after the commit that accepted and claimed the run: another worker takes it over."""
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES, database_url, str(CONFIG), str(tmp_path)
    )
    assert await died.wait() == -signal.SIGKILL
    assert (await il.arun("t")).attempts == 1
    async with worker_at(database_url):
        run = await ended(il, "t")

    assert (run.output, run.attempts) == ({"done": 1}, 2)
    assert lines(tmp_path) == ["begin 1", "end 1"]


DIES = """
import asyncio, os, signal, sys
import interlock
from interlock.worker import work
from interlock.worker.life import Life

async def main(url, config, folder):
    Life._begin = lambda life, claimed: os.kill(os.getpid(), signal.SIGKILL)
    async with interlock.aopen(url, config=config) as il:
        task = asyncio.create_task(work(il))
        while not il.intake.has_worker:
            await asyncio.sleep(0.005)
        await il.asubmit("working", {"folder": folder, "steps": 1, "done": 0}, thread_id="t")
        await task

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("strategy", ["reject", "interrupt", "rollback", "enqueue"])
async def test_a_run_that_was_accepted_after_all_is_found(
    il: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """The statement on the broken connection commits while it is looked for: it is not in its own way."""
    options = Options(multitask_strategy=strategy)  # type: ignore[arg-type]  # one of the words
    stored = il.store.stored
    looked: list[str] = []

    async def too_early(run_id: str) -> object:
        looked.append(run_id)
        if len(looked) == 1:
            raise NotFound("It is not there yet.")
        return await stored(run_id)

    settle = Asked.accepted

    def lost(asked: Asked, row: object) -> object:
        asked.settle("unsure")
        return settle(asked, row)  # type: ignore[arg-type]  # a row of SQL

    monkeypatch.setattr(il.store, "stored", too_early)
    monkeypatch.setattr(Asked, "accepted", lost)
    run = await il.asubmit("working", steps(tmp_path, 1), thread_id="t", options=options)

    assert looked == [run.run_id] * 2
    assert (await il.arun("t")).run_id == run.run_id
    assert (await il.arun("t")).status == "queued"


@pytest.mark.parametrize("key", ["", "a name"])
async def test_a_run_is_accepted_only_where_it_may_be(
    il: Interlock, database_url: str, tmp_path: Path, key: str
) -> None:
    """On a thread that is there, and that tenant's; otherwise there is no such thread, and nothing is made."""
    settings = interlock.Settings(tenant="acme")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as acme:
        await acme.asubmit("working", steps(tmp_path, 1), thread_id="of acme", options=ENQUEUE)

    async def submitted(thread_id: str, only_on: OnlyOn) -> None:
        its_key = key and f"{key} {thread_id} {only_on}"
        options = Options(multitask_strategy="enqueue", only_on=only_on, idempotency_key=its_key)
        await il.asubmit("working", steps(tmp_path, 1), thread_id=thread_id, options=options)

    for missing, only_on in (
        ("none", OnlyOn(tenant=None)),
        ("none", OnlyOn(tenant="acme")),
        ("of acme", OnlyOn(tenant="other")),
        ("of acme", OnlyOn(tenant="", must_exist=False)),
    ):
        with pytest.raises(NotFound, match=f"There is no thread '{missing}'"):
            await submitted(missing, only_on)
    await submitted("of acme", OnlyOn(tenant="acme"))
    await submitted("made", OnlyOn(tenant="", must_exist=False))
    await submitted("made", OnlyOn())

    count = "select thread_id, count(*) from interlock.runs group by 1 order by 1"
    assert await rows(database_url, count) == [("made", 2), ("of acme", 2)]
