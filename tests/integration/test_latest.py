"""What a run is told of its thread's latest checkpoint as it begins: what it would read, and nothing that is not so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from langgraph.checkpoint.base import CheckpointTuple
from psycopg.rows import dict_row

import interlock
from interlock import Interlock, Resume, Run
from interlock.core.queueing import Options
from interlock.postgres.checkpoints import LATEST, Saver, saver_for
from interlock.postgres.claiming import SQL as QUEUE
from interlock.postgres.claiming import Claimed, Claims
from interlock.postgres.encryption import KeyRing
from interlock.postgres.latest import MOST_BYTES, Latest, latest_of
from interlock.postgres.pool import connected, fetch
from interlock.postgres.workers import Plan, register
from tests.savers import Story, place
from tests.working import CONFIG, rows, steps, until, worker_at

SHOP = Path(__file__).parents[1] / "sample" / "shop"
ASKS = "select * from interlock.latest_checkpoint(%(run_id)s, %(most_bytes)s)"
LINES = [f"{number} {'word ' * 20}" for number in range(60)]
STATES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "plain values": {"text": "a", "number": 1, "none": None, "half": 0.5},
    "a value in a row": {"items": {"a": [1, 2]}, "text": "a"},
    "a value of its own": {"text": "long " * 1000},
    "a long list": {"items": LINES, "text": "a"},
    "a list of long items": {"items": [f"{each} {'word ' * 500}" for each in range(20)]},
    "a text in pieces": {"text": "".join(f"{number:08}" for number in range(12_000))},
}


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def allowed(thread_id: str) -> None:
    """Let everything be written."""


def saver_of(il: Interlock, graph: str = "working", ring: KeyRing | None = None) -> Saver:
    return saver_for(il.graph(graph), il.pool, allowed, ring)


async def told(il: Interlock, thread_id: str) -> Latest:
    """What a run would be told that begins on a thread now."""
    begun = """
        with thread as (
            insert into interlock.threads (thread_id, graph) values (%(thread_id)s, 'working') on conflict do nothing
        )
        insert into interlock.runs (run_id, thread_id, graph, kind, status)
        values (gen_random_uuid()::text, %(thread_id)s, 'working', 'invoke', 'cancelled') returning run_id
    """
    async with connected(il.pool) as connection:
        (run,) = await fetch(connection, begun, {"thread_id": thread_id})
        found = await fetch(connection, ASKS, {**run, "most_bytes": MOST_BYTES}, binary=True)
    return latest_of({"fresh": False, **found[0]}, thread_id) if found else []


async def looked(saver: Saver, thread_id: str, latest: Latest) -> CheckpointTuple | None:
    """What a run finds that was told something."""
    config = place(thread_id)
    config["configurable"][LATEST] = latest
    return await saver.aget_tuple(config)


@pytest.mark.parametrize("keys", [(), (b"k" * 32,)], ids=["plain", "encrypted"])
@pytest.mark.parametrize("state", STATES)
async def test_what_is_told_is_what_would_be_read(
    il: Interlock, state: str, keys: Sequence[bytes]
) -> None:
    """The latest of two checkpoints, its parent and its metadata, without asking the database; once."""
    saver = saver_of(il, ring=KeyRing(tuple(keys)) if keys else None)
    story = Story(saver)
    await story.put(text="before", items=["before"])
    await story.put(**STATES[state])
    read = await saver.aget_tuple(place(story.thread))

    latest = await told(il, story.thread)
    asked = saver.stats.reads
    first = await looked(saver, story.thread, latest)

    assert read is not None
    assert first == read
    assert {**first.checkpoint["channel_values"], **STATES[state]} == read.checkpoint[
        "channel_values"
    ]
    assert (saver.stats.reads, latest) == (asked, [])
    assert await looked(saver, story.thread, latest) == read
    assert saver.stats.reads > asked
    await saver.aclose()


async def test_a_look_at_another_checkpoint_takes_nothing(il: Interlock) -> None:
    """What is told is for whoever looks for the latest one of the thread's own graph."""
    saver = saver_of(il)
    story = Story(saver)
    first = await story.put(text="a")
    await story.put(text="b")
    latest = await told(il, story.thread)
    for config in (place(story.thread, ns="inside:1"), first):
        config["configurable"][LATEST] = latest
        found = await saver.aget_tuple(config)
        assert found is None or found.checkpoint["channel_values"] == {"text": "a"}

    assert len(latest) == 1
    await saver.aclose()


@pytest.mark.parametrize(
    "state",
    [
        {"items": [f"{number} {'word ' * 30}" for number in range(1500)]},
        {"text": "".join(f"{number:08}" for number in range(20_000))},
        {f"key {number}": {"text": "x" * 900} for number in range(200)},
    ],
    ids=["a list", "a text", "many values"],
)
async def test_of_a_large_checkpoint_nothing_is_told(il: Interlock, state: dict[str, Any]) -> None:
    """It is read as ever."""
    saver = saver_of(il)
    story = Story(saver)
    await story.put(**state)

    assert await told(il, story.thread) == []
    assert await story.values() == state
    await saver.aclose()


@pytest.mark.parametrize(
    "change",
    [
        "update checkpoint_blobs set type = 'msgpack', blob = convert_to(repeat('x', 200000), 'UTF8')",
        """update checkpoints set checkpoint = jsonb_set(checkpoint, '{v}', '3'), parent_checkpoint_id = 'a'""",
        """insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob)
        select thread_id, '', checkpoint_id, 'task', -1, '__error__', 'null', '' from checkpoints""",
        "delete from checkpoint_content",
        "update checkpoint_blobs set blob = '' where type = 'segments'",
    ],
    ids=[
        "a large value of LangGraph's saver",
        "an older format",
        "written beside",
        "gone",
        "damaged",
    ],
)
async def test_what_does_not_stand_alone_is_not_told(
    il: Interlock, database_url: str, change: Any
) -> None:
    """Who looks reads it, with what belongs to it."""
    saver = saver_of(il)
    story = Story(saver)
    await story.put(items=LINES)
    assert len(await told(il, story.thread)) == 1
    await rows(database_url, change)

    assert await told(il, story.thread) == []
    await saver.aclose()


DAMAGES: dict[str, LiteralString] = {
    "its format": "update checkpoints set checkpoint = jsonb_set(checkpoint, '{v}', '\"x\"') where thread_id = 'bad'",
    "its versions": """update checkpoints set checkpoint = jsonb_set(checkpoint, '{channel_versions}', '[]')
        where thread_id = 'bad'""",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_checkpoint_that_is_damaged_stops_only_its_own_runs(
    il: Interlock, database_url: str, tmp_path: Path, damage: LiteralString
) -> None:
    """Others are claimed with it, or begun with it, and go on; what became of it is for its run to find."""
    for thread in ("bad", "good", "better"):
        await il.ainvoke("working", steps(tmp_path, 1), thread_id=thread)
    await rows(database_url, damage)
    queued = [
        await il.asubmit("working", steps(tmp_path, 1), thread_id=each) for each in ("bad", "good")
    ]
    async with worker_at(database_url):
        bad, good = [await ran(il, each) for each in queued]
    begun = await asyncio.gather(
        *(il.ainvoke("working", steps(tmp_path, 1), thread_id=each) for each in ("bad", "better")),
        return_exceptions=True,
    )

    assert (bad.status, good.status) == ("dead", "succeeded")
    assert isinstance(begun[0], Exception)
    assert isinstance(begun[1], Run)
    assert begun[1].status == "succeeded"


async def test_content_that_is_gone_in_part_is_looked_for_anew(il: Interlock) -> None:
    """As where it goes while it is read: what was told is left, and the checkpoint is read."""
    saver = saver_of(il)
    story = Story(saver)
    await story.put(items=LINES)
    latest = await told(il, story.thread)
    whole = latest[0]
    assert len(whole) > 2
    latest[0] = whole[:-1]

    found = await looked(saver, story.thread, latest)

    assert found is not None
    assert found.checkpoint["channel_values"] == {"items": LINES}
    await saver.aclose()


async def test_a_thread_of_an_older_schema_is_migrated(database_url: str, tmp_path: Path) -> None:
    """What is told is brought up to the code's version as what is read is."""
    given = {"customer": "ann", "amount": 7, "boxes": 1}
    files = {"log": str(tmp_path / "log"), "fails": str(tmp_path / "fails")}
    async with interlock.aopen(database_url, config=SHOP / "first.json") as il:
        run = await il.ainvoke("order", given | files, thread_id="one")
        while run.status == "waiting":
            [asked] = await il.aquestions("one")
            run = await il.aresume("one", Resume(asked.id, "yes"))
        assert run.status == "succeeded"
    async with interlock.aopen(database_url, config=SHOP / "second.json") as il:
        saver = saver_of(il, "order")
        read = await saver.aget_tuple(place("one"))
        latest = await told(il, "one")
        found = await looked(saver, "one", latest)
        await saver.aclose()

    assert latest == []
    assert found == read
    assert found is not None
    assert found.checkpoint["channel_values"]["cents"] == 800  # seven, and one that `price` adds


async def test_rows_of_other_threads_are_not_read(il: Interlock, database_url: str) -> None:
    """Not one of thousands, though nobody has told the planner that there are any."""
    saver = saver_of(il)
    story = Story(saver)
    await story.put(items=LINES, text="a")
    others = """
        insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob)
        select 'other ' || n, '', 'c', 'task', 0, 'text', 'null', '' from generate_series(1, 3000) as n;
        insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata)
        select 'other ' || n, '', 'c', '{}', '{}' from generate_series(1, 3000) as n;
        insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
        select 'other ' || n, '', 'items', '1', 'null', '' from generate_series(1, 3000) as n;
        insert into checkpoint_content (hash, kind, body)
        select convert_to('other ' || n, 'UTF8'), 0, '' from generate_series(1, 3000) as n;
    """
    read = """
        select sum(seq_tup_read + idx_tup_fetch)::int as read from pg_stat_xact_user_tables
        where relname like 'checkpoint%%'
    """
    await told(il, story.thread)  # so that there is a run
    ((run_id,),) = await rows(database_url, "select run_id from interlock.runs")
    async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as db:
        values = {"run_id": run_id, "most_bytes": MOST_BYTES}
        await db.execute(QUEUE["plan_once"])
        await fetch(db, ASKS, values)  # planned while there is nothing else
        await db.execute(others)
        await db.commit()
        (found,) = await fetch(db, ASKS, values)
        (counted,) = await fetch(db, read, {})
    await saver.aclose()

    assert counted["read"] < 10 + 2 * len(found["content_hash"])


# --- as it is claimed ---


async def claims_of(il: Interlock) -> Claims:
    plan = Plan()
    name = await register(il.locks, plan, "a test:1")
    return Claims(locks=il.locks, worker=name, plan=plan, graphs=["working"], process="a test:1")


async def kept(il: Interlock, folder: Path, thread_id: str = "t") -> str:
    """A thread on which a run has ended; the id of its latest checkpoint."""
    await il.ainvoke("working", steps(folder, 1), thread_id=thread_id)
    (latest,) = await rows(
        il.url, "select max(checkpoint_id) from checkpoints where thread_id = %s", thread_id
    )
    return str(latest[0])


def ids(claimed: Sequence[Claimed]) -> list[list[list[str]]]:
    return [
        [[row["checkpoint_id"] for row in rows] for rows in each.stored.latest] for each in claimed
    ]


async def test_a_claim_tells_of_the_thread_of_each_run(il: Interlock, tmp_path: Path) -> None:
    """Of a thread with a checkpoint, of one without any, and nothing where the run was tried before."""
    first, other = await kept(il, tmp_path, "t"), await kept(il, tmp_path, "tried")
    for thread in ("t", "new", "tried"):
        await il.asubmit("working", steps(tmp_path, 1), thread_id=thread)
    await rows(
        il.url,
        "update interlock.runs set attempts = 1 where thread_id = 'tried' and status = 'queued'",
    )
    claimed = await (await claims_of(il)).claim(16, suspect=True)

    by_thread = {each.stored.run.thread_id: each for each in claimed}
    assert ids([by_thread[each] for each in ("t", "new", "tried")]) == [[[first]], [[]], []]
    assert other


async def test_what_was_committed_while_a_claim_waited_is_told(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Its statement begins, and stands still; meanwhile the thread gets another checkpoint, and is let go of."""
    first = await kept(il, tmp_path)
    await il.asubmit("working", steps(tmp_path, 1), thread_id="t")
    claims = await claims_of(il)
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%take_on%%'"
    adds = """
        insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
        select thread_id, '', checkpoint_id || '-later', checkpoint_id, checkpoint, metadata from checkpoints
        where checkpoint_id = %s
    """
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("select from interlock.workers for update")
        claiming = asyncio.create_task(claims.claim(16, suspect=True))

        async def waiting() -> bool:
            return await rows(database_url, waits) == [(1,)]

        await until(waiting)
        await rows(database_url, adds, first)
        await other.rollback()

    assert ids(await claiming) == [[[f"{first}-later"]]]


async def ran(il: Interlock, run: Run) -> Run:
    return await il.await_run(run.run_id, timeout=30)


async def test_a_worker_reads_nothing_for_a_run_on_a_kept_thread(
    il: Interlock, database_url: str, tmp_path: Path
) -> None:
    """Three runs, one after the other, and two that were queued together: each goes on from the one before."""
    async with worker_at(database_url) as working:
        for _ in range(3):
            await ran(il, await il.asubmit("working", steps(tmp_path, 1), thread_id="t"))
        behind = Options(multitask_strategy="enqueue")
        queued = [
            await il.asubmit("working", steps(tmp_path, 1), thread_id="t", options=behind)
            for _ in range(2)
        ]
        last = [await ran(il, each) for each in queued][-1]
        reads = working.il._core.stats.reads

    assert (last.status, last.output) == ("succeeded", {"done": 5})
    assert reads == 0
