"""Runs that are handed to workers: accepted once, begun in their time, cancelled wherever they are, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Interlock, Resume
from interlock.core.queueing import MultitaskStrategy, Options
from interlock.errors import NotFound, StillRunning, ThreadBusy, UsageError
from interlock.postgres.stored_runs import Ending
from interlock.settings import Settings
from tests.questions import sql
from tests.submitting import CONFIG, PATIENCE, events, left, until, working

NOW = {"name": "a", "how": ""}
PERSON = {"name": "a", "how": "person"}
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    settings = Settings(user="ann", tenant="acme")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as opened:
        yield opened


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def held(gate: Path) -> dict[str, Any]:
    """The input of a run that waits for a file."""
    return {"name": "a", "how": "hold", "file": str(gate)}


# --- accepting ---


async def test_a_run_is_accepted_with_its_place_in_the_line(
    il: Interlock, database_url: str
) -> None:
    """Row, options, queue and event are there when it returns."""
    run = await il.asubmit("steps", NOW, options=Options(priority=7))

    [row] = await sql(database_url, "select run_id, tenant, priority, ready from interlock.queue")
    assert row == {"run_id": run.run_id, "tenant": "acme", "priority": 7, "ready": True}
    assert (run.status, await events(database_url, run.run_id)) == ("queued", ["submitted"])


async def test_a_worker_runs_what_was_submitted(il: Interlock, database_url: str) -> None:
    """To its end, which is waited for; nothing is left in the line."""
    async with working(il):
        run = await il.asubmit("steps", NOW)
        ended = await il.await_run(run.run_id, PATIENCE)

    assert (ended.status, ended.output["said"]) == ("succeeded", ["a first", "a second", "a last"])
    assert await events(database_url, run.run_id) == ["submitted", "claimed", "succeeded"]
    assert await left(database_url) == {}


async def test_a_deadline_that_has_passed_is_refused(il: Interlock, database_url: str) -> None:
    """Nothing is accepted; but who submits again under a key, long after its deadline, is given the run."""
    past = datetime(2001, 1, 1, tzinfo=UTC)
    with pytest.raises(UsageError, match="The deadline 2001-01-01T00:00:00\\+00:00 has passed"):
        await il.asubmit("steps", NOW, options=Options(deadline=past))
    with pytest.raises(UsageError, match="has passed"):
        await il.asubmit("steps", NOW, options=Options(deadline=past, idempotency_key="new"))
    assert await left(database_url) == {}

    once = await il.asubmit("steps", NOW, options=Options(deadline=LATER, idempotency_key="k"))
    again = await il.asubmit("steps", NOW, options=Options(deadline=past, idempotency_key="k"))
    assert again.run_id == once.run_id


async def test_what_was_submitted_can_be_resumed_here(il: Interlock, database_url: str) -> None:
    """Where there is no worker: it leaves the line when it begins."""
    run = await il.asubmit("steps", NOW)

    ended = await il.aresume(run.thread_id)

    assert (ended.run_id, ended.status, await left(database_url)) == (run.run_id, "succeeded", {})


async def test_an_attended_run_has_no_place_in_the_line(il: Interlock, database_url: str) -> None:
    """Nobody works on it unasked."""
    run = await il.asubmit("steps", NOW, attended=True)

    assert (run.status, await left(database_url)) == ("queued", {})


async def test_an_answer_is_gone_on_with_by_a_worker(il: Interlock) -> None:
    """Who waits for the run that asked gets the one that goes on with it."""
    asked = await il.ainvoke("steps", PERSON)
    async with working(il):
        await il.asubmit_answer(asked.thread_id, Resume(asked.interrupts[0].id, "yes"))
        ended = await il.await_run(asked.run_id, PATIENCE)

    assert (ended.kind, ended.status) == ("resume", "succeeded")
    assert ended.output["said"] == ["a first", "a was told yes", "a last"]


async def test_a_fork_is_run_by_a_worker(il: Interlock) -> None:
    """From the step that it was forked at."""
    run = await il.ainvoke("steps", NOW)
    async with working(il):
        fork = await il.asubmit_fork(run.thread_id, at=1, values={"name": "b"})
        ended = await il.await_run(fork.run_id, PATIENCE)

    assert ended.output["said"] == ["a first", "b second", "b last"]


# --- idempotency ---


async def test_two_submissions_under_one_key_are_one_run(il: Interlock) -> None:
    """Also after it has ended."""
    options = Options(idempotency_key="k")
    first = await il.asubmit("steps", NOW, options=options)
    assert (await il.asubmit("steps", NOW, options=options)).run_id == first.run_id
    await il.aresume(first.thread_id)

    again = await il.asubmit("steps", NOW, options=options)

    assert (again.run_id, again.status) == (first.run_id, "succeeded")


@pytest.mark.parametrize("thread", [None, "t"])
async def test_of_simultaneous_submissions_under_one_key_one_is_accepted(
    il: Interlock, database_url: str, thread: str | None
) -> None:
    """The others are told of it; no error leaks."""
    async with interlock.aopen(database_url, config=CONFIG, settings=il.settings) as other:
        runs = await asyncio.gather(
            *(
                each.asubmit("steps", NOW, thread_id=thread, options=Options(idempotency_key="k"))
                for each in (il, other) * 8
            )
        )

    assert len({each.run_id for each in runs}) == 1
    assert len(await sql(database_url, "select run_id from interlock.runs")) == 1


async def test_a_key_belongs_to_one_tenant(il: Interlock, database_url: str) -> None:
    """Another tenant's equal key is another one."""
    options = Options(idempotency_key="k")
    settings = Settings(tenant="other")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as other:
        theirs = await other.asubmit("steps", NOW, options=options)
    assert (await il.asubmit("steps", NOW, options=options)).run_id != theirs.run_id


@pytest.mark.parametrize(
    ("given", "thread"), [({"name": "b", "how": ""}, None), (NOW, "another thread")]
)
async def test_a_key_that_was_used_for_another_request_is_refused(
    il: Interlock, given: dict[str, Any], thread: str | None
) -> None:
    """Which run has it is said, and nothing is accepted."""
    options = Options(idempotency_key="k")
    run = await il.asubmit("steps", NOW, options=options)

    with pytest.raises(UsageError, match=run.run_id):
        await il.asubmit("steps", given, thread_id=thread, options=options)


# --- options ---


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(priority=1001), "1001"),
        (Options(start_at=datetime(2100, 1, 1)), "time zone"),  # noqa: DTZ001  # that is the point
        (Options(idempotency_key="k" * 256), "255"),
        (Options(multitask_strategy="ignore"), "ignore"),  # type: ignore[arg-type]  # same
        (Options(multitask_strategy="interrupt", start_at=LATER), "later"),
    ],
)
async def test_options_that_mean_nothing_are_refused(
    il: Interlock, database_url: str, options: Options, says: str
) -> None:
    """In words, before anything is written."""
    with pytest.raises(UsageError, match=says):
        await il.asubmit("steps", NOW, options=options)

    assert await sql(database_url, "select thread_id from interlock.threads") == []


async def test_a_more_urgent_run_goes_first(il: Interlock, database_url: str) -> None:
    """And a run that waits long enough goes before a more urgent one: each step is a minute."""
    old = await il.asubmit("steps", NOW)
    await sql(database_url, "update interlock.queue set rank = rank - interval '3 minutes'")
    for priority in (2, 4):
        await il.asubmit("steps", NOW, options=Options(priority=priority))

    line = await sql(database_url, "select run_id, priority from interlock.queue order by rank")

    assert [each["priority"] for each in line] == [4, 0, 2]
    assert line[1]["run_id"] == old.run_id


async def test_a_run_that_starts_later_has_a_timer_and_lets_others_pass(
    il: Interlock, database_url: str
) -> None:
    """It is in the line when its time has come, and not before."""
    run = await il.asubmit("steps", NOW, thread_id="t", options=Options(start_at=LATER))
    assert await left(database_url) == {"timers": 1}

    between = await il.asubmit("steps", {"name": "b", "how": ""}, thread_id="t")
    async with working(il):
        assert (await il.await_run(between.run_id, PATIENCE)).status == "succeeded"
        assert (await il.arun("t")).run_id == between.run_id
        await due(database_url)
        ended = await il.await_run(run.run_id, PATIENCE)

    assert ended.output["said"][-1] == "a last"
    assert len(ended.output["said"]) == 6


async def test_a_run_is_cancelled_at_its_deadline(
    il: Interlock, database_url: str, gate: Path
) -> None:
    """Also while a worker runs it."""
    async with working(il):
        run = await il.asubmit("steps", held(gate), options=Options(deadline=LATER))
        await until_running(il, run.run_id)
        await due(database_url)
        ended = await il.await_run(run.run_id, PATIENCE)

    assert (ended.status, ended.error_kind) == ("cancelled", "RunCancelled")
    assert ended.error == "Its deadline passed before it had ended."


async def test_a_deadline_counts_for_what_goes_on_after_an_answer(
    il: Interlock, database_url: str
) -> None:
    """The time that it waits for people counts too; nothing of it stays open."""
    run = await il.asubmit("steps", PERSON, options=Options(deadline=LATER))
    await il.aresume(run.thread_id)
    [question] = await il.aquestions()
    resumed = await il.asubmit_answer(run.thread_id, Resume(question.id, "yes"))
    assert resumed.status == "queued"

    await stop_at_deadline(database_url, run.run_id)

    assert (await il.arun(run.thread_id)).status == "cancelled"
    assert await left(database_url) == {}


async def test_a_run_that_has_ended_leaves_no_deadline(il: Interlock, database_url: str) -> None:
    """Its timer is cancelled with its end, also when another run has gone on with it."""
    run = await il.asubmit("steps", PERSON, options=Options(deadline=LATER))
    asked = await il.aresume(run.thread_id)
    assert await left(database_url) == {"timers": 1, "questions": 1}

    await il.aresume(run.thread_id, Resume(asked.interrupts[0].id, "yes"))

    assert await left(database_url) == {}


# --- cancelling ---


async def test_a_queued_run_is_cancelled_at_once(il: Interlock, database_url: str) -> None:
    """With its place in the line and its timers; who did it and why is told."""
    run = await il.asubmit("steps", NOW, options=Options(deadline=LATER))

    cancelled = await il.acancel(run.run_id, reason="not needed")

    assert (cancelled.status, cancelled.error) == (
        "cancelled",
        "It was cancelled by ann: not needed.",
    )
    assert await left(database_url) == {}
    assert await events(database_url, run.run_id) == ["submitted", "cancelled"]


async def test_a_waiting_run_is_cancelled_with_its_questions(
    il: Interlock, database_url: str
) -> None:
    """An answer comes too late, and the thread is free."""
    asked = await il.ainvoke("steps", PERSON, thread_id="t")

    cancelled = await il.acancel("t", by="bob")

    assert (cancelled.run_id, cancelled.status) == (asked.run_id, "cancelled")
    assert await left(database_url) == {}
    with pytest.raises(interlock.errors.AnswerRefused):
        await il.asubmit_answer("t", Resume(asked.interrupts[0].id, "yes"))
    assert (await il.ainvoke("steps", NOW, thread_id="t")).status == "succeeded"


async def test_a_sleeping_run_is_cancelled_with_its_timer(il: Interlock, database_url: str) -> None:
    """Nothing wakes it any more."""
    run = await il.ainvoke("steps", {"name": "a", "how": "sleep"})

    assert (await il.acancel(run.run_id)).status == "cancelled"
    assert await left(database_url) == {}


async def test_a_run_is_cancelled_in_the_process_that_runs_it(
    il: Interlock, database_url: str, gate: Path
) -> None:
    """Whoever called it gets it as cancelled."""
    running = asyncio.create_task(il.ainvoke("steps", held(gate), thread_id="t"))
    await until_thread_runs(il)

    async with interlock.aopen(database_url, config=CONFIG, settings=Settings()) as other:
        cancelled = await other.acancel("t", reason="no", by="bob")

    ended = await running
    assert (ended.status, ended.error) == ("cancelled", "It was cancelled by bob: no.")
    assert (cancelled.status, cancelled.error) == ("cancelled", "It was cancelled by bob: no.")
    assert await left(database_url) == {}


async def test_those_behind_a_cancelled_run_go_on(il: Interlock, gate: Path) -> None:
    """A thread's name means the run that it is at."""
    async with working(il):
        first = await il.asubmit("steps", held(gate), thread_id="t")
        await until_running(il, first.run_id)
        options = Options(multitask_strategy="enqueue")
        second = await il.asubmit("steps", NOW, thread_id="t", options=options)

        assert (await il.acancel("t")).run_id == first.run_id

        assert (await il.await_run(second.run_id, PATIENCE)).status == "succeeded"


@pytest.mark.parametrize("strategy", [None, "interrupt", "rollback"])
async def test_what_lost_its_process_is_cancelled_all_the_same(
    il: Interlock, database_url: str, strategy: MultitaskStrategy | None
) -> None:
    """Nobody is there to see the order; whoever gives it carries it out."""
    run = await il.asubmit("steps", NOW, thread_id="t", attended=True)
    await il.store.start(run, "gone:1", {})
    assert (await il.arun("t")).alive is False

    if strategy is None:
        await il.acancel("t")
    else:
        options = Options(multitask_strategy=strategy)
        await il.asubmit("steps", NOW, thread_id="t", options=options)

    assert (await il.store.stored(run.run_id)).run.status == "cancelled"
    assert set(await left(database_url)) <= {"queue"}


async def test_a_run_that_has_ended_is_not_cancelled(il: Interlock) -> None:
    """It is returned as it is."""
    run = await il.ainvoke("steps", NOW)

    assert (await il.acancel(run.run_id)).status == "succeeded"


async def test_what_asks_while_it_is_cancelled_asks_nobody(
    il: Interlock, database_url: str
) -> None:
    """The order was there before the question, and nobody has seen it yet."""
    run = await il.asubmit("steps", PERSON, attended=True)
    await il.store.start(run, "here:1", {})
    assert (await stop_at_deadline(database_url, run.run_id)) == "ordered"

    ending = await il.store.end(run, waiting())

    assert (ending.status, await left(database_url)) == ("cancelled", {})


# --- waiting ---


async def test_the_end_of_a_run_is_told(il: Interlock) -> None:
    """Not found by looking: with an hour between two looks it is told all the same."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("interlock.submitting.POLL_SECONDS", 3600)
        run = await il.asubmit("steps", NOW)
        waiting = asyncio.create_task(il.await_run(run.run_id))
        await until_listening(il)

        await il.aresume(run.thread_id)

        async with asyncio.timeout(PATIENCE):
            assert (await waiting).status == "succeeded"


async def test_without_news_the_end_of_a_run_is_found(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow look under the news."""
    monkeypatch.setattr("interlock.submitting.POLL_SECONDS", 0.02)
    monkeypatch.setattr(il.endings, "_tell", lambda run_id: None)
    run = await il.asubmit("steps", NOW)
    waiting = asyncio.create_task(il.await_run(run.run_id))

    await il.aresume(run.thread_id)

    async with asyncio.timeout(PATIENCE):
        assert (await waiting).status == "succeeded"


async def test_a_lost_connection_loses_no_end(
    il: Interlock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told meanwhile is looked for once it listens again."""
    monkeypatch.setattr("interlock.submitting.POLL_SECONDS", 3600)
    run = await il.asubmit("steps", NOW)
    waiting = asyncio.create_task(il.await_run(run.run_id))
    await until_listening(il)
    await sql(
        database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'interlock ended'"
        " and datname = current_database()",
    )

    await il.aresume(run.thread_id)

    async with asyncio.timeout(PATIENCE):
        assert (await waiting).status == "succeeded"


async def test_who_waits_too_long_is_told(il: Interlock) -> None:
    """The run goes on."""
    run = await il.asubmit("steps", NOW)

    with pytest.raises(StillRunning, match="has not ended"):
        await il.await_run(run.run_id, 0.05)

    assert (await il.arun(run.thread_id)).status == "queued"


async def test_a_run_that_waits_for_a_person_is_waited_for_no_longer(il: Interlock) -> None:
    """With its question."""
    async with working(il):
        run = await il.asubmit("steps", PERSON)
        asked = await il.await_run(run.run_id, PATIENCE)

    assert (asked.status, len(asked.interrupts)) == ("waiting", 1)


async def test_a_run_is_named_by_its_beginning(il: Interlock) -> None:
    """Or by its thread; what fits nothing is refused."""
    run = await il.ainvoke("steps", NOW)

    for name in (run.run_id[:8], run.thread_id, run.thread_id[:8]):
        assert (await il.await_run(name)).run_id == run.run_id
    with pytest.raises(NotFound, match="nobody"):
        await il.await_run("nobody")


async def test_an_earlier_run_is_told_as_it_ended(il: Interlock) -> None:
    """With its own output, though its thread has gone on."""
    first = await il.ainvoke("steps", NOW, thread_id="t")
    await il.ainvoke("steps", {"name": "b", "how": ""}, thread_id="t")

    found = await il.await_run(first.run_id)

    assert (found.run_id, found.output["said"]) == (first.run_id, ["a first", "a second", "a last"])


async def test_the_database_refuses_what_the_table_of_transitions_does(
    il: Interlock, database_url: str
) -> None:
    """Whatever the code above forgets."""
    run = await il.ainvoke("steps", NOW)

    with pytest.raises(psycopg.errors.CheckViolation):
        await sql(
            database_url,
            "update interlock.runs set status = 'running' where run_id = %s",
            run.run_id,
        )


async def test_a_busy_thread_says_what_to_do(il: Interlock) -> None:
    """The default."""
    await il.asubmit("steps", NOW, thread_id="t")

    with pytest.raises(ThreadBusy, match="interlock resume t"):
        await il.asubmit("steps", NOW, thread_id="t")


def waiting() -> Ending:
    """The end of an attempt that asks a person."""
    return Ending(status="waiting")


async def due(url: str) -> None:
    """Let the time of every timer have come."""
    await sql(url, "update interlock.timers set due_at = clock_timestamp() where state = 'set'")


async def stop_at_deadline(url: str, run_id: str) -> str:
    """What the timer of a deadline does."""
    [row] = await sql(url, "select interlock.stop_run(%s, 'deadline', '', '') as how", run_id)
    return str(row["how"])


async def until_running(il: Interlock, run_id: str) -> None:
    """Return when somebody runs it."""

    async def running() -> bool:
        return (await il.store.stored(run_id)).run.status == "running"

    await until(running)


async def until_thread_runs(il: Interlock) -> None:
    """Return when the thread has a run, and it runs."""

    async def running() -> bool:
        threads = await il.athreads()
        return [each.status for each in threads] == ["running"]

    await until(running)


async def until_listening(il: Interlock) -> None:
    """Return when the ends of runs are heard."""

    async def listening() -> bool:
        rows = await sql(
            il.url,
            "select pid from pg_stat_activity where application_name = 'interlock ended' and state = 'idle'"
            " and query ilike 'listen%%' and datname = current_database()",
        )
        return bool(rows)

    await until(listening)


async def test_a_worker_cancels_what_lost_its_process_before_it_saw_the_order(
    il: Interlock, database_url: str
) -> None:
    """Nobody has to come and cancel it again; those behind it go on."""
    run = await il.asubmit("steps", NOW, thread_id="t", attended=True)
    await il.store.start(run, "gone:1", {})
    options = Options(multitask_strategy="enqueue")
    behind = await il.asubmit("steps", NOW, thread_id="t", options=options)
    assert await stop_at_deadline(database_url, run.run_id) == "ordered"

    async with working(il):
        ended = await il.await_run(behind.run_id, PATIENCE)

    assert ended.status == "succeeded"
    assert (await il.store.stored(run.run_id)).run.status == "cancelled"
