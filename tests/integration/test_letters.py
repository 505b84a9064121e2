"""Runs that nobody waits for: tried again, or dead with a letter, which a person replays or discards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Interlock
from interlock.core.letters import LetterDetail
from interlock.core.runs import Run
from interlock.errors import Killed, NotFound, OutputInvalid, UsageError
from interlock.postgres.letters import revive
from interlock.postgres.pool import connected
from interlock.settings import Settings
from interlock.testing import OneModel, ScriptedModel, Turn
from tests.unattended import attempt
from tests.working import rows, until

CONFIG = Path(__file__).parents[1] / "sample" / "failing" / "langgraph.json"


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel.of()


@pytest.fixture
async def il(database_url: str, model: ScriptedModel) -> AsyncIterator[Interlock]:
    settings = Settings(user="ann", tenant="acme")
    opened = interlock.aopen(
        database_url, config=CONFIG, settings=settings, models=OneModel(chat=model)
    )
    async with opened as il:
        yield il


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def fails(log: Path, times: int, how: str = "network") -> dict[str, Any]:
    """Return the input of a run whose second node fails so often."""
    Path(f"{log}.left").write_text(str(times))
    return {"how": how, "log": str(log)}


async def died(il: Interlock, log: Path, how: str = "bug", graph: str = "fails") -> Run:
    """Return a run that is dead."""
    run = await il.asubmit(graph, fails(log, 1, how))
    dead = await attempt(il, run.run_id)
    assert dead.status == "dead"
    return dead


async def letter_of(il: Interlock, run: Run) -> LetterDetail:
    (letter,) = [each for each in await il.aletters() if each.run_id == run.run_id]
    return await il.aletter(letter.id)


async def test_a_node_that_succeeds_at_the_third_try(
    il: Interlock, log: Path, database_url: str
) -> None:
    """It is queued again each time, steps and acts that were done are not done again, and no letter is written."""
    run = await il.asubmit("fails", fails(log, 2))

    stood = [(await attempt(il, run.run_id)).status for _ in range(3)]

    assert stood == ["queued", "queued", "succeeded"]
    assert log.read_text().split() == ["begin", "act", "fail", "fail", "end"]
    assert await il.aletters(status=None) == []
    assert timers(database_url, run) == 2
    assert [each[:2] for each in retried(database_url, run)] == [("transient", 1), ("transient", 2)]


async def test_a_run_that_gets_on_has_all_its_retries_again(il: Interlock, log: Path) -> None:
    """Failures are counted since the last step."""
    Path(f"{log}.end.left").write_text("3")
    run = await il.asubmit("fails", fails(log, 3))

    stood = [(await attempt(il, run.run_id)).status for _ in range(7)]

    assert stood == [*["queued"] * 6, "succeeded"]


async def test_a_task_that_is_finished_counts_as_getting_on(
    il: Interlock, log: Path, database_url: str
) -> None:
    """Beside the one that fails; what LangGraph writes of a failure does not."""
    run = await il.asubmit("fails", fails(log, 1))
    await attempt(il, run.run_id)
    tries, progress = await il.store.tries(run, "transient")

    written(database_url, run, "__error__")
    assert await il.store.tries(run, "transient") == (tries, progress) == (1, progress)
    assert (await il.store.tries(run, "rate_limit"))[0] == 0

    written(database_url, run, "said")
    assert (await il.store.tries(run, "transient"))[0] == 0


async def test_a_run_that_does_not_get_on_is_dead_in_the_end(il: Interlock, log: Path) -> None:
    """When its retries are used up; the letter says so."""
    run = await il.asubmit("fails", fails(log, 9))

    stood = [(await attempt(il, run.run_id)).status for _ in range(4)]

    assert stood == ["queued", "queued", "queued", "dead"]
    letter = (await il.aletters())[0]
    assert (letter.kind, letter.because, letter.attempts) == (
        "transient",
        "it failed 4 times in a row without a new checkpoint",
        4,
    )


async def test_a_rate_limit_is_waited_for(il: Interlock, log: Path, database_url: str) -> None:
    """As long as the provider says, and not less."""
    run = await il.asubmit("fails", fails(log, 1, "limited"))

    assert (await attempt(il, run.run_id)).status == "queued"
    ((kind, _, seconds),) = retried(database_url, run)
    assert kind == "rate_limit"
    assert 0.05 <= seconds <= 0.07
    assert (await attempt(il, run.run_id)).status == "succeeded"


async def test_a_bug_is_a_letter_at_once(il: Interlock, log: Path) -> None:
    """It tells what failed, where and why, what was done to the world, and what a replay would do."""
    run = await died(il, log)

    detail = await letter_of(il, run)

    letter = detail.letter
    assert (letter.kind, letter.error, letter.node, letter.error_type, letter.tenant) == (
        "bug",
        "KeyError: 'a bug'",
        "fail",
        "KeyError",
        "acme",
    )
    assert letter.because == "the same code would fail again"
    assert 'raise KeyError("a bug")' in letter.traceback
    assert detail.state == {"how": "bug", "log": str(log), "said": ["sent begin"]}
    assert (detail.step, detail.next, detail.refused) == (1, ("fail",), "")
    assert [each.arguments["text"] for each in detail.done] == ["begin", "act"]
    assert [each.kind for each in detail.events][-1] == "dead"
    assert detail.replaying == [
        "The same run goes on after step 1, with fail; its tries are counted anew.",
        "2 acts were already done: an equal request is answered from the ledger.",
        "Models are asked anew in the node that failed.",
        "It fails again unless the code, or what it works on, has changed.",
    ]


async def test_a_replay_goes_on_from_the_last_checkpoint(il: Interlock, log: Path) -> None:
    """The same run is queued for the workers, does what was left, and its letter says who did that and why."""
    run = await died(il, log)
    letter = (await letter_of(il, run)).letter

    closed = await il.aletter_replay(letter.id[:4], reason="mended", by="ben")

    assert (closed.status, closed.closed_by, closed.closed_why) == ("replayed", "ben", "mended")
    assert (await attempt(il, run.run_id)).status == "succeeded"
    assert log.read_text().split() == ["begin", "act", "fail", "end"]
    assert await il.aletters() == []
    with pytest.raises(UsageError, match="was replayed by ben already"):
        await il.aletter_replay(letter.id)


async def test_a_replay_forgets_the_tries(il: Interlock, log: Path) -> None:
    """What failed too often before it has all its retries again, and a second letter after that."""
    run = await il.asubmit("fails", fails(log, 99))
    for _ in range(4):
        await attempt(il, run.run_id)
    first = (await il.aletters())[0]

    await il.aletter_replay(first.id)
    stood = [(await attempt(il, run.run_id)).status for _ in range(4)]

    assert stood == ["queued", "queued", "queued", "dead"]
    assert [each.id == first.id for each in await il.aletters(status=None)] == [False, True]


async def test_a_repaired_letter_keeps_what_was_changed(il: Interlock, log: Path) -> None:
    """Its run goes on as after a replay."""
    run = await died(il, log)
    letter = (await letter_of(il, run)).letter
    change = {"kind": "state", "values": {"how": "network"}}

    async with connected(il._pool) as connection, connection.transaction():
        await revive(connection, letter.id, by="ben", status="repaired", proposal=change)

    (repaired,) = await il.aletters(status="repaired")
    assert (repaired.closed_by, repaired.proposal) == ("ben", change)
    assert (await attempt(il, run.run_id)).status == "succeeded"


async def test_resuming_by_hand_closes_the_letter(il: Interlock, log: Path) -> None:
    """A dead run that somebody goes on with is no dead letter any more, and fails to whoever waits for it."""
    run = await died(il, log)

    assert (await il.aresume(run.thread_id)).status == "succeeded"
    (letter,) = await il.aletters(status=None)
    assert letter.status == "replayed"


async def test_an_attended_run_fails_to_its_caller(il: Interlock, log: Path) -> None:
    """Whoever waits for it is told: nothing is tried again, and no letter is written."""
    with pytest.raises(ConnectionResetError):
        await il.ainvoke("fails", fails(log, 1))

    assert await il.aletters(status=None) == []
    assert (await il.athreads())[0].status == "failed"


async def test_what_a_budget_stopped_is_a_letter(il: Interlock) -> None:
    """More has to be allowed first; so it is for steps that a graph may take."""
    for graph, kind in (("spends", "budget"), ("rounds", "limit")):
        run = await il.asubmit(graph, {})
        assert (await attempt(il, run.run_id)).status == "dead"
        assert (await letter_of(il, run)).letter.kind == kind


async def test_an_answer_that_never_fits_is_a_letter(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """After the model was shown its fault three times; a replay asks anew."""
    model.then(*[Turn(reply='{"value": -1}')] * 4)
    run = await il.asubmit("fails", fails(log, 1, "invalid"), model="scripted:model")

    assert (await attempt(il, run.run_id)).status == "dead"
    detail = await letter_of(il, run)
    assert detail.letter.kind == "invalid_output"
    assert detail.letter.error_type == OutputInvalid.__name__
    assert [(each.node, each.calls) for each in detail.calls] == [("fail", 4)]
    model.assert_done()


async def test_the_node_is_named_through_its_graphs(il: Interlock, log: Path) -> None:
    """From the thread's own graph inwards."""
    run = await died(il, log, graph="nested")

    letter = (await letter_of(il, run)).letter
    assert (letter.node, letter.error) == ("whole / deep", "ZeroDivisionError: inside")


async def test_passwords_are_in_no_letter(il: Interlock, log: Path, database_url: str) -> None:
    """Nor in the run's row, or in what is written of each try."""
    run = await il.asubmit("fails", fails(log, 99))
    for _ in range(4):
        run = await attempt(il, run.run_id)

    letter = (await il.aletters())[0]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select l::text, r.error from interlock.letters l join interlock.runs r using (run_id)"
        ).fetchall()
        events = connection.execute("select detail::text from interlock.run_events").fetchall()
    assert "postgresql://me:[password]@host/db" in letter.error
    assert "hunter2hunter2" not in f"{rows}{events}"


async def test_a_thread_that_has_gone_on_is_not_replayed(
    il: Interlock, log: Path, tmp_path: Path
) -> None:
    """Its state is another by now; what may be done instead is said."""
    run = await died(il, log)
    other = await il.ainvoke("fails", fails(tmp_path / "other", 0), thread_id=run.thread_id)

    detail = await letter_of(il, run)
    assert f"has gone on since: run {other.run_id} has succeeded" in detail.refused
    assert detail.replaying == [detail.refused]
    with pytest.raises(UsageError, match="has gone on since"):
        await il.aletter_replay(detail.letter.id)
    assert [each.id for each in await il.aletters()] == [detail.letter.id]


async def test_a_thread_that_goes_on_just_now_is_not_replayed(
    il: Interlock, log: Path, tmp_path: Path, database_url: str
) -> None:
    """A worker is claiming another run of it: what comes of that is waited for."""
    run = await died(il, log)
    letter = (await letter_of(il, run)).letter
    other = await il.asubmit("fails", fails(tmp_path / "other", 0), thread_id=run.thread_id)
    claims = "update interlock.runs set status = 'running', attempts = 1 where run_id = %s"
    waits = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(claims, (other.run_id,))
        replaying = asyncio.create_task(il.aletter_replay(letter.id))
        await until(lambda: rows(database_url, waits))
        await connection.commit()

    with pytest.raises(UsageError, match=f"has gone on since: run {other.run_id} has begun"):
        await replaying


async def test_discarding_gives_a_run_up(il: Interlock, log: Path) -> None:
    """It is cancelled for good, its error stays written, and the letter says who and why."""
    run = await died(il, log)
    letter = (await letter_of(il, run)).letter
    with pytest.raises(UsageError, match="for a reason"):
        await il.aletter_discard(letter.id, reason=" ")

    closed = await il.aletter_discard(letter.id, reason="nobody needs it")

    assert (closed.status, closed.closed_by, closed.closed_why) == (
        "discarded",
        "ann",
        "nobody needs it",
    )
    now = await il.arun(run.thread_id)
    assert (now.status, now.error) == ("cancelled", "KeyError: 'a bug'")
    with pytest.raises(UsageError):
        await il.aresume(run.thread_id)


@pytest.mark.parametrize(("graph", "waits"), [("fails", False), ("holds", True)])
async def test_what_waits_behind_a_dead_run(
    il: Interlock, log: Path, database_url: str, graph: str, waits: bool
) -> None:
    """The next run of the thread begins, unless its graph declares that it waits until the letter is closed."""
    from interlock.core.queueing import Options

    enqueue = Options(multitask_strategy="enqueue")
    run = await il.asubmit(graph, fails(log, 1, "bug"), options=enqueue)
    given: dict[str, Any] = {"how": "bug", "log": str(log)}
    behind = await il.asubmit(graph, given, thread_id=run.thread_id, options=enqueue)

    await attempt(il, run.run_id)
    assert ready(database_url, behind) is not waits
    detail = await letter_of(il, run)
    assert (detail.letter.holds, detail.behind) == (waits, int(waits))

    await il.aletter_discard(detail.letter.id, reason="why")
    assert ready(database_url, behind)


async def test_what_waits_behind_a_run_that_is_replayed(
    il: Interlock, log: Path, database_url: str
) -> None:
    """It goes on waiting until that has ended."""
    from interlock.core.queueing import Options

    enqueue = Options(multitask_strategy="enqueue")
    run = await il.asubmit("holds", fails(log, 1, "bug"), options=enqueue)
    given: dict[str, Any] = {"how": "bug", "log": str(log)}
    behind = await il.asubmit("holds", given, thread_id=run.thread_id, options=enqueue)
    await attempt(il, run.run_id)

    await il.aletter_replay((await letter_of(il, run)).letter.id)

    assert (ready(database_url, run), ready(database_url, behind)) == (True, False)
    assert (await attempt(il, run.run_id)).status == "succeeded"
    assert ready(database_url, behind)


async def test_letters_are_found_and_closed_together(
    il: Interlock, log: Path, tmp_path: Path
) -> None:
    """By kind, graph and time; one that cannot be replayed hinders no other, and is told of."""
    first = await died(il, tmp_path / "first")
    await il.ainvoke("fails", fails(tmp_path / "on", 0), thread_id=first.thread_id)
    second = await died(il, tmp_path / "second")
    await died(il, tmp_path / "third", graph="nested")

    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert len(await il.aletters(kind="bug", since=hour_ago)) == 3
    assert await il.aletters(since=hour_ago + timedelta(hours=2)) == []
    assert await il.aletters(kind="budget") == []

    closed = await il.aletters_replay(graph="fails", reason="mended")

    assert [(each.letter.run_id, bool(each.refused)) for each in closed] == [
        (first.run_id, True),
        (second.run_id, False),
    ]
    rest = await il.aletters_discard(kind="bug", reason="enough")
    assert [each.letter.graph for each in rest] == ["fails", "nested"]
    assert await il.aletters() == []


async def test_what_is_killed_is_not_replayed(il: Interlock, log: Path) -> None:
    """The letter stays open until the switch is lifted."""
    run = await died(il, log)
    letter = (await letter_of(il, run)).letter
    kill = await il.akill("graph", "fails", reason="why")

    with pytest.raises(Killed):
        await il.aletter_replay(letter.id)
    detail = await il.aletter(letter.id)
    assert (detail.letter.status, detail.refused[:23]) == ("open", "It may not be replayed:")

    await il.alift_kill(kill.id)
    await il.aletter_replay(letter.id)


async def test_a_letter_that_is_not_there(il: Interlock) -> None:
    """It is said, with how to find others."""
    with pytest.raises(NotFound, match="no letter 'nobody'"):
        await il.aletter("nobody")


def written(url: str, run: Run, channel: str) -> None:
    """Write what another task of the run's newest step left in a channel."""
    query = """insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, blob)
    select thread_id, '', max(checkpoint_id), %s, 0, %s, '' from checkpoints
    where thread_id = %s and checkpoint_ns = '' group by thread_id"""
    with psycopg.connect(url) as connection:
        connection.execute(query, [f"another {channel}", channel, run.thread_id])


def timers(url: str, run: Run) -> int:
    with psycopg.connect(url) as connection:
        query = "select count(*) from interlock.timers where run_id = %s and kind = 'retry'"
        row = connection.execute(query, [run.run_id]).fetchone()
    assert row is not None
    return int(row[0])


def retried(url: str, run: Run) -> list[tuple[str, int, float]]:
    query = """select detail ->> 'failure', (detail ->> 'tries')::int, (detail ->> 'retry_seconds')::float
    from interlock.run_events where run_id = %s and kind = 'retried' order by id"""
    with psycopg.connect(url) as connection:
        return [(r[0], r[1], r[2]) for r in connection.execute(query, [run.run_id])]


def ready(url: str, run: Run) -> bool:
    with psycopg.connect(url) as connection:
        query = "select ready from interlock.queue where run_id = %s"
        row = connection.execute(query, [run.run_id]).fetchone()
    return bool(row and row[0])
