"""An old database, brought up while a worker of the old kind goes on; then everything in it is gone on with.

`0008.sql` was dumped from what the code of commit 6d2efc5 had stored, `0008-queries.sql` holds its statements.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from psycopg.rows import dict_row
from typing_extensions import TypedDict

import interlock
from interlock import Approve, Interlock, Reject, Resume
from interlock.errors import DatabaseUnavailable
from interlock.postgres import embedded
from interlock.postgres.migrations import migrate, scripts

DATA = Path(__file__).parents[1] / "data" / "schemas"
CONFIG = DATA / "langgraph.json"
LAST = "0008_lineage"
TAKEN_AWAY = {
    each: ["drop index"]
    for each in ("0014_queue", "0036_meaning", "0042_sealed", "0044_lean", "0045_flushing")
}
"""Several runs may be queued on a thread: an old worker accepts what it refused before; one still runs at a time.
An old worker finds items by meaning without the index over all tenants, and more of them. Runs that have begun and are
to go on are found in an index with all that have not ended, and checkpoints of a thread by their primary key."""
NEW = [name for name, _ in scripts() if name > LAST]


@pytest.fixture
def old_url(postgres_server: embedded.EmbeddedServer) -> Iterator[str]:
    """A database as the old code left it."""
    name = f"old_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = postgres_server.url.replace("@/interlock?", f"@/{name}?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((DATA / "0008.sql").read_bytes())
    yield url
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
async def il(old_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Today's runtime on the old database; the old states name files of the present folder."""
    monkeypatch.chdir(tmp_path)
    async with interlock.aopen(old_url, config=CONFIG) as opened:
        yield opened


async def test_workers_of_the_old_kind_go_on_while_the_tables_change(old_url: str) -> None:
    """Statements that were prepared before, the old saver's too, are run all through the migration and after it."""
    async with Worker.at_work(old_url) as worker, stepping(old_url) as steps:
        await worker.progress()
        assert await migrate(old_url) == NEW
        await worker.progress()
        await steps()

    assert worker.error is None


async def test_each_old_statement_still_means_something(old_url: str) -> None:
    """No table, column or function that the old code names is gone."""
    await migrate(old_url)
    statements = old_statements()

    assert len(statements) > 100
    with psycopg.connect(old_url, autocommit=True) as connection:
        for number, statement in enumerate(statements.values()):
            if statement.startswith(("select", "insert", "update", "delete", "with")):
                connection.execute(f"prepare old_{number} as {numbered(statement)}")


async def test_items_are_not_encrypted_beside_workers_of_the_old_kind(
    il: Interlock, database_url: str
) -> None:
    """They could not read them: an installation that has run before begins by command, a new one at once."""
    async with il.pool.connection() as connection:
        before = await (await connection.execute("select from interlock.item_sealing")).fetchall()
    with psycopg.connect(database_url) as new:
        begun = new.execute("select from interlock.item_sealing").fetchall()

    assert (len(before), len(begun)) == (0, 1)


async def test_a_migration_does_not_queue_behind_a_long_transaction(
    old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody holds a table, the migration stands back, and those behind it pass; then it is made."""
    monkeypatch.setattr("interlock.postgres.migrations.LOCK_SECONDS", 0.05)
    with psycopg.connect(old_url) as holder:
        holder.execute("select count(*) from interlock.runs")  # and the transaction stays open
        migrating = asyncio.create_task(migrate(old_url))
        async with Worker.at_work(old_url) as worker:
            for _ in range(3):
                await worker.progress()
        assert (worker.error, migrating.done()) == (None, False)

    assert await migrating == NEW


async def test_a_migration_stands_back_from_a_circle_too(
    old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has a table that it waits for and comes to one that it has: it lets go of all, and tries again."""
    before = scripts()[: [name for name, _ in scripts()].index("0045_flushing")]
    with monkeypatch.context() as patch:
        patch.setattr("interlock.postgres.migrations.scripts", lambda: before)
        await migrate(old_url)
    finds = f"{old_url}&options=-c%20deadlock_timeout%3D50ms"  # the server looks for circles before it gives up
    async with (
        await psycopg.AsyncConnection.connect(old_url) as holder,
        await psycopg.AsyncConnection.connect(old_url, autocommit=True) as onlooker,
    ):
        await holder.execute("lock table interlock.runs in row exclusive mode")
        migrating = asyncio.create_task(migrate(finds))
        async with asyncio.timeout(20):
            while not await _is_taken(onlooker, "checkpoints"):  # noqa: ASYNC110  # locks tell nobody
                await asyncio.sleep(0.001)
        await holder.execute("select count(*) from checkpoints")
        await holder.commit()

    assert await migrating == NEW[NEW.index("0045_flushing") :]


async def test_a_migration_that_never_gets_its_table_says_who_holds_it(
    old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the transactions that are open, keeps what ran, and can be started again."""
    monkeypatch.setattr("interlock.postgres.migrations.LOCK_SECONDS", 0.05)
    with psycopg.connect(old_url, application_name="a report") as holder:
        holder.execute("select count(*) from interlock.runs")
        pid = holder.info.backend_pid
        with pytest.raises(DatabaseUnavailable, match=rf"open: pid {pid} \(a report\) for 0 s"):
            await migrate(old_url, patience=0.1)

    assert await migrate(old_url) == NEW[NEW.index("0012_kills") :]


async def test_a_question_of_the_old_code_is_answered(il: Interlock) -> None:
    """The thread that waited pays, asks its second question, and ends."""
    asked = await il.aquestions("asks")
    run = await il.aresume("asks", Approve(asked[0].id, by="ann"))
    done = await il.aresume("asks", Reject(run.interrupts[0].id, by="ann"))

    assert (done.status, Path("ledger.txt").read_text()) == ("succeeded", "ann 5\n")


async def test_an_answer_that_the_old_code_took_is_used(il: Interlock) -> None:
    """The run that was queued with an answer goes on with it."""
    run = await il.aresume("answered")

    assert (run.status, Path("ledger.txt").read_text()) == ("waiting", "ann 6\n")


async def test_a_rejection_holds_for_a_question_of_the_old_code(il: Interlock) -> None:
    """Nothing is paid."""
    asked = await il.aquestions("refused")
    run = await il.aresume("refused", Reject(asked[0].id, by="ann"))

    assert (run.status, Path("ledger.txt").exists()) == ("succeeded", False)


async def test_a_queued_run_of_the_old_code_runs(il: Interlock) -> None:
    """Its input is read as it was stored."""
    assert (await il.aresume("queued")).output == {"count": 2}


async def test_an_interrupt_of_another_application_is_answered(il: Interlock) -> None:
    """Messages, and a class of its own, are restored and stored again."""
    asked = await il.aquestions("foreign")
    run = await il.aresume("foreign", Resume(asked[0].id, "Rome"))

    assert [each.text for each in run.output["messages"]] == ["Hello", "In Rome."]


async def test_a_run_that_was_stopped_inside_subgraphs_goes_on(il: Interlock) -> None:
    """Each node that had run before does not run again."""
    run = await il.aresume("stopped")

    assert run.output["sent"] == "north: dear draft by north / south: dear draft by south"
    assert "plan" not in Path("office.txt").read_text()


async def test_an_act_in_doubt_is_asked_about_and_settled(il: Interlock) -> None:
    """Its process died; a person says that it happened, and it is not done again."""
    await il.aresume("doubt")  # it asks what became of the act
    assert (await il.acheck()).broken == ()
    [effect] = await il.aeffects(in_doubt=True)
    await il.aresolve_effect(effect.key, happened=True, result="ann has 8", by="ann")
    run = await il.aresume("doubt")

    assert (effect.thread_id, run.status, Path("doubtful.txt").exists()) == (
        "doubt",
        "waiting",
        False,
    )


async def test_a_fork_that_the_old_code_accepted_runs_out_of_its_parents_records(
    il: Interlock,
) -> None:
    """It walks anew only what the change touches, and its answers come from the records of the parent."""
    [fork] = [each for each in await il.athreads() if each.parent_thread_id == "journey"]
    run = await il.aresume(fork.thread_id)

    log = Path("journey.txt").read_text().splitlines()
    assert run.status == "waiting"
    assert [line for line in log if line.startswith("walk")] == [
        f"walk {leg} faster" for leg in range(6, 11)
    ]


async def test_what_the_old_code_stored_is_replayed_and_compared(il: Interlock) -> None:
    """A replay comes to the same end out of the old records, and the history is whole."""
    before = await il.ahistory("journey")
    replay = await il.areplay("journey")

    assert (replay.divergence, replay.changed, replay.model_calls) == (None, {}, 10)
    assert await il.ahistory("journey") == before
    assert not Path("journey.txt").exists()


def test_migrations_add_and_take_nothing_away() -> None:
    """What a running worker of the version before relies on stays: no table of it loses or gains a column.

    A statement that reads rows whole and was prepared before ends when a column comes.
    """
    made = {
        *re.findall(
            r"create table (?:if not exists )?(\S+)",
            "".join(sql for _, sql in scripts() if _ > LAST),
        )
    }
    for name, sql in ((name, sql) for name, sql in scripts() if name > LAST):
        bare = re.sub(r"--.*", "", sql).lower()
        changed = re.findall(
            r"\b(?:drop (?:table|column|function|schema|index)|rename|truncate table)\b", bare
        )
        widened = [
            each for each in re.findall(r"alter table (\S+)\s+add column", bare) if each not in made
        ]

        assert (name, changed, widened) == (name, TAKEN_AWAY.get(name, []), [])


async def _is_taken(connection: psycopg.AsyncConnection[Any], table: str) -> bool:
    """Say whether somebody has a table for itself."""
    cursor = await connection.execute(
        "select from pg_locks where relation = to_regclass(%s) and mode = 'AccessExclusiveLock' and granted",
        (table,),
    )
    return await cursor.fetchone() is not None


def old_statements() -> dict[str, str]:
    text = (DATA / "0008-queries.sql").read_text()
    parts = re.split(r"^-- ([a-z][a-z0-9_]*): .*$", text, flags=re.MULTILINE)
    return dict(
        zip(parts[1::2], (each.strip().removesuffix(";") for each in parts[2::2]), strict=True)
    )


def numbered(statement: str) -> str:
    """Return a statement with $1, $2 in place of the names."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    return re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement).replace(
        "%%", "%"
    )


class Worker:
    """Runs old statements, prepared before anything changes, as the old code's own connection did."""

    def __init__(self, connection: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        self._connection = connection
        self._sql = old_statements()
        self._rounds = 0
        self._round = asyncio.Condition()
        self.error: Exception | None = None

    @classmethod
    @asynccontextmanager
    async def at_work(cls, url: str) -> AsyncIterator[Worker]:
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=0, row_factory=dict_row
        ) as connection:
            worker = cls(connection)
            task = asyncio.create_task(worker._work())
            try:
                yield worker
            finally:
                worker._sql = {}
                await task

    async def progress(self) -> None:
        """Wait until two more whole rounds are done, or one failed."""
        until = self._rounds + 2
        async with self._round:
            await asyncio.wait_for(
                self._round.wait_for(lambda: self._rounds >= until or self.error), 20
            )

    async def _work(self) -> None:
        while self._sql and self.error is None:
            try:
                await self._run()
            except Exception as error:
                self.error = error
            async with self._round:
                self._rounds += 1
                self._round.notify_all()

    async def _run(self) -> None:
        run_id, thread_id = str(uuid4()), str(uuid4())
        known = {
            "run_id": run_id,
            "thread_id": thread_id,
            "graph": "counter",
            "attempts": 0,
            "limit": 5,
        }
        empty = dict.fromkeys(("title", "purpose", "process", "error", "error_kind"), "")
        nothing = dict.fromkeys(("parent_thread_id", "parent_checkpoint_id", "answers"))
        given = {
            "kind": "invoke",
            "input_type": "null",
            "input": b"",
            "context": "{}",
            "lineage": "{}",
        }
        values = known | empty | nothing | given
        statements = dict(self._sql)
        for name in (
            "open_thread",
            "add_run",
            "start_run",
            "run",
            "latest_run",
            "thread",
            "threads",
        ):
            await self._connection.execute(statements[name], values)
        values |= {"attempts": 1, "status": "succeeded"}
        for name in ("touch_thread", "end_run", "count_by_status"):
            await self._connection.execute(statements[name], values)


class Count(TypedDict):
    number: int


@asynccontextmanager
async def stepping(url: str) -> AsyncIterator[Callable[[], Any]]:
    """Give a function that runs a graph on the saver that the old code used, whose statements are prepared."""
    builder = StateGraph(Count)
    builder.add_node("add", lambda state: {"number": state["number"] + 1})
    builder.add_edge(START, "add")
    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        graph = builder.compile(checkpointer=saver)

        async def step() -> None:
            found = await graph.ainvoke(
                {"number": 1}, {"configurable": {"thread_id": str(uuid4())}}
            )
            assert found == {"number": 2}

        await step()
        yield step
