"""Blobs are collected when nothing names them any more, and never before."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

import interlock
from interlock import Interlock, Resume
from interlock.core.blobs import BlobRef, read
from interlock.errors import NotFound
from interlock.postgres.blobs import SQL, PostgresBlobs, note
from interlock.postgres.collecting import Collector
from interlock.postgres.pool import fetch, open_pool
from interlock.settings import load

SAMPLE = Path(__file__).parents[1] / "sample/volumes/langgraph.json"
NOW = timedelta(0)


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=SAMPLE) as opened:
        yield opened


async def there(il: Interlock, *refs: BlobRef) -> list[bool]:
    """Whether blobs are there, and whole."""
    found = []
    for ref in refs:
        try:
            found.append(len(await read(il.blobs, ref)) == ref["size"])
        except NotFound:
            found.append(False)
    return found


async def shown(il: Interlock, thread_id: str) -> list[BlobRef]:
    """The pictures that the steps of a thread show, each once."""
    steps = await il.ahistory(thread_id)
    refs = [step.values["shown"] for step in steps if "shown" in step.values]
    return list({each["blob"]: each for each in refs}.values())


async def test_what_a_state_names_is_kept(il: Interlock) -> None:
    """Each picture of each step, for as long as its step is there."""
    run = await il.ainvoke("pictures", {"names": ["a", "b", "c"]})
    refs = await shown(il, run.thread_id)
    before = await il.acollect_blobs(older_than=NOW)
    kept = await there(il, *refs)
    await il.aprune(run.thread_id, keep=1, older_than=NOW)
    after = await il.acollect_blobs(older_than=NOW)

    assert (before.blobs, kept) == (0, [True, True, True])
    assert (after.blobs, after.bytes) == (2, 6000)
    assert await there(il, *refs) == [False, False, True]


async def test_names_are_seen_also_where_values_are_encrypted(database_url: str) -> None:
    """With a key the same is kept and the same goes; without it, what cannot be read is kept."""
    settings = load({"INTERLOCK_ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode()})
    async with interlock.aopen(database_url, config=SAMPLE, settings=settings) as il:
        runs = [await il.ainvoke("pictures", {"names": ["a", "b", name]}) for name in "cd"]
        refs = [ref for run in runs for ref in await shown(il, run.thread_id)]
        await il.aprune(runs[0].thread_id, keep=1, older_than=NOW)
        await il.acollect_blobs(older_than=NOW)
        first = await there(il, *refs)
        await il.aprune(keep=1, older_than=NOW)
    async with interlock.aopen(database_url, config=SAMPLE) as il:
        without = await il.acollect_blobs(older_than=NOW)
    async with interlock.aopen(database_url, config=SAMPLE, settings=settings) as il:
        done = await il.acollect_blobs(older_than=NOW)
        left = await there(il, *refs)

    assert first == [True] * 6
    assert without.blobs == 0
    assert set(without.unread) == {runs[1].thread_id}
    assert done.blobs == 2
    assert left == [False, False, True, False, False, True]


async def test_a_blob_that_nothing_names_is_kept_a_while(il: Interlock) -> None:
    """It may be on its way into a state; storing it again makes it new."""
    ref = await il.blobs.put(b"abc")
    young = await il.acollect_blobs()
    dry = await il.acollect_blobs(older_than=NOW, dry_run=True)
    kept = await there(il, ref)
    old = await il.acollect_blobs(older_than=NOW)

    assert (young.blobs, dry.blobs, dry.bytes, kept) == (0, 1, 3, [True])
    assert old.blobs == 1
    assert await there(il, ref) == [False]


async def test_what_waits_as_an_input_is_kept(il: Interlock) -> None:
    """A run that was accepted and has no checkpoint yet names what it was given; so does its state later."""
    ref = await il.blobs.put(b"abc")
    run = await il.asubmit("pictures", {"names": ["a"], "given": ref})
    waiting = await il.acollect_blobs(older_than=NOW)
    await il.aresume(run.thread_id)
    done = await il.acollect_blobs(older_than=NOW)

    assert (waiting.blobs, done.blobs) == (0, 0)
    assert await there(il, ref) == [True]


async def test_what_a_node_brought_from_elsewhere_is_kept(il: Interlock, tmp_path: Path) -> None:
    """A reference that a node read somewhere is named from the moment its step is saved."""
    ref = await il.blobs.put(b"from elsewhere")
    (tmp_path / "ref").write_text(json.dumps(ref))
    run = await il.ainvoke("pictures", {"names": [f"@{tmp_path / 'ref'}"]})
    done = await il.acollect_blobs(older_than=NOW)

    assert run.output["shown"] == ref
    assert done.blobs == 0
    assert await there(il, ref) == [True]


async def test_what_an_answer_names_is_kept(il: Interlock) -> None:
    """Answers of people are looked at, too."""
    run = await il.ainvoke("pictures", {"names": ["a", "b"], "asks": True})
    ref = await il.blobs.put(b"abc")
    question = run.interrupts[0].id
    await il.asubmit_answer(run.thread_id, Resume(question, {"look at": ref["blob"]}))
    await il.aresume(run.thread_id)
    await il.aprune(run.thread_id, keep=1, older_than=NOW)
    await il.acollect_blobs(older_than=NOW)

    assert await there(il, ref) == [True]


async def test_a_fork_names_what_its_parent_named(il: Interlock) -> None:
    """What the parent loses the fork still has."""
    run = await il.ainvoke("pictures", {"names": ["a", "b", "c"]})
    refs = await shown(il, run.thread_id)
    steps = await il.ahistory(run.thread_id)
    new = await il.blobs.put(b"new")
    await il.asubmit_fork(run.thread_id, at=steps[2].number, values={"given": new})
    with psycopg.connect(il.url, autocommit=True) as connection:
        connection.execute("delete from checkpoints where thread_id = %s", (run.thread_id,))
        connection.execute("delete from checkpoint_blobs where thread_id = %s", (run.thread_id,))
        connection.execute("delete from checkpoint_writes where thread_id = %s", (run.thread_id,))
    await il.acollect_blobs(older_than=NOW)

    assert await there(il, *refs, new) == [True, False, False, True]


async def test_what_rows_beside_the_state_name_is_kept(il: Interlock) -> None:
    """Effects, refusals, questions and recorded calls outlive the steps that they belong to."""
    refs = [await il.blobs.put(name.encode()) for name in ("effect", "result", "asked", "none")]
    run = await il.ainvoke("pictures", {"names": ["a", "b"]})
    effect, result, asked, _ = (each["blob"] for each in refs)
    async with open_pool(il.url) as pool, pool.connection() as connection:
        await note(connection, run.thread_id, [each["blob"][12:] for each in refs])
    with psycopg.connect(il.url, autocommit=True) as connection:
        connection.execute(
            "insert into interlock.effects (key, thread_id, node, action, arguments, result)"
            " values ('k', %s, 'n', 'a', jsonb_build_object('ref', %s::text), to_json(%s::text))",
            (run.thread_id, effect, result),
        )
        connection.execute(
            "insert into interlock.questions (question_id, thread_id, run_id, graph, interrupt_id, payload)"
            " values ('q', %s, %s, 'pictures', 'i', jsonb_build_object('value', %s::text))",
            (run.thread_id, run.run_id, asked),
        )
    await il.aprune(run.thread_id, keep=1, older_than=NOW)
    await il.acollect_blobs(older_than=NOW)

    assert await there(il, *refs) == [True, True, True, False]


async def test_what_cannot_be_read_is_kept(database_url: str) -> None:
    """A thread of a graph that this application does not have keeps all that it named."""
    async with interlock.aopen(database_url, config=SAMPLE) as il:
        run = await il.ainvoke("pictures", {"names": ["a", "b", "c"]})
        refs = await shown(il, run.thread_id)
        await il.aprune(run.thread_id, keep=1, older_than=NOW)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update interlock.threads set graph = 'gone'")
    async with interlock.aopen(database_url, config=SAMPLE) as il:
        done = await il.acollect_blobs(older_than=NOW)
        kept = await there(il, *refs)

    assert done.unread == (run.thread_id,)
    assert kept == [True, True, True]


async def test_abandoned_uploads_are_given_up(il: Interlock) -> None:
    """What was begun and is not gone on with goes; its source is told when it comes back."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        begun.set()
        await go_on.wait()
        yield b"y" * 300_000

    storing = asyncio.ensure_future(il.blobs.put(slow()))
    await begun.wait()
    lasting = await il.acollect_blobs(older_than=NOW)
    with psycopg.connect(il.url, autocommit=True) as connection:
        connection.execute(
            "update interlock.blob_uploads set touched_at = now() - interval '1 day'"
        )
    given_up = await il.acollect_blobs()
    go_on.set()

    assert (lasting.uploads, given_up.uploads) == (0, 1)
    with pytest.raises(interlock.InterlockError, match="abandoned"):
        await storing
    with psycopg.connect(il.url) as connection:
        pieces = connection.execute("select count(*) from interlock.blob_pieces").fetchone()
    assert pieces == (0,)


async def test_nothing_is_lost_beside_writers(il: Interlock) -> None:
    """Threads that draw the same few pictures, prune and collect at once: what a state names is there."""
    stop = asyncio.Event()

    async def collect() -> int:
        gone = 0
        while not stop.is_set():
            await il.aprune(keep=1, older_than=NOW)
            gone += (await il.acollect_blobs(older_than=NOW)).blobs
        return gone

    async def draw(number: int) -> str:
        names = [f"{(number + n) % 5}" for n in range(6)]
        run = await il.ainvoke("pictures", {"names": names})
        for each in range(6):
            names = [f"own {number} {each}", *(f"{(number * each + n) % 5}" for n in range(3))]
            run = await il.ainvoke("pictures", {"names": names}, thread_id=run.thread_id)
        return run.thread_id

    collecting = [asyncio.ensure_future(collect()) for _ in range(2)]
    threads = await asyncio.gather(*(draw(number) for number in range(4)))
    stop.set()
    gone = sum(await asyncio.gather(*collecting))
    refs = {thread: await shown(il, thread) for thread in threads}
    found = [await there(il, *each) for each in refs.values()]
    await il.aprune(keep=1, older_than=NOW)
    gone += (await il.acollect_blobs(older_than=NOW)).blobs

    assert all(all(each) and each for each in found)
    assert gone >= 24  # what only one step of one thread had shown


async def test_a_name_that_is_noted_while_a_collection_looks_holds_the_blob(
    database_url: str,
) -> None:
    """Whoever notes a name first keeps the blob; who comes after the collection is told that it is gone."""
    async with open_pool(database_url) as pool:
        blobs = PostgresBlobs(pool)
        refs = [await blobs.put(b"a"), await blobs.put(b"b")]
        digests = [each["blob"][12:] for each in refs]

        async def unknown(thread_id: str) -> None:
            return None

        collector = Collector(pool, unknown, NOW)
        async with pool.connection() as connection, connection.transaction():
            await note(connection, "t", digests[:1])
            collected = await collector.collect()

        assert collected.blobs == 1
        assert await read(blobs, refs[0]) == b"a"
        with pytest.raises(NotFound):
            await read(blobs, refs[1])


async def test_a_name_that_was_noted_before_the_second_look_holds_the_blob(
    database_url: str,
) -> None:
    """Between the look for blobs without names and the deletion somebody may note one."""
    async with open_pool(database_url) as pool:
        ref = await PostgresBlobs(pool).put(b"a")
        digests = [ref["blob"][12:]]
        async with pool.connection() as connection:
            await note(connection, "t", digests)
            gone = await fetch(connection, SQL["collect_blobs"], {"digests": digests})

    assert gone == []
