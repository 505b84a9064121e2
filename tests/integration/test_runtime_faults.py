"""The durable runtime where it was seen to break: cut connections, stale attempts, odd values, many questions."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, nullcontext
from pathlib import Path
from typing import Any, cast

import ormsgpack
import psycopg
import pytest
from psycopg.rows import TupleRow

import interlock
from interlock import Approve, Interlock, Resume
from interlock.core.ledger import Intention
from interlock.core.site import Site
from interlock.core.sync import run_sync
from interlock.errors import AnswerRefused, DatabaseUnavailable, NotFound, ThreadBusy, UsageError
from interlock.execution import Part
from interlock.postgres import embedded
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.maintenance import reset
from interlock.postgres.migrations import migrate, scripts
from interlock.postgres.pool import quiet
from tests.questions import put_back

CONFIG = Path(__file__).parents[1] / "sample" / "odd" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


def count_to(goal: int, log: Path) -> dict[str, Any]:
    return {"goal": goal, "log": str(log)}


async def sql(url: str, statement: str, *values: object) -> list[TupleRow]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def cut_lock(url: str) -> None:
    """Cut the connections that hold threads, as a network or an administrator may."""
    await sql(
        url,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where application_name = 'interlock threads' and datname = current_database()",
    )


async def seen_to_be_cut(il: Interlock) -> None:
    """Return when the news of the cut has arrived on the connection that holds threads."""
    connection = il._locks._connection
    assert connection is not None
    async with asyncio.timeout(10):
        while quiet(connection):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.001)


async def cut_all(url: str) -> None:
    await sql(
        url,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()",
    )


async def lose_the_end_of(url: str, run: interlock.Run) -> None:
    """Leave the rows as they are when a process dies after its last checkpoint and before it wrote the end."""
    await sql(url, "delete from interlock.questions where status = 'open'")
    await put_back(url, "running", run.run_id)


# --- one run, one attempt ---


@pytest.mark.parametrize("ended", [True, False])
async def test_a_run_read_before_another_process_took_it_is_not_run_anew(
    database_url: str, tmp_path: Path, ended: bool
) -> None:
    """Two processes read the same queued run; once one has taken it, the other's view is stale."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        await first.asubmit("counter", count_to(2, tmp_path / "log"), thread_id="t")
        read = await first.store.latest("t")
        async with aclosing(second._execute(read)) as parts:
            async for part in parts:
                if part["type"] == "custom" and not ended:
                    break

        with pytest.raises(ThreadBusy, match="was taken on by another process"):
            [part async for part in first._execute(read)]

    assert (tmp_path / "log").read_text().count("begin") == 1


async def test_a_process_that_lost_its_thread_writes_nothing_more(
    database_url: str, tmp_path: Path
) -> None:
    """The lock's connection is cut and another process takes over: the first one's state and ending are refused."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        parts = first.astream("counter", count_to(5, tmp_path / "log"), thread_id="t")
        async for part in parts:
            if part["type"] == "custom" and part["data"]["count"] == 2:
                break
        await cut_lock(database_url)
        assert (await second.aresume("t")).output == {"count": 5}

        with pytest.raises(DatabaseUnavailable, match="was lost, so the run was stopped"):
            [part async for part in parts]

        run = await second.arun("t")
        assert (run.status, run.output) == ("succeeded", {"count": 5})
        assert (await first.ainvoke("counter", count_to(1, tmp_path / "log"))).output == {
            "count": 1
        }


async def test_a_process_that_lost_its_thread_does_not_act(
    il: Interlock, database_url: str
) -> None:
    """The lock's connection is cut before an act: its intention is refused, so that nothing is done."""
    site = Site(
        thread_id="t",
        run_id="r",
        node="pay",
        agent="pay",
        task="pay:1",
        checkpoint_id="c",
        attempt=1,
    )
    intention = Intention(key="k", request="r", site=site, action="pay", arguments={})
    async with il._locks.hold("t"):
        await cut_lock(database_url)
        await seen_to_be_cut(il)

        with pytest.raises(DatabaseUnavailable, match="was lost, so the run was stopped"):
            await PostgresLedger(il._pool, il._locks).begin(intention, permitted=True)

    assert await il.effects_store.effects("t") == []


async def test_a_thread_can_be_run_at_once_after_its_end_was_told(
    database_url: str, tmp_path: Path
) -> None:
    """Who sees the end of a run, or its question, does not find the thread busy, even while the stream is open."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        async for part in first.astream("gates", {"do": ""}, thread_id="t"):
            if part["type"] == "end":
                question = part["data"].interrupts[0]
                answered = await second.aresume("t", Resume(question.id, "yes"))

    assert answered.status == "waiting"


async def test_a_stream_that_is_left_hands_its_run_back(database_url: str, tmp_path: Path) -> None:
    """Leaving the stream early, and then the runtime, leaves no run behind that looks as if its process was lost."""
    async with interlock.aopen(database_url, config=CONFIG) as il:
        parts = il.astream("counter", count_to(3, tmp_path / "log"), thread_id="t")
        await anext(parts)
        await cast("AsyncGenerator[Part]", parts).aclose()

    assert await sql(database_url, "select status from interlock.runs") == [("queued",)]


def test_a_synchronous_stream_that_is_left_hands_its_run_back(
    database_url: str, tmp_path: Path
) -> None:
    """`break` in a `for` over a stream, and then the end of `with`, hand the run back."""
    with interlock.open(database_url, config=CONFIG) as il:
        for _ in il.stream("counter", count_to(3, tmp_path / "log"), thread_id="t"):
            break
    with interlock.open(database_url, config=CONFIG) as il:
        left, ended = il.run("t"), il.resume("t")

    assert (left.status, ended.output) == ("queued", {"count": 3})


async def test_a_run_cancelled_anywhere_leaves_no_lock_and_goes_on(
    il: Interlock, tmp_path: Path
) -> None:
    """Whichever await a cancellation hits, the thread is free, and the run ends once it is resumed."""
    for moment in range(40):
        thread = f"t{moment}"
        given = count_to(2, tmp_path / thread)
        task = asyncio.ensure_future(il.ainvoke("counter", given, thread_id=thread))
        for _ in range(moment * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        found = {each.thread_id: each for each in await il.athreads(limit=1000)}.get(thread)
        if found is not None and found.status != "succeeded":
            assert not found.alive
            assert (await il.aresume(thread)).output == {"count": 2}


async def test_a_router_that_failed_is_asked_again(il: Interlock, tmp_path: Path) -> None:
    """A run whose router failed once goes on behind it when it is resumed; it does not end there as if all was well."""
    (tmp_path / "log.trap").touch()
    given = {"do": "nothing", "text": str(tmp_path / "log")}
    with pytest.raises(RuntimeError, match="the router was told to fail"):
        await il.ainvoke("routed", given, thread_id="t")
    (tmp_path / "log.trap").unlink()

    run = await il.aresume("t")

    assert (run.status, run.output["said"]) == ("succeeded", ["nothing", "after"])


async def test_a_database_that_was_restarted_is_used_again_at_once(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Connections that died while nobody used them are not lent."""
    await il.ainvoke("counter", count_to(1, tmp_path / "log"), thread_id="t")
    await cut_all(database_url)

    assert (await il.arun("t")).output == {"count": 1}
    assert (await il.ainvoke("counter", count_to(2, tmp_path / "log"))).output == {"count": 2}


@pytest.mark.parametrize("graph", ["counter", "gates"])
async def test_a_process_that_dies_before_it_wrote_the_end(
    il: Interlock, database_url: str, tmp_path: Path, graph: str
) -> None:
    """All work was done, but not noted: resuming notes it, with the same output and the same questions."""
    run = await il.ainvoke(
        graph, count_to(1, tmp_path / "log") if graph == "counter" else {}, thread_id="t"
    )
    await lose_the_end_of(database_url, run)

    again = await il.aresume("t")

    assert (again.status, again.output) == (run.status, run.output)
    assert [each.id for each in again.interrupts] == [each.id for each in run.interrupts]


async def test_an_answer_used_before_the_process_died_does_not_open_the_next_gate(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """The process died after the second question was saved and before it was noted: it is asked, not answered."""
    given = {"payee": "ann", "amount": 5, "ledger": str(tmp_path / "bank")}
    first = await il.ainvoke("payment", given, thread_id="t")
    second = await il.aresume("t", Approve(first.interrupts[0].id))
    await lose_the_end_of(database_url, second)

    again = await il.aresume("t")

    assert [each.id for each in again.interrupts] == [each.id for each in second.interrupts]
    assert (tmp_path / "bank").read_text() == "ann 5\n"


async def test_the_order_of_runs_does_not_hang_on_the_clock(
    il: Interlock, database_url: str
) -> None:
    """The server's clock was set back between two runs: the latest run is still the one that came last."""
    await il.ainvoke("odd", {"do": "nothing"}, thread_id="t")
    second = await il.ainvoke("odd", {"do": "ask twice"}, thread_id="t")
    await sql(
        database_url,
        "update interlock.runs set created_at = created_at - interval '1 hour' where run_id = %s",
        second.run_id,
    )

    assert (await il.arun("t")).run_id == second.run_id


# --- questions ---


async def test_parallel_questions_are_answered_one_by_one(il: Interlock) -> None:
    """Answering one of two open questions leaves the run waiting for the other, under its old id."""
    run = await il.ainvoke("gates", {})
    left, right = run.interrupts

    half = await il.aresume(run.thread_id, Resume(left.id, "yes"))
    open_now = await il.aquestions(run.thread_id)
    whole = await il.aresume(run.thread_id, Resume(right.id, "no"))

    assert (half.status, [each.id for each in open_now]) == ("waiting", [right.id])
    assert whole.output == {"said": ["left yes", "right no", "after"]}
    assert await il.aquestions() == []


async def test_questions_of_parallel_subgraphs_keep_apart(il: Interlock) -> None:
    """Two teams ask twice each; answers reach the question they name, in any order."""
    run = await il.ainvoke("teams", {}, thread_id="t")
    asked = []
    while run.status == "waiting":
        question = run.interrupts[-1]
        asked.append(question.id)
        run = await il.aresume("t", Resume(question.id, f"yes to {question.summary}"))

    assert run.output["said"] == [
        "ann goes: yes to ann go?",
        "ann stays: yes to ann stay?",
        "bob goes: yes to bob go?",
        "bob stays: yes to bob stay?",
    ]
    assert len(set(asked)) == 4


async def test_an_answer_while_another_is_being_worked_on_is_not_lost(il: Interlock) -> None:
    """A thread takes one answer at a time: a second one is refused, and its question stays open."""
    run = await il.ainvoke("gates", {}, thread_id="t")
    left, right = run.interrupts
    await il.asubmit_answer("t", Resume(left.id, "yes"))

    with pytest.raises(ThreadBusy):
        await il.asubmit_answer("t", Resume(right.id, "yes"))

    assert [each.id for each in await il.aquestions("t")] == [right.id]


async def test_two_equal_questions_of_one_node_are_two_questions(il: Interlock) -> None:
    """A node that asks the same again is not answered by answering its first question again."""
    run = await il.ainvoke("odd", {"do": "ask twice"}, thread_id="t")
    first = run.interrupts[0]
    second = (await il.aresume("t", Resume(first.id, "one"))).interrupts[0]

    with pytest.raises(AnswerRefused, match="is answered"):
        await il.aresume("t", Resume(first.id, "one"))
    done = await il.aresume("t", Resume(second.id, "two"))

    assert done.output["said"] == ["one, two", "after"]


async def test_a_question_that_nothing_waits_for_any_more_is_withdrawn(
    il: Interlock, database_url: str
) -> None:
    """A row that stayed open while its thread went on would block the thread, or take an answer for nothing."""
    run = await il.ainvoke("gates", {}, thread_id="t")
    left, right = run.interrupts
    await sql(
        database_url,
        "update interlock.questions set question_id = 'gone' where question_id = %s",
        left.id,
    )

    await il.aresume("t", Resume(right.id, "yes"))

    assert sorted((each.id, each.status) for each in await il.approvals.questions("t")) == [
        *sorted([("gone", "withdrawn"), (left.id, "open"), (right.id, "answered")])
    ]


async def test_a_question_may_hold_anything(il: Interlock) -> None:
    """An interrupt of another application carries a time, and text that Postgres refuses: it is stored and shown."""
    run = await il.ainvoke("odd", {"do": "ask an object"}, thread_id="t")
    question = (await il.aquestions("t"))[0]

    assert question.payload == {
        "when": "2026-01-01T00:00:00Z",
        "text": "a\N{REPLACEMENT CHARACTER}b",
    }
    assert (question.summary, question.evidence, question.decisions) == (
        '{"text": "a\N{REPLACEMENT CHARACTER}b", "when": "2026-01-01T00:00:00Z"}',
        [],
        [],
    )
    assert run.interrupts[0].id == question.id


async def test_a_question_that_is_a_plain_text_field_is_shown(il: Interlock) -> None:
    """`interrupt({"question": "Which?"})` is common; its `question` is not ours."""
    run = await il.ainvoke("odd", {"do": "ask twice"})

    assert (run.interrupts[0].summary, run.interrupts[0].consequences) == ("Which?", {})


async def test_an_answer_that_cannot_be_stored_is_refused_and_the_question_stays(
    il: Interlock,
) -> None:
    """A value without a JSON form is not turned into something else."""
    run = await il.ainvoke("odd", {"do": "ask twice"}, thread_id="t")

    with pytest.raises(UsageError, match="The answer cannot be stored as JSON"):
        await il.aresume("t", Resume(run.interrupts[0].id, object()))

    assert [each.id for each in await il.aquestions("t")] == [run.interrupts[0].id]


async def test_an_approval_of_two_actions_at_once_needs_two_decisions(il: Interlock) -> None:
    """Another application asks about two tool calls in one interrupt: one decision would fail inside its node."""
    run = await il.ainvoke("odd", {"do": "ask about two"}, thread_id="t")
    question = run.interrupts[0].id

    with pytest.raises(AnswerRefused, match="asks about 2 actions at once"):
        await il.aresume("t", Approve(question))
    decisions = [{"type": "approve"}, {"type": "reject"}]
    done = await il.aresume("t", Resume(question, {"decisions": decisions}))

    assert done.output["said"] == ["approve", "reject", "after"]


async def test_all_open_questions_are_listed(il: Interlock, database_url: str) -> None:
    """More than a hundred questions wait, and none of them is left out."""
    await il.ainvoke("gates", {}, thread_id="t")
    await sql(
        database_url,
        "insert into interlock.questions (question_id, thread_id, run_id, graph, interrupt_id, payload) "
        "select 'q' || n, thread_id, run_id, graph, 'i' || n, '{}' "
        "from interlock.runs, generate_series(1, 150) n",
    )

    assert len(await il.aquestions()) == 152


async def test_a_breakpoint_is_a_stop_and_not_the_end(il: Interlock) -> None:
    """A graph compiled to stop before a node has not succeeded there, and goes on when it is resumed."""
    stopped = await il.ainvoke("stops", {"do": "nothing"})
    ended = await il.aresume(stopped.thread_id)

    assert (stopped.status, stopped.error) == (
        "queued",
        "Stopped before after, as the graph was compiled to.",
    )
    assert (ended.status, ended.output["said"]) == ("succeeded", ["nothing", "after"])


# --- odd values ---


async def test_state_may_hold_what_jsonb_refuses(il: Interlock) -> None:
    """Text with NUL and an infinite number are restored as they were."""
    run = await il.ainvoke("odd", {"do": "text"})

    assert ((await il.arun(run.thread_id)).output["text"], run.output["ratio"]) == (
        "a\0b",
        float("inf"),
    )
    assert (await il.ahistory(run.thread_id))[-1].values["ratio"] == float("inf")


async def test_state_may_hold_what_does_not_compare(il: Interlock) -> None:
    """Arrays compare by element; history and difference say whether they changed."""
    run = await il.ainvoke("odd", {"do": "numbers"}, thread_id="t")
    fork = await il.afork("t", at=1, values={"text": "other"})

    assert [step.changed for step in await il.ahistory("t")][1:] == [
        ("do",),
        ("array",),
        ("said",),
    ]
    assert list((await il.adiff(run.thread_id, fork.thread_id)).changed) == ["text"]


async def test_any_failure_can_be_recorded(il: Interlock) -> None:
    """An error's text has NUL, half a character and a megabyte: the run has failed, with a text that can be stored."""
    with pytest.raises(RuntimeError, match="broken by"):
        await il.ainvoke("odd", {"do": "fail"}, thread_id="t")

    run = await il.arun("t")
    unknown = "\N{REPLACEMENT CHARACTER}"
    assert run.status == "failed"
    assert run.error.startswith(f"RuntimeError: broken by a{unknown}b and {unknown}, at length: xx")
    assert len(run.error) == 4000


async def test_an_act_returns_the_same_when_it_is_repeated(il: Interlock, tmp_path: Path) -> None:
    """What an act returned is recorded exactly, so that a retry goes on with it instead of doubting."""
    (tmp_path / "log.trap").touch()
    with pytest.raises(RuntimeError, match="told to fail"):
        await il.ainvoke("deeds", {"text": str(tmp_path / "log")}, thread_id="t")
    (tmp_path / "log.trap").unlink()

    run = await il.aresume("t")

    assert (run.output["said"], run.output["ratio"]) == (["a\0b"], float("inf"))
    assert (tmp_path / "log").read_text() == "done\n"


@pytest.mark.parametrize("thread_id", ["", "  ", "a\0b", "line\nbreak", "\udcff", "x" * 256])
async def test_a_thread_needs_a_name_that_can_be_stored(il: Interlock, thread_id: str) -> None:
    """What cannot name a thread is refused before anything is saved."""
    with pytest.raises(UsageError, match="cannot name a thread"):
        await il.ainvoke("odd", {"do": "nothing"}, thread_id=thread_id)

    assert await il.athreads() == []


@pytest.mark.parametrize("thread_id", ["x" * 255, "ü€ 😀 %s {} ' \\"])
async def test_a_thread_may_have_any_other_name(il: Interlock, thread_id: str) -> None:
    """Names are data everywhere: in statements, hashes and patterns."""
    await il.ainvoke("odd", {"do": "nothing"}, thread_id=thread_id)

    assert (await il.arun(thread_id)).thread_id == thread_id


async def test_input_keeps_the_application_s_own_types(il: Interlock) -> None:
    """A pydantic value that a caller passes reaches the graph as what it is."""
    graph = il.graph("odd")
    place = sys.modules[graph.builder.state_schema.__module__].Place

    run = await il.ainvoke("odd", {"do": "nothing", "place": place(name="Oslo")})

    assert run.output["place"] == place(name="Oslo")


async def test_input_that_cannot_be_saved_is_refused(il: Interlock) -> None:
    """It is said before a row is written."""
    with pytest.raises(UsageError, match="The input cannot be saved"):
        await il.ainvoke("odd", {"do": "nothing", "array": object()})

    assert await il.athreads() == []


@pytest.mark.parametrize("form", ["msgpack", "json", "pickle"])
async def test_a_class_smuggled_into_the_database_is_not_constructed(
    il: Interlock, database_url: str, tmp_path: Path, form: str
) -> None:
    """Whoever can write rows cannot run code: neither from a checkpoint nor from a run's input."""
    await il.ainvoke("odd", {"do": "nothing"}, thread_id="t")
    act = f"touch {tmp_path / 'broken_in'}"
    inner = ormsgpack.packb(("os", "system", act))
    evil = {
        "msgpack": ormsgpack.packb(ormsgpack.Ext(0, inner)),
        "json": b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["%s"]}'
        % act.encode(),
        "pickle": b"cos\nsystem\n(S'%s'\ntR." % act.encode(),
    }[form]
    await sql(
        database_url,
        "update checkpoint_blobs set type = %s, blob = %s where channel = 'said'",
        form,
        evil,
    )
    await sql(database_url, "update interlock.runs set input_type = %s, input = %s", form, evil)

    refused = pytest.raises(NotImplementedError, match="pickle")
    with refused if form == "pickle" else nullcontext():
        await il.ahistory("t")
    with refused if form == "pickle" else nullcontext():
        (await il.store.latest("t")).input(strict_serializer(il.graph("odd")))

    assert not (tmp_path / "broken_in").exists()


# --- threads and graphs ---


async def test_a_thread_belongs_to_one_graph(il: Interlock) -> None:
    """Another graph's run would mix two states."""
    await il.ainvoke("odd", {"do": "nothing"}, thread_id="t")

    with pytest.raises(UsageError, match="belongs to the graph 'odd', not to 'gates'"):
        await il.ainvoke("gates", {}, thread_id="t")

    assert (await il.arun("t")).status == "succeeded"


async def test_a_name_that_a_caller_gave_is_never_completed(il: Interlock) -> None:
    """`order-1` is neither `order-10` nor hidden by it; only generated ids may be abbreviated."""
    for name in ("order-10", "order-11", "order-12"):
        await il.ainvoke("odd", {"do": "nothing"}, thread_id=name)
    with pytest.raises(NotFound, match="no thread 'order-1'"):
        await il.arun("order-1")
    await il.ainvoke("odd", {"do": "nothing"}, thread_id="order-1")

    assert (await il.arun("order-1")).thread_id == "order-1"


async def test_a_fork_at_a_later_input_changes_that_input(il: Interlock, tmp_path: Path) -> None:
    """A thread had two inputs; forked before the second is applied, the changed value is not overwritten by it."""
    log = tmp_path / "log"
    await il.ainvoke("counter", count_to(1, log), thread_id="t")
    await il.ainvoke("counter", count_to(4, log), thread_id="t")
    second = [step for step in await il.ahistory("t") if step.source == "input"][1]

    changed = await il.afork("t", at=second.checkpoint_id, values={"goal": 2})
    same = await il.afork("t", at=second.checkpoint_id)

    assert (changed.output, same.output) == ({"count": 2}, {"count": 4})
    seen = (await il.ahistory(changed.thread_id))[-1].values["seen"]
    assert seen[:5] == ["begin", "step", "branch", "branch", "end"]


async def test_another_model_is_said_by_the_run_that_uses_it(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Resuming with another model is told by the run, and by its row."""
    run = await il.asubmit("counter", count_to(1, tmp_path / "log"))
    await sql(
        database_url, """update interlock.runs set context = context || '{"model": "gone:model"}'"""
    )

    ended = await il.aresume(run.thread_id, model="offline:extractive")

    assert (ended.model, (await il.arun(run.thread_id)).model) == ("offline:extractive",) * 2


# --- processes ---


async def test_many_processes_may_start_on_an_empty_database(
    postgres_server: embedded.EmbeddedServer,
) -> None:
    """Ten migrations at once make the tables once; indexes built concurrently do not deadlock with those who wait."""
    await sql(postgres_server.url, "create database crowd")
    url = postgres_server.url.replace("@/interlock?", "@/crowd?")

    ran = await asyncio.gather(*(migrate(url) for _ in range(10)))

    assert sorted(ran, key=len) == [[]] * 9 + [[name for name, _ in scripts()]]


async def test_a_database_with_running_threads_is_not_emptied(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A reset counts the threads that any process holds."""
    async for part in il.astream("counter", count_to(1, tmp_path / "log")):
        if part["type"] == "custom":
            with pytest.raises(ThreadBusy, match=r"1 thread\(s\)"):
                await reset(database_url)


def test_a_forked_process_has_a_loop_of_its_own() -> None:
    """The background thread is not there after `fork`; a synchronous call in the child does not wait for it forever."""

    async def one() -> int:
        return 1

    assert run_sync(one()) == 1
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if run_sync(one()) == 1 else 1)

    assert os.waitpid(child, 0)[1] == 0
