"""The kill switch on Postgres: what runs is stopped where it is, what is new is refused, all of it is written down."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow

import interlock
from interlock import Interlock, Resume
from interlock.core.budget import Limits
from interlock.core.kills import Kill, KillScope, Subject
from interlock.errors import BudgetSpent, Killed, NotFound, UsageError
from interlock.postgres.kill_watch import NAME, POLL_SECONDS, KillWatch, kill_of
from interlock.settings import Settings
from tests.openai_server import Answer, OpenAIServer, Request, Says, Wire

CONFIG = Path(__file__).parents[1] / "sample" / "killed" / "langgraph.json"
MODEL = "openai:gpt-5-nano"
PATIENCE = 120


@dataclass
class Late:
    """An answer that is given when somebody says so, and not before; notes when nobody waits for it any more."""

    go: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def send(self, request: Request, wire: Wire) -> None:
        """Wait, and say it."""
        while not self.go.wait(0.005):
            if select.select([wire.connection], [], [], 0)[0]:
                self.left.set()
                return
        Says(text="hello").send(request, wire)


@pytest.fixture
def late() -> Iterator[Late]:
    made = Late()
    yield made
    made.go.set()


@pytest.fixture
def server(late: Late, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server whose first answer is late."""
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-key")
    with OpenAIServer(late, Says(text="hello"), Says(text="bye")) as opened:
        yield opened
        late.go.set()


@pytest.fixture
async def il(database_url: str, server: OpenAIServer) -> AsyncIterator[Interlock]:
    settings = Settings(model=MODEL, base_url=server.base_url, tenant="acme", user="ann")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def until(is_so: Callable[[], object]) -> None:
    """Return when something is so; a test that waits for longer has failed."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.005)


async def asking(
    il: Interlock, server: OpenAIServer, log: Path, how: str = ""
) -> asyncio.Task[interlock.Run]:
    """Begin a run, and return when its model has been asked and its other node has ended."""
    given = {"log": str(log), "how": how}
    run = asyncio.ensure_future(il.ainvoke("asks", given, thread_id="t"))
    await until(lambda: server.requests and "beside" in log.read_text())
    return run


@pytest.mark.parametrize("scope", ["run", "thread", "graph", "tenant", "all"])
async def test_a_call_in_flight_is_stopped(
    il: Interlock, server: OpenAIServer, log: Path, scope: KillScope
) -> None:
    """Whatever it is thrown for, the run ends at once as killed, says by whom, when and why, and can be resumed."""
    running = await asking(il, server, log)
    run_id = (await il.arun("t")).run_id
    names = {"run": run_id, "thread": "t", "graph": "asks", "tenant": "acme", "all": ""}

    began = time.monotonic()
    kill = await il.akill(scope, names[scope], reason="it spends too much", by="ben")
    run = await running
    took = time.monotonic() - began

    assert took < 1
    assert (run.status, run.error_kind) == ("killed", "Killed")
    assert f"ben killed {kill.whose} at {kill.at:%Y-%m-%d %H:%M}" in run.error
    assert "it spends too much" in run.error
    with pytest.raises(Killed, match=f"interlock kill lift {kill.id}"):
        await il.aresume("t")

    await il.alift_kill(kill.id, by="ann")
    again = await il.aresume("t")
    assert (again.status, again.output["said"]) == ("succeeded", ["hello", "beside", "end"])
    assert log.read_text().split().count("beside") == 1


async def sql(url: str, statement: str, *values: object) -> list[Any]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def thrown_unheard(url: str, scope: str = "all", name: str = "") -> None:
    """Throw a switch without telling anybody, as when the news is lost."""
    await sql(
        url,
        "insert into interlock.kills (scope, name, reason, thrown_by) values (%s, %s, 'why', 'ben')",
        scope,
        name,
    )


async def test_a_process_is_told(
    il: Interlock, server: OpenAIServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database tells it, whether or not it looks by itself."""
    monkeypatch.setattr("interlock.postgres.kill_watch.POLL_SECONDS", 60.0)
    running = await asking(il, server, log)

    began = time.monotonic()
    await il.akill("all", reason="why")
    assert (await running).status == "killed"
    assert time.monotonic() - began < 30  # it would have looked after 60


async def test_a_lost_notification_is_made_up_for(
    il: Interlock, server: OpenAIServer, log: Path, database_url: str
) -> None:
    """Nobody is told, and still the call is stopped within a second: each process looks by itself."""
    running = await asking(il, server, log)

    began = time.monotonic()
    await thrown_unheard(database_url)
    run = await running

    assert run.status == "killed"
    assert time.monotonic() - began < 1


async def test_a_cut_connection_is_made_up_for(
    il: Interlock, server: OpenAIServer, log: Path, database_url: str
) -> None:
    """The connection that is told is cut, and the switch is thrown before there is another: it is seen all the same."""
    running = await asking(il, server, log)

    await sql(
        database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s",
        NAME,
    )
    await il.akill("all", reason="why")

    assert (await running).status == "killed"


async def test_nothing_is_permitted_by_who_cannot_look(
    il: Interlock, server: OpenAIServer, log: Path, database_url: str
) -> None:
    """A process that cannot reach the database cannot know of a switch, and calls no model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interlock.postgres.kill_watch.PATIENCE", 0.1)
        patch.setattr("interlock.postgres.kill_watch._connection", _no_connection)
        with pytest.raises(interlock.errors.DatabaseUnavailable, match="is not known"):
            async with asyncio.timeout(PATIENCE):
                await il.ainvoke("asks", {"log": str(log)}, thread_id="t")

    assert server.requests == []


@pytest.mark.parametrize("lifted", [True, False])
async def test_whoever_comes_during_a_look_is_told_what_the_next_one_sees(
    il: Interlock, server: OpenAIServer, log: Path, monkeypatch: pytest.MonkeyPatch, lifted: bool
) -> None:
    """What a look has read may be lifted when a run is resumed meanwhile: it is not stopped by it; else it is."""
    seen: list[Kill] = []
    held, go_on = threading.Event(), threading.Event()
    watch = KillWatch(il.url)
    kill = await il.akill("all", reason="why")

    def holding(row: DictRow) -> Kill:
        held.set()
        go_on.wait(PATIENCE)
        return kill_of(row)

    monkeypatch.setattr("interlock.postgres.kill_watch.kill_of", holding)
    subject = Subject(runs=("r",), thread_id="t", graph="asks", tenant="")
    with watch.watching(subject, lambda _: None):
        await until(held.is_set)
        if lifted:
            await il.alift_kill(kill.id)
        with watch.watching(subject, seen.append):
            go_on.set()
            await asyncio.to_thread(watch.over, subject)
            await until(lambda: seen or lifted)
    watch.close()

    assert [each.id for each in seen] == ([] if lifted else [kill.id])


async def test_a_switch_that_was_lifted_refuses_no_call(
    il: Interlock, server: OpenAIServer, log: Path
) -> None:
    """What was seen a moment ago is looked for again before it stops anything."""
    watch = KillWatch(il.url)
    subject = Subject(runs=("r",), thread_id="t", graph="asks", tenant="")
    kill = await il.akill("all", reason="why")
    try:
        with watch.watching(subject, lambda _: None):
            found = await asyncio.to_thread(watch.over, subject)
            assert found is not None
            assert found.id == kill.id
            async with await psycopg.AsyncConnection.connect(il.url, autocommit=True) as unheard:
                await unheard.execute("update interlock.kills set lifted_at = now()")
            assert await asyncio.to_thread(watch.over, subject) is None
    finally:
        watch.close()


def _no_connection(url: str) -> Any:
    raise psycopg.OperationalError("no server answers")


@pytest.mark.parametrize("how", ["", "stream"])
async def test_a_killed_run_keeps_what_is_finished(
    il: Interlock, server: OpenAIServer, log: Path, how: str
) -> None:
    """The node beside the killed call had finished; it is not run again."""
    running = await asking(il, server, log, how)
    kill = await il.akill("thread", "t", reason="why")
    assert (await running).status == "killed"

    await il.alift_kill(kill.id)
    again = await il.aresume("t")

    assert again.status == "succeeded"
    assert sorted(log.read_text().split()) == ["ask", "ask", "beside", "end"]


async def test_a_call_in_a_thread_is_left_and_the_next_one_refused(
    il: Interlock, server: OpenAIServer, log: Path, late: Late
) -> None:
    """The run ends at once; the thread waits for its answer, and what it asks then does not leave the process."""
    running = await asking(il, server, log, "thread")

    began = time.monotonic()
    await il.akill("thread", "t", reason="why")
    assert (await running).status == "killed"
    assert time.monotonic() - began < 1

    late.go.set()
    await until(lambda: "refused" in log.read_text())
    assert len(server.requests) == 1


async def test_a_call_that_holds_up_the_loop_is_the_last_one(
    il: Interlock, server: OpenAIServer, log: Path, late: Late, database_url: str
) -> None:
    """Synchronous code in an asynchronous node holds up its process; once its call returns, no other one begins."""

    def kill_and_go() -> None:
        async def kill() -> None:
            await until(lambda: server.requests)
            await thrown_unheard(database_url)
            await asyncio.sleep(POLL_SECONDS * 2)  # the process must see it by itself meanwhile

        asyncio.run(kill())
        late.go.set()

    killing = asyncio.ensure_future(asyncio.to_thread(kill_and_go))
    run = await il.ainvoke("asks", {"log": str(log), "how": "hold"}, thread_id="t")
    await killing

    assert run.status == "killed"
    assert "refused" in log.read_text()
    assert len(server.requests) == 1


async def test_an_act_that_is_killed_is_in_doubt(il: Interlock, log: Path) -> None:
    """Whether it happened is not known; the ledger says so, and the run as it resumes asks."""
    given = {"log": str(log), "how": "act"}
    running = asyncio.ensure_future(il.ainvoke("asks", given, thread_id="t"))
    await until(lambda: log.exists() and "sending" in log.read_text())

    kill = await il.akill("thread", "t", reason="why")
    assert (await running).status == "killed"

    (effect,) = await il.aeffects("t")
    assert effect.status == "in_doubt"
    await il.alift_kill(kill.id)
    (question,) = (await il.aresume("t")).interrupts
    assert question.kind == "in_doubt"
    assert log.read_text().count("sending") == 1


async def test_a_killed_thread_keeps_an_answer(il: Interlock, log: Path) -> None:
    """A person answers while the switch stands: the answer is taken, and used when it is lifted."""
    waiting = await il.ainvoke("asks", {"log": str(log), "how": "person"}, thread_id="t")
    kill = await il.akill("thread", "t", reason="why")

    with pytest.raises(Killed, match="Thread t may not run"):
        await il.aresume("t", Resume(waiting.interrupts[0].id, "yes"))
    assert (await il.arun("t")).status == "queued"
    assert await il.aquestions("t") == []

    await il.alift_kill(kill.id)
    assert (await il.aresume("t")).output["said"] == ["yes", "beside", "end"]


async def test_a_killed_run_does_not_go_on_as_another_run(il: Interlock, log: Path) -> None:
    """An answer makes a new run, which a switch for the one that asked holds too; a new request is free."""
    waiting = await il.ainvoke("asks", {"log": str(log), "how": "person"}, thread_id="t")
    await il.akill("run", waiting.run_id[:12], reason="why")

    with pytest.raises(Killed):
        await il.aresume("t", Resume(waiting.interrupts[0].id, "yes"))

    other = await il.ainvoke("asks", {"log": str(log), "how": "person"}, thread_id="u")
    assert other.status == "waiting"


async def test_what_is_new_is_refused(il: Interlock, log: Path) -> None:
    """Runs, forks and replays; nothing of them is stored. What was queued before stays queued."""
    given = {"log": str(log), "how": "person"}
    await il.ainvoke("asks", given, thread_id="t")
    await il.asubmit("asks", given, thread_id="queued")
    await il.akill("graph", "asks", reason="a bad release")

    for refused in (
        il.asubmit("asks", given, thread_id="new"),
        il.ainvoke("asks", given),
        il.asubmit_fork("t", at=0),
        il.areplay("t"),
        il.aresume("queued"),
    ):
        with pytest.raises(Killed, match="a bad release"):
            await refused

    assert {each.thread_id for each in await il.athreads()} == {"t", "queued"}
    assert (await il.arun("queued")).status == "queued"
    assert (await il.ainvoke("other", given)).status == "waiting"


async def test_all_of_it_is_written_down_for_good(
    il: Interlock, server: OpenAIServer, log: Path, database_url: str
) -> None:
    """Who threw it, again too, what it stopped and who lifted it; rows can be added, and never changed."""
    running = await asking(il, server, log)
    kill = await il.akill("tenant", "acme", reason="first", by="ben")
    await running
    again = await il.akill("tenant", "acme", reason="second", by="cy")
    await il.alift_kill(kill.id, reason="mended")

    events = await il.akill_events(kill.id)
    assert again == kill
    assert [(e.kind, e.who, e.why, e.thread_id) for e in events] == [
        ("thrown", "ben", "first", ""),
        ("stopped", events[1].who, "", "t"),
        ("thrown", "cy", "second", ""),
        ("lifted", "ann", "mended", ""),
    ]
    for statement in (
        "update interlock.kill_events set who = ''",
        "delete from interlock.kill_events",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="only added"):
            await sql(database_url, statement)
    with pytest.raises(psycopg.errors.RaiseException, match="only added"):
        await sql(database_url, "truncate interlock.kill_events")


async def test_what_cannot_be_thrown(il: Interlock) -> None:
    """A switch names something that exists, and says why; what does not stand cannot be lifted."""
    for scope, name, reason, error in (
        ("thread", "nobody", "why", NotFound),
        ("run", "nobody", "why", NotFound),
        ("thread", "", "why", UsageError),
        ("all", "t", "why", UsageError),
        ("all", "", " ", UsageError),
    ):
        with pytest.raises(error):
            await il.akill(scope, name, reason=reason)  # type: ignore[arg-type]  # a person's words
    with pytest.raises(NotFound, match="No switch 7 stands"):
        await il.alift_kill(7)
    assert await il.akills() == []


async def test_a_part_of_the_stream_that_nobody_takes_does_not_save_it(
    il: Interlock, server: OpenAIServer, log: Path, late: Late
) -> None:
    """A consumer that is busy with something else does not keep its run alive."""
    parts = il.astream("asks", {"log": str(log)}, thread_id="t", stream_mode=["updates"])
    part = await anext(parts)
    assert "beside" in part["data"]
    await until(lambda: server.requests)

    kill = await il.akill("thread", "t", reason="why")
    await until(late.left.is_set)

    last = [part async for part in parts][-1]
    assert last["data"].status == "killed"
    assert [each.kind for each in await il.akill_events(kill.id)] == ["thrown", "stopped"]


@pytest.mark.parametrize("by", ["kill", "time"])
async def test_what_was_answered_is_not_paid_for_again(
    il: Interlock, log: Path, database_url: str, by: str
) -> None:
    """A node is stopped in its second call; when it runs again its first one is answered from the record."""
    script: list[Answer] = [Says(text="first"), Late(), Says(text="second")]
    with OpenAIServer(*script) as server:
        settings = Settings(model=MODEL, base_url=server.base_url)
        async with interlock.aopen(database_url, config=CONFIG, settings=settings) as own:
            await own.asubmit("asks", {"log": str(log), "how": "twice"}, thread_id="t")
            if by == "time":
                await own.aset_budget("thread", "t", Limits(seconds=1.0))
            running = asyncio.ensure_future(own.aresume("t"))
            await until(lambda: len(server.requests) == 2)
            if by == "kill":
                kill = await own.akill("thread", "t", reason="why")
                assert (await running).status == "killed"
                await own.alift_kill(kill.id)
            else:
                with pytest.raises(BudgetSpent):
                    await running
                await own.aset_budget("thread", "t", Limits(seconds=60))

            again = await own.aresume("t")

    assert again.output["said"] == ["first", "second", "beside", "end"]
    assert len(server.requests) == 3
