"""What a new run does to a thread that has one: each strategy, however the thread stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Resume
from interlock.core.queueing import MultitaskStrategy, Options
from interlock.core.run_states import RunStatus
from interlock.core.runs import Run
from interlock.errors import ThreadBusy
from interlock.settings import Settings
from tests.questions import sql
from tests.submitting import CONFIG, PATIENCE, until, working

THREAD = "t"
ZERO = ["zero first", "zero second", "zero last"]
OLD = ["old first", "old second", "old last"]
NEW = ["new first", "new second", "new last"]


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(
        database_url, config=CONFIG, settings=Settings(user="ann")
    ) as opened:
        yield opened


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@dataclass
class Thread:
    """A thread on which a run has ended, and another has come to its second step."""

    il: Interlock
    url: str
    gate: Path

    def old(self, how: str) -> dict[str, Any]:
        """The input of the other one."""
        return {"name": "old", "how": how, "file": str(self.gate)}

    async def begun(self) -> None:
        """Return when its first step is saved, and it is in its second."""

        async def saved() -> bool:
            said = (await self.il.ahistory(THREAD))[-1].values["said"]
            return bool(said == [*ZERO, *BEGUN])

        await until(saved)

    def release(self) -> None:
        """Let the second step go on."""
        self.gate.touch()


@asynccontextmanager
async def here(thread: Thread) -> AsyncIterator[None]:
    """Somebody runs it in this process."""
    running = asyncio.create_task(thread.il.ainvoke("steps", thread.old("hold"), thread_id=THREAD))
    await thread.begun()
    yield
    await running


@asynccontextmanager
async def elsewhere(thread: Thread) -> AsyncIterator[None]:
    """A worker runs it, with connections of its own."""
    async with interlock.aopen(thread.url, config=CONFIG) as other, working(other):
        await thread.il.asubmit("steps", thread.old("hold"), thread_id=THREAD)
        await thread.begun()
        yield


@asynccontextmanager
async def queued(thread: Thread) -> AsyncIterator[None]:
    """No worker has come by."""
    await thread.il.asubmit("steps", thread.old(""), thread_id=THREAD)
    yield


@asynccontextmanager
async def waiting(thread: Thread) -> AsyncIterator[None]:
    """It waits for a person."""
    await thread.il.ainvoke("steps", thread.old("person"), thread_id=THREAD)
    yield


@asynccontextmanager
async def asleep(thread: Thread) -> AsyncIterator[None]:
    """It sleeps for an hour."""
    await thread.il.ainvoke("steps", thread.old("sleep"), thread_id=THREAD)
    yield


STANDS: dict[str, Callable[[Thread], Any]] = {
    "running here": here,
    "running elsewhere": elsewhere,
    "queued": queued,
    "waiting": waiting,
    "asleep": asleep,
}

BEGUN = ["old first"]
"""What a run had saved that had come to its second step."""

TABLE: list[tuple[MultitaskStrategy, str, RunStatus, list[str]]] = [
    # what the old run comes to, and what the thread has been through when the new one has ended
    ("enqueue", "running here", "succeeded", [*ZERO, *OLD, *NEW]),
    ("enqueue", "running elsewhere", "succeeded", [*ZERO, *OLD, *NEW]),
    ("enqueue", "queued", "succeeded", [*ZERO, *OLD, *NEW]),
    ("enqueue", "waiting", "waiting", [*ZERO, *BEGUN, "old was told yes", "old last", *NEW]),
    ("enqueue", "asleep", "waiting", [*ZERO, *OLD, *NEW]),
    ("interrupt", "running here", "cancelled", [*ZERO, *BEGUN, *NEW]),
    ("interrupt", "running elsewhere", "cancelled", [*ZERO, *BEGUN, *NEW]),
    ("interrupt", "queued", "cancelled", [*ZERO, *NEW]),
    ("interrupt", "waiting", "cancelled", [*ZERO, *BEGUN, *NEW]),
    ("interrupt", "asleep", "cancelled", [*ZERO, *BEGUN, *NEW]),
    ("rollback", "running here", "cancelled", [*ZERO, *NEW]),
    ("rollback", "running elsewhere", "cancelled", [*ZERO, *NEW]),
    ("rollback", "queued", "cancelled", [*ZERO, *NEW]),
    ("rollback", "waiting", "cancelled", [*ZERO, *NEW]),
    ("rollback", "asleep", "cancelled", [*ZERO, *NEW]),
]


@pytest.mark.parametrize(("strategy", "stands", "comes_to", "said"), TABLE)
async def test_a_new_run_waits_for_the_old_one_or_takes_its_place(
    il: Interlock,
    database_url: str,
    gate: Path,
    strategy: MultitaskStrategy,
    stands: str,
    comes_to: RunStatus,
    said: list[str],
) -> None:
    """It begins when the old one has ended; `interrupt` keeps what that did to the thread, `rollback` undoes it."""
    thread = Thread(il, database_url, gate)
    await il.ainvoke("steps", {"name": "zero"}, thread_id=THREAD)
    async with STANDS[stands](thread):
        old = await il.arun(THREAD)
        new = await submitted(il, strategy)
        async with working(il):
            if strategy == "enqueue":
                await LET_GO[stands](thread)
            ended = await il.await_run(new.run_id, PATIENCE)

    assert (ended.run_id, ended.status, ended.output["said"]) == (new.run_id, "succeeded", said)
    assert (await il.store.stored(old.run_id)).run.status == comes_to


@pytest.mark.parametrize("stands", STANDS)
async def test_without_a_strategy_a_busy_thread_refuses_a_new_run(
    il: Interlock, database_url: str, gate: Path, stands: str
) -> None:
    """And nothing of it is left."""
    thread = Thread(il, database_url, gate)
    await il.ainvoke("steps", {"name": "zero"}, thread_id=THREAD)
    async with STANDS[stands](thread):
        before = await rows(database_url)

        with pytest.raises(ThreadBusy):
            await submitted(il, "reject")

        assert await rows(database_url) == before
        thread.release()


async def test_what_is_rolled_back_is_gone_from_the_thread_and_stays_in_the_ledger(
    il: Interlock, database_url: str, gate: Path
) -> None:
    """The thread, its run, its history and its output are as before; what was done to the world is not forgotten."""
    thread = Thread(il, database_url, gate)
    zero = await il.ainvoke("steps", {"name": "zero"}, thread_id=THREAD)
    before = await il.ahistory(THREAD)
    old = asyncio.create_task(il.ainvoke("steps", thread.old("act"), thread_id=THREAD))
    await until_there(gate)

    new = await submitted(il, "rollback")

    assert (await old).status == "cancelled"
    assert [each.checkpoint_id for each in await il.ahistory(THREAD)] == [
        each.checkpoint_id for each in before
    ]
    [effect] = await il.aeffects(THREAD)
    assert (effect.action, gate.read_text()) == ("submitted_write", "old\n")
    assert (await il.acancel(new.run_id)).status == "cancelled"
    now = await il.arun(THREAD)
    assert (now.run_id, now.status, now.output["said"]) == (zero.run_id, "succeeded", ZERO)


async def test_a_rollback_undoes_the_whole_of_what_was_answered(
    il: Interlock, database_url: str, gate: Path
) -> None:
    """Of a run that asked, and the one that goes on with the answer, nothing is left."""
    thread = Thread(il, database_url, gate)
    await il.ainvoke("steps", {"name": "zero"}, thread_id=THREAD)
    await il.ainvoke("steps", thread.old("person"), thread_id=THREAD)
    [question] = await il.aquestions(THREAD)
    await il.asubmit_answer(THREAD, Resume(question.id, "yes"))

    new = await submitted(il, "rollback")
    async with working(il):
        ended = await il.await_run(new.run_id, PATIENCE)

    assert ended.output["said"] == [*ZERO, *NEW]
    statuses = await sql(database_url, "select status from interlock.runs order by number")
    assert [each["status"] for each in statuses] == [
        "succeeded",
        "cancelled",
        "cancelled",
        "succeeded",
    ]


async def test_several_wait_for_their_turn_in_their_order(
    il: Interlock, database_url: str, gate: Path
) -> None:
    """One at a time; an answer goes before those that have not begun."""
    thread = Thread(il, database_url, gate)
    await il.ainvoke("steps", {"name": "zero"}, thread_id=THREAD)
    await il.ainvoke("steps", thread.old("person"), thread_id=THREAD)
    options = Options(multitask_strategy="enqueue")
    for name in ("a", "b", "c"):
        await il.asubmit("steps", {"name": name, "how": ""}, thread_id=THREAD, options=options)
    [question] = await il.aquestions(THREAD)
    await il.asubmit_answer(THREAD, Resume(question.id, "yes"))

    async with working(il):
        ended = await il.ajoin(THREAD, PATIENCE)

    firsts = [each for each in ended.output["said"] if "first" in each or "told" in each]
    assert firsts == [
        "zero first",
        "old first",
        "old was told yes",
        "a first",
        "b first",
        "c first",
    ]


async def until_there(path: Path) -> None:
    """Return when a file is there."""

    async def there() -> bool:
        return path.exists()

    await until(there)


async def submitted(il: Interlock, strategy: MultitaskStrategy) -> Run:
    """The new run, as it was accepted."""
    options = Options(multitask_strategy=strategy)
    return await il.asubmit("steps", {"name": "new", "how": ""}, thread_id=THREAD, options=options)


async def rows(url: str) -> list[dict[str, Any]]:
    """What the tables hold of runs, but for what changes while one runs."""
    return await sql(
        url,
        "select r.run_id, r.status, q.ready, o.multitask_strategy from interlock.runs r "
        "left join interlock.queue q using (run_id) left join interlock.run_options o using (run_id) "
        "order by r.number",
    )


async def _release(thread: Thread) -> None:
    assert (await thread.il.arun(THREAD)).status == "running"
    thread.release()


async def _nothing(thread: Thread) -> None:
    """A worker is there already."""


async def _answer(thread: Thread) -> None:
    [question] = await thread.il.aquestions(THREAD)
    assert (await thread.il.arun(THREAD)).status == "waiting"
    await thread.il.asubmit_answer(THREAD, Resume(question.id, "yes"))


async def _wake(thread: Thread) -> None:
    assert (await thread.il.arun(THREAD)).status == "waiting"
    for table, column in (("sleeps", "until"), ("timers", "due_at")):
        await sql(thread.url, f"update interlock.{table} set {column} = clock_timestamp()")


LET_GO: dict[str, Callable[[Thread], Awaitable[None]]] = {
    "running here": _release,
    "running elsewhere": _release,
    "queued": _nothing,
    "waiting": _answer,
    "asleep": _wake,
}
