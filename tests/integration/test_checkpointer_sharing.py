"""Content that is stored once: what threads share survives the deletion of one, and nothing else survives it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import errors
from psycopg.rows import dict_row

from interlock.errors import KeyMissing
from interlock.postgres import Checkpointer
from interlock.postgres.checkpointer import collecting
from interlock.postgres.checkpointer import format as form
from interlock.postgres.checkpointer.arrays import prepare
from interlock.postgres.checkpointer.collecting import SQL
from interlock.postgres.checkpointer.rows import Blob, Rows, merged
from interlock.postgres.encryption import KeyRing
from tests.ciphers import Reversing
from tests.savers import Story, count, dangling, place

CONTENT = "select count(*) from checkpoint_content"
BYTES = "select sum(octet_length(body)) from checkpoint_content"
REFERENCES = "select count(*) from checkpoint_references"


@pytest.fixture
async def saver(database_url: str) -> AsyncIterator[Checkpointer]:
    async with Checkpointer.from_conn_string(database_url) as opened:
        yield opened


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Checkpointer]:
    """A saver that knows nothing of the first, as one of another process."""
    async with Checkpointer.from_conn_string(database_url) as opened:
        yield opened


def message(number: int) -> AIMessage:
    return AIMessage(f"{number} " + "abc " * 250, id=str(number))


async def test_what_a_step_adds_is_all_that_it_stores(
    saver: Checkpointer, database_url: str
) -> None:
    """Of 400 messages the next step stores one, and a reference that does not grow with them."""
    story = Story(saver)
    items = [message(number) for number in range(400)]
    await story.put(items=items)
    before = saver.stats.content_bytes
    items.append(message(400))
    await story.put(items=items)

    assert saver.stats.content_bytes - before < 3_000
    assert count(database_url, "select max(length(blob)) from checkpoint_blobs") < 1_500


async def test_a_state_is_read_by_one_statement_and_one_more_for_each_depth_of_its_content(
    saver: Checkpointer,
) -> None:
    """A small state refers to nothing; 40 messages stand in segments, 800 in segments of segments."""
    stories = [Story(saver) for _ in range(3)]
    given: list[dict[str, Any]] = [
        {"step": 7, "seen": {"open": [1, 2]}},
        {"items": [message(number) for number in range(40)]},
        {"items": [message(number) for number in range(800)]},
    ]
    statements = []
    for story, values in zip(stories, given, strict=True):
        await story.put(**values)
        before = saver.stats.reads
        assert await story.values() == values
        statements.append(saver.stats.reads - before)

    assert statements == [1, 2, 3]


async def test_what_a_task_wrote_is_not_stored_again_with_the_checkpoint(
    saver: Checkpointer,
) -> None:
    """A message and a large document are stored with the write; the checkpoint refers to them."""
    story = Story(saver)
    config = await story.put(items=[message(n) for n in range(50)], document="")
    document = "".join(random.Random(1).choices("abcdef ", k=300_000))
    await saver.aput_writes(config, [("items", [message(50)]), ("document", document)], "task")
    before = saver.stats.content_bytes
    await story.put(items=[message(n) for n in range(51)], document=document)

    assert saver.stats.content_bytes - before < 1_000


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text[:500_000] + "#" + text[500_001:],
        lambda text: text[:500_000] + "inserted" + text[500_000:],
        lambda text: text[:500_000] + text[500_100:],
        lambda text: text + "appended",
        lambda text: "before" + text,
    ],
    ids=["replaced", "inserted", "removed", "appended", "prepended"],
)
async def test_an_edited_document_shares_its_pieces(
    saver: Checkpointer, edit: Callable[[str], str]
) -> None:
    """Of a megabyte one edit stores at most three pieces of 32 kB."""
    story = Story(saver)
    text = "".join(random.Random(2).choices("abcdefghij \n", k=1_000_000))
    await story.put(document=text)
    before = saver.stats.content_bytes
    await story.put(document=edit(text))

    assert saver.stats.content_bytes - before <= 3 * 33_000
    assert (await story.values())["document"] == edit(text)


async def test_a_copy_shares_content_and_outlives_its_source(
    saver: Checkpointer, database_url: str
) -> None:
    """A copied thread adds no content; when the source is deleted it reads as before, and after it nothing is left."""
    story = Story(saver, "source")
    for number in range(30):
        await story.put(items=[message(each) for each in range(number)])
    before = count(database_url, CONTENT)
    await saver.acopy_thread("source", "copy")
    assert count(database_url, CONTENT) == before

    await saver.adelete_thread("source")
    history = [each async for each in saver.alist(place("copy"))]
    assert [len(each.checkpoint["channel_values"]["items"]) for each in history] == [
        *range(29, -1, -1)
    ]
    assert dangling(database_url) == 0

    await saver.adelete_thread("copy")
    assert (count(database_url, CONTENT), count(database_url, REFERENCES)) == (0, 0)


async def test_pruning_deletes_the_content_of_old_checkpoints_only(
    saver: Checkpointer, database_url: str
) -> None:
    """What was cut out of the list is gone, what the latest checkpoint has stays."""
    story = Story(saver, "t")
    await story.put(items=[message(number) for number in range(100)])
    await story.put(items=[message(number) for number in range(90, 190)])
    await saver.aprune(["t"])

    assert await story.values() == {"items": [message(number) for number in range(90, 190)]}
    assert 100_000 < count(database_url, BYTES) < 200_000
    await story.put(items=[message(number) for number in range(200)])
    assert (await story.values())["items"] == [message(number) for number in range(200)]
    assert dangling(database_url) == 0


@pytest.mark.parametrize("how", ["delete", "prune", "runs"])
async def test_what_another_process_deleted_is_stored_again(
    saver: Checkpointer, other: Checkpointer, database_url: str, how: str
) -> None:
    """A writer that believes its content is stored learns that it is not, and sends it again."""
    story = Story(saver, "t")
    items = [message(number) for number in range(80)]
    await story.put(items=items)
    await story.put(items=[])
    match how:
        case "delete":
            await other.adelete_thread("t")
        case "prune":
            await other.aprune(["t"])
        case _:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute("""update checkpoints set metadata = '{"run_id": "r"}'""")
            await other.adelete_for_runs(["r"])
    assert count(database_url, CONTENT) == 0

    await story.put(items=items)

    assert await Story(other, "t").values() == {"items": items}
    assert dangling(database_url) == 0


async def test_a_sweep_that_was_forgotten_makes_writers_forget_all(
    saver: Checkpointer, other: Checkpointer, database_url: str
) -> None:
    """Where the record of a deletion is gone, nothing that was known before counts any more."""
    story = Story(saver, "t")
    items = [message(number) for number in range(30)]
    await story.put(items=items)
    await other.adelete_thread("t")
    await other.acollect("another")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from checkpoint_sweeps where holder = 't'")

    await story.put(items=items)

    assert await Story(other, "t").values() == {"items": items}
    assert dangling(database_url) == 0


async def test_nothing_dangles_beside_writers_copies_and_deletions(database_url: str) -> None:
    """Two processes write threads with much in common while two others prune, copy, delete and collect."""
    done = asyncio.Event()
    async with (
        Checkpointer.from_conn_string(database_url) as one,
        Checkpointer.from_conn_string(database_url) as two,
        Checkpointer.from_conn_string(database_url) as three,
    ):
        disturbing = [asyncio.create_task(_disturb(each, done)) for each in (two, three)]
        writing = (_write([one, two][n % 2], f"t{n}", random.Random(n)) for n in range(6))
        wrong = sum(await asyncio.gather(*writing))
        done.set()
        await asyncio.gather(*disturbing)
        for thread in range(6):
            [each async for each in three.alist(place(f"t{thread}"))]

    assert wrong == 0
    assert dangling(database_url) == 0


async def _write(saver: Checkpointer, thread: str, dice: random.Random) -> int:
    """Write steps with much in common; return how many were not read as they were written."""
    story = Story(saver, thread)
    items: list[Any] = []
    wrong = 0
    for _ in range(40):
        if dice.randrange(4) == 0 and items:
            del items[dice.randrange(len(items)) :]
        items.extend(message(dice.randrange(60)) for _ in range(dice.randrange(12)))
        found = await saver.aget_tuple(await story.put(items=items))
        wrong += found is not None and found.checkpoint["channel_values"]["items"] != items
    return wrong


async def _disturb(saver: Checkpointer, done: asyncio.Event) -> None:
    dice = random.Random(id(saver))
    while not done.is_set():
        thread = f"t{dice.randrange(6)}"
        match dice.randrange(4):
            case 0:
                await _tolerant(saver.aprune([thread]))
            case 1:
                await saver.adelete_thread(thread)
            case 2:
                await saver.adelete_thread("copy")
                await _tolerant(saver.acopy_thread(thread, "copy"))
            case _:
                await saver.acollect()
        [each async for each in saver.alist(place("copy"))]


async def _tolerant(work: Any) -> None:  # an awaitable
    crossed = errors.SerializationFailure, errors.UniqueViolation, errors.DeadlockDetected
    with suppress(*crossed):  # two of them at one thread, as with the stock saver
        await work


async def test_deletions_that_were_cut_short_are_made_up_for(
    saver: Checkpointer, database_url: str
) -> None:
    """Rows that the stock saver deleted leave content behind, until someone looks for strays."""
    await Story(saver, "gone").put(items=[message(number) for number in range(40)])
    await Story(saver, "there").put(items=[message(number) for number in range(20)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            connection.execute(f"delete from {table} where thread_id = 'gone'".encode())

    assert await saver.acollect() > 0

    assert await Story(saver, "there").values() == {
        "items": [message(number) for number in range(20)]
    }
    assert count(database_url, CONTENT) <= 20 + 5
    assert (
        count(database_url, "select count(*) from checkpoint_references where holder = 'gone'") == 0
    )


SECRETS = ("sesame" * 20, "s3same")


async def test_nothing_of_an_encrypted_value_is_in_the_clear(database_url: str) -> None:
    """Short texts, numbers, lists, large documents and writes: no column of any table shows them."""
    serde = EncryptedSerializer(Reversing())
    async with Checkpointer.from_conn_string(database_url, serde=serde) as saver:
        story = Story(saver, "t")
        values = {
            "short": "s3same",
            "number": 918_273_645,
            "list": ["s3same", "sesame" * 20] * 40,
            "large": "sesame" * 20_000,
            "small": ["s3same"],
        }
        config = await story.put(**values)
        await saver.aput_writes(config, [("short", "s3same"), ("large", "sesame" * 999)], "task")
        assert await story.values() == values

    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        everything = "".join(
            str({key: _text(value) for key, value in row.items()})
            for table in _tables(connection)
            for row in connection.execute(f"select * from {table}".encode())
        )
    assert [each for each in (*SECRETS, "918273645", "sesame") if each in everything] == []


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class where relname like 'checkpoint%' and relkind = 'r'"
    )
    return [row["relname"] for row in rows]


def _text(value: Any) -> str:  # a column's
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


async def test_equal_content_has_another_name_under_another_secret(database_url: str) -> None:
    """Who reads the tables cannot tell whether a known text is among what is encrypted, nor mix it with plain one."""
    items = [message(number) for number in range(20)]
    async with Checkpointer.from_conn_string(database_url) as plain:
        await Story(plain, "plain").put(items=items)
    serde = EncryptedSerializer(Reversing())
    async with Checkpointer.from_conn_string(database_url, serde=serde) as hidden:
        await Story(hidden, "hidden").put(items=items)
        await Story(hidden, "again").put(items=items)
        assert await Story(hidden, "plain").values() == {"items": items}

    shared = """select count(*) from checkpoint_references a join checkpoint_references b using (hash)
        where a.holder = %s and b.holder = %s"""
    assert count(database_url, shared, ("plain", "hidden")) == 0
    all_of_it = "select count(*) from checkpoint_references where holder = 'hidden'"
    assert count(database_url, shared, ("hidden", "again")) == count(database_url, all_of_it) > 0


async def test_a_missing_key_is_said_and_a_new_key_reads_the_old(database_url: str) -> None:
    """Without the key nothing is read and nothing lost; with another first key old threads go on."""
    pytest.importorskip("Crypto")
    items = [message(number) for number in range(20)]

    def opened(*keys: bytes) -> Any:  # what opens a saver
        inner = JsonPlusSerializer()
        serde = EncryptedSerializer(KeyRing(keys), inner) if keys else inner
        return Checkpointer.from_conn_string(database_url, serde=serde)

    async with opened(b"k" * 32) as saver:
        await Story(saver, "t").put(items=items)
    async with opened() as saver:
        with pytest.raises((KeyMissing, NotImplementedError)):
            await Story(saver, "t").values()
    async with opened(b"n" * 32) as saver:
        with pytest.raises(KeyMissing):
            await Story(saver, "t").put(items=items)
    async with opened(b"n" * 32, b"k" * 32) as saver:
        assert await Story(saver, "t").values() == {"items": items}
        await Story(saver, "u").put(items=items)
    async with opened(b"n" * 32) as saver:
        assert await Story(saver, "v").put(items=items)


async def test_content_is_not_deleted_under_a_writer_that_has_not_committed(
    database_url: str,
) -> None:
    """Content without a reference is about to be collected when someone refers to it: the collector waits and sees."""
    name = b"n" * 20
    rows = Rows("t", leans=True, content={name: (form.VALUE, b"null\0")})
    async with _connected(database_url) as writer, _connected(database_url) as collector:
        await collector.execute("insert into checkpoint_content values (%s, 0, '')", (name,))
        async with writer.transaction():
            await writer.execute(SQL["flush"], merged([rows], 0))
            collecting_it = asyncio.create_task(collecting.delete_content(collector, [name]))
            await _waits_or_ends(writer, collecting_it)
        assert await collecting_it == 0

    assert dangling(database_url) == 0
    assert count(database_url, CONTENT) == 1


async def test_references_are_not_deleted_under_a_writer_that_has_not_committed(
    saver: Checkpointer, database_url: str
) -> None:
    """Someone goes back to an old list while the thread is collected: the collector waits, and finds it in use."""
    story = Story(saver, "t")
    items = [message(number) for number in range(30)]
    await story.put(items=items)
    [(kind, body)] = _values(database_url)
    await story.put(items=[])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from checkpoint_blobs where type = 'segments'")
    again = Rows("t", leans=True, blobs=[Blob(b"t", b"", b"items", b"9", kind.encode(), body)])
    async with _connected(database_url) as writer, _connected(database_url) as collector:
        async with writer.transaction():
            await writer.execute(SQL["flush"], merged([again], 0))
            collecting_it = asyncio.create_task(collecting.collect(collector, "t"))
            await _waits_or_ends(writer, collecting_it)
        await collecting_it

    assert dangling(database_url) == 0
    assert count(database_url, BYTES) > 30_000


def _values(url: str) -> list[tuple[str, bytes]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select type, blob from checkpoint_blobs").fetchall()
    return [(row[0], row[1]) for row in rows]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[collecting.Connection]:
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, row_factory=dict_row
    ) as connection:
        prepare(connection)
        yield connection


async def _waits_or_ends(connection: collecting.Connection, task: asyncio.Task[Any]) -> None:
    """Return when a task has ended, or waits for a lock in the database."""
    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
    async with asyncio.timeout(10):
        while not task.done() and not await _any(connection, waiting):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def _any(connection: collecting.Connection, statement: str) -> bool:  # SQL
    return await (await connection.execute(statement.encode())).fetchone() is not None
