"""What a run that nobody limits asks of the database, counted; and that what it leaves out is not missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint

import interlock
from interlock import Interlock
from interlock.core.budget import Amounts, Limits, Scope
from interlock.core.queueing import Options
from interlock.core.walltime import Charge
from interlock.postgres.budgets import charge_together
from interlock.postgres.checkpointer.sending import Packed
from interlock.postgres.checkpoints import HELD, saver_for
from interlock.postgres.pool import connected
from interlock.postgres.queries import load
from interlock.worker import life
from tests.working import CONFIG, ended, lines, rows, steps, worker_at

NAMES = (
    "take_up",
    "finish_charged",
    "into checkpoint_blobs",
    "pg_advisory_unlock",
)


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@contextmanager
def listened(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note what this process's event loops ask of the database, by the names in `NAMES`; else by its text."""
    asked: list[str] = []
    execute, run = psycopg.AsyncCursor.execute, Packed.run

    def note(text: str) -> None:
        asked.append(next((name for name in NAMES if name in text), text))

    async def noting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        note(query.decode() if isinstance(query, bytes) else str(query))
        return await execute(self, query, *args, **kwargs)

    async def noting_packed(self: Packed, *args: Any) -> Any:
        note(self.text)
        return await run(self, *args)

    with patch.context() as within:
        within.setattr(psycopg.AsyncCursor, "execute", noting)
        within.setattr(Packed, "run", noting_packed)
        yield asked


async def test_an_attended_run_asks_for_what_it_needs(
    il: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun in one statement, saved after each of its steps, and let go; it is charged and ends with the last."""
    (tmp_path / "before").mkdir()
    await il.ainvoke("working", steps(tmp_path / "before"))  # connections are made, and named

    with listened(monkeypatch) as asked:
        run = await il.ainvoke("working", steps(tmp_path))

    assert run.output == {"done": 2}
    assert asked == [
        "take_up",
        "into checkpoint_blobs",  # the input, and the step that it begins with
        "into checkpoint_blobs",
        "finish_charged",
        "pg_advisory_unlock",
    ]


async def test_a_run_on_a_kept_thread_asks_for_no_more(
    il: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread's latest checkpoint comes with the statement that begins it."""
    (tmp_path / "before").mkdir()
    await il.ainvoke("working", steps(tmp_path / "before"), thread_id="t")

    with listened(monkeypatch) as asked:
        run = await il.ainvoke("working", steps(tmp_path, 3), thread_id="t")

    assert run.output == {"done": 3}
    assert asked == [
        "take_up",
        "into checkpoint_blobs",
        "finish_charged",
        "pg_advisory_unlock",
    ]


async def test_who_waits_for_a_run_of_another_process_looks_twice(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How it ended, and what came of it."""
    async with worker_at(database_url):
        run = await il.asubmit("working", steps(tmp_path))
        before = await il.await_run(run.run_id, timeout=30)

    with listened(monkeypatch) as asked:  # without the worker, which asks things of its own
        after = await il.await_run(run.run_id, timeout=30)

    assert after == before
    assert (after.run_id, after.status, after.attempts) == (run.run_id, "succeeded", 1)
    assert (after.output, after.created_at, after.error) == ({"done": 2}, run.created_at, "")
    assert ["goes_on_as" in each or "from checkpoints c" in each for each in asked] == [True] * 2


async def test_what_is_charged_at_the_end_is_all_of_it(il: Interlock, tmp_path: Path) -> None:
    """Two runs of two steps each on threads of their own: each thread is charged with two, their graph with four."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        await il.ainvoke("working", steps(tmp_path / name), thread_id=name)

    spent = [
        (await il.abudget(*of)).spent
        for of in (("thread", "a"), ("thread", "b"), ("graph", "working"))
    ]
    assert [each.steps for each in spent] == [2, 2, 4]
    assert all(each.seconds > 0 for each in spent)


async def test_a_stored_limit_holds_from_the_first_step(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """A limit of one step that was stored before a run was submitted stops it before its second."""
    await il.aset_budget("graph", "working", Limits(steps=1))
    async with worker_at(database_url):
        run = await il.asubmit("working", steps(tmp_path))
        ended_as = await il.await_run(run.run_id, timeout=30)

    assert ended_as.error_kind == "BudgetSpent"
    assert lines(tmp_path) == ["begin 1", "end 1"]


async def test_what_waits_behind_a_run_begins_when_that_ends(
    il: Interlock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that only looks every hour takes on each of five runs of one thread as soon as it may begin."""
    monkeypatch.setattr(life, "POLL_SECONDS", 3600.0)
    async with worker_at(database_url):
        for number in range(5):
            (tmp_path / str(number)).mkdir()
            await il.asubmit(
                "working",
                steps(tmp_path / str(number)),
                thread_id="t",
                options=Options(multitask_strategy="enqueue"),
            )
        await il.ajoin("t", timeout=30)

    assert (await ended(il, "t")).output == {"done": 6}  # two steps of the first, one of each other
    found = await rows(database_url, "select kind from interlock.run_events order by id")
    assert [kind for (kind,) in found].count("succeeded") == 5


async def test_an_input_is_saved_with_what_comes_next(il: Interlock, database_url: str) -> None:
    """Where a run says so: the checkpoint of an input alone is not written; the next one brings it along."""

    async def allowed(thread_id: str) -> None:
        """Let everything be written."""

    async def saved() -> list[tuple[str]]:
        return await rows(database_url, "select checkpoint_id from checkpoints order by 1")

    saver = saver_for(il.graph("working"), il.pool, allowed)
    names = {"thread_id": "t", "checkpoint_ns": "", HELD: []}
    given, first = empty_checkpoint(), empty_checkpoint()

    config = await saver.aput({"configurable": names}, given, {"source": "input", "step": -1}, {})
    assert await saved() == []

    config["configurable"][HELD] = names[HELD]
    await saver.aput(config, first, {"source": "loop", "step": 0}, {})
    assert await saved() == [(given["id"],), (first["id"],)]
    await saver.aclose()


async def test_runs_that_end_together_are_charged_together(il: Interlock) -> None:
    """Of two runs each is charged with its own, their graph with both; what is known is not taken twice."""
    a, b, graph = (
        Scope(kind="run", name="a"),
        Scope(kind="run", name="b"),
        Scope(kind="graph", name="g"),
    )
    fresh = Charge(scopes=(a, graph), seconds=1.5, clock="one", steps=(1, 2, 3), again=False)
    again = Charge(scopes=(b, graph), seconds=0.25, clock="two", steps=(1, 2))

    async with connected(il.pool) as connection:
        await charge_together(connection, [fresh, again])
        await charge_together(connection, [again])

    spent = [(await il.abudget(each.kind, each.name)).spent for each in (a, b, graph)]
    assert spent == [
        Amounts(steps=3, seconds=1.5),
        Amounts(steps=2, seconds=0.25),
        Amounts(steps=5, seconds=1.75),
    ]


@pytest.mark.parametrize(
    ("file", "name"),
    [("run_cards", "standing"), ("ended", "last_checkpoint"), ("runs", "latest_checkpoint")],
)
async def test_the_last_checkpoint_of_a_long_thread_is_found_without_reading_all(
    il: Interlock, database_url: str, tmp_path: Path, file: str, name: str
) -> None:
    """Whoever waits for a run asks for it when that ends, on a thread that may have thousands."""
    run = await il.ainvoke("working", steps(tmp_path, 1), thread_id="t")
    await rows(database_url, OLDER)
    await rows(database_url, "analyze checkpoints")
    values = {"run_id": run.run_id, "thread_id": "t"}
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(load(file)[name], values)
        assert await cursor.fetchone()
        explained = f"explain (analyze, format json) {load(file)[name]}"
        plan: Any = await (await connection.execute(explained.encode(), values)).fetchone()

    assert 0 < sum(_read(plan[0][0]["Plan"])) < 10


OLDER = """
insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata)
select 't', '', '0' || lpad(n::text, 7, '0'), '{}', '{"run_id": "another"}' from generate_series(1, 3000) as n
returning checkpoint_id
"""


def _read(node: dict[str, Any]) -> Iterator[float]:  # of a plan
    """Yield how many rows of checkpoints each node of a plan looked at."""
    if node.get("Relation Name") == "checkpoints":
        yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for each in node.get("Plans", ()):
        yield from _read(each)
