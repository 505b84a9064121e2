"""Encryption at rest: what is in no table, which keys read what, and what happens without the right one."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from psycopg import sql

import interlock
from interlock import Interlock, Resume
from interlock.errors import KeyMissing, UsageError
from interlock.postgres.encryption import KeyRing, fingerprint, opened_json, sealed_json, serializer
from interlock.postgres.maintenance import keys_in_use
from interlock.settings import Settings, load

CONFIG = Path(__file__).parents[1] / "sample" / "vault" / "langgraph.json"
WORD = "open-sesame-and-close-it-again"
ONE, OTHER = (bytes([each]) * 32 for each in (1, 2))
Open = Callable[..., AbstractAsyncContextManager[Interlock]]


@pytest.fixture
def opened(database_url: str) -> Open:
    """Open the runtime with some keys."""

    def open_(*keys: bytes) -> AbstractAsyncContextManager[Interlock]:
        settings = Settings(encryption_key=keys)
        return interlock.aopen(database_url, config=CONFIG, settings=settings)

    return open_


async def begin(il: Interlock, thread_id: str = "one", word: str = WORD) -> None:
    given = {"word": word, "messages": [("user", word)]}
    run = await il.ainvoke("vault", given, thread_id=thread_id)
    assert run.status == "waiting", run.error


async def go_on(il: Interlock, thread_id: str = "one") -> Any:
    [asked] = await il.aquestions(thread_id)
    return (await il.aresume(thread_id, Resume(asked.id, "yes"))).output


async def test_what_is_secret_stands_in_no_table(opened: Open, database_url: str) -> None:
    """Not in the bytes of any column of any table: state, messages, input, title, model call, blob, a plain number."""
    async with opened(ONE) as il:
        await begin(il)
        output = await go_on(il)
        await il.afork("one", at=1, values={"word": WORD + "!"})
        replay = await il.areplay("one")

    assert output["seen"] == f"{WORD} You said {WORD} 9"
    assert (replay.divergence, replay.model_calls) == (None, 1)
    assert places_of(database_url, WORD) == []
    assert places_of(database_url, "47110815") == []


async def test_without_a_key_it_stands_there(opened: Open, database_url: str) -> None:
    """The search would find it: in the checkpoints, the run's input, the model call's record and the blob."""
    async with opened() as il:
        await begin(il)

    assert {"runs.input", "threads.title", "recordings.answer", "blob_pieces.body"} <= set(
        places_of(database_url, WORD)
    )


async def test_what_was_plain_stays_readable_after_a_key_is_set(
    opened: Open, database_url: str
) -> None:
    """The thread goes on; what it stores from then on is encrypted."""
    async with opened() as il:
        await begin(il)
    async with opened(ONE) as il:
        assert (await go_on(il))["seen"].startswith(WORD)
        assert (await il.areplay("one")).divergence is None

    with psycopg.connect(database_url) as connection:
        new = connection.execute(
            "select type from checkpoint_blobs where channel = 'seen' union all "
            "select type from checkpoint_writes where channel = 'seen'"
        ).fetchall()
    assert new
    assert all("+aes-" in row[0] for row in new)


async def test_keys_are_rotated(opened: Open, database_url: str) -> None:
    """The first one writes, all read; what was written with an old one needs it still, and that can be told."""
    async with opened(ONE) as il:
        await begin(il)
    async with opened(OTHER, ONE) as il:
        await go_on(il)
        used = await keys_in_use(database_url)
        await begin(il, "two", word="another word")
        more = await keys_in_use(database_url)
    async with opened(OTHER) as il:
        with pytest.raises(KeyMissing, match=r"with the key [0-9a-f]{8}, which is not among those"):
            await il.ahistory("one")

    assert used.keys() == more.keys() == {fingerprint(ONE), fingerprint(OTHER)}
    assert used[fingerprint(ONE)] == more[fingerprint(ONE)]
    assert used[fingerprint(OTHER)] < more[fingerprint(OTHER)]


@pytest.mark.parametrize("keys", [(), (OTHER,)], ids=["none", "another"])
async def test_a_wrong_key_is_told_and_loses_nothing(
    opened: Open, database_url: str, keys: tuple[bytes, ...]
) -> None:
    """Reading, resuming and replaying are refused, the check lists the thread, and the right key goes on with it."""
    async with opened(ONE) as il:
        await begin(il)
    async with opened(*keys) as il:
        before = rows_of(database_url)
        [asked] = await il.aquestions("one")
        with pytest.raises(interlock.InterlockError, match="was encrypted with the key"):
            await il.aresume("one", Resume(asked.id, "yes"))
        for look in (il.ahistory, il.areplay):
            with pytest.raises(KeyMissing, match=r"Add it to INTERLOCK_ENCRYPTION_KEY"):
                await look("one")
        [broken] = (await il.acheck()).broken
        assert rows_of(database_url) == before
    async with opened(ONE) as il:
        assert (await go_on(il))["word"] == WORD

    assert [each.kind for each in broken.problems] == ["unreadable"]


async def test_a_run_that_was_accepted_is_not_begun_with_a_wrong_key(opened: Open) -> None:
    """Its input cannot be read; it stays queued."""
    async with opened(ONE) as il:
        await il.asubmit("vault", {"word": WORD}, thread_id="one")
    async with opened(OTHER) as il:
        with pytest.raises(interlock.InterlockError, match="was encrypted with the key"):
            await il.aresume("one")
    async with opened(ONE) as il:
        assert (await il.aresume("one")).status == "waiting"


async def test_bytes_that_were_changed_are_noticed(opened: Open, database_url: str) -> None:
    """They are not taken for a value."""
    async with opened(ONE) as il:
        await il.asubmit("vault", {"word": WORD}, thread_id="one")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update interlock.runs set input = set_byte(input, 40, get_byte(input, 40) # 1)"
        )
    async with opened(ONE) as il:
        with pytest.raises(interlock.InterlockError, match="was changed in the database"):
            await il.aresume("one")


def test_a_value_of_langgraphs_own_cipher_is_read() -> None:
    """What an application encrypted before it came to Interlock, with the same key."""
    theirs = EncryptedSerializer.from_pycryptodome_aes(key=ONE)
    packed = theirs.dumps_typed({"word": WORD})

    assert serializer(KeyRing((OTHER, ONE))).loads_typed(packed) == {"word": WORD}
    with pytest.raises(KeyMissing, match="with a key, which is not"):
        serializer(KeyRing((OTHER,))).loads_typed(packed)


def test_json_is_encrypted_as_json() -> None:
    """What is not encrypted is read as it is."""
    sealed = sealed_json(KeyRing((ONE,)), {"word": WORD})

    assert WORD not in str(sealed)
    assert opened_json(KeyRing((OTHER, ONE)), sealed) == {"word": WORD}
    assert opened_json(None, {"word": WORD}) == {"word": WORD}
    with pytest.raises(KeyMissing):
        opened_json(None, sealed)


def test_a_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not by a setting that is wrong, not by `repr`, not in a log."""
    key = base64.b64encode(os.urandom(32)).decode()
    caplog.set_level(logging.DEBUG)
    settings = load({"INTERLOCK_ENCRYPTION_KEY": f"{key}, {key}"})
    assert settings.encryption_key
    ring = KeyRing(settings.encryption_key)
    with pytest.raises(UsageError) as refused:
        load({"INTERLOCK_ENCRYPTION_KEY": key[:-6]})

    shown = f"{settings!r} {ring!r} {serializer(ring)!r} {refused.value} {caplog.text}"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or key[:-6] not in str(refused.value.__context__)
    assert not any(part in shown for part in (key[:-6], repr(settings.encryption_key[0])))
    assert "16, 24 or 32 bytes in base64" in str(refused.value)


@pytest.mark.parametrize("text", ["short", "AAAA", f"{'A' * 43}=,", "$" * 44])
def test_what_is_no_key_is_refused(text: str) -> None:
    """Each of a list must be one."""
    with pytest.raises(UsageError, match="INTERLOCK_ENCRYPTION_KEY is wrong"):
        load({"INTERLOCK_ENCRYPTION_KEY": text})


def places_of(url: str, word: str) -> list[str]:
    """Return the columns of all tables in whose bytes a word stands, as text, as JSON or in hexadecimal."""
    found = []
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "select table_schema, table_name, column_name "
            "from information_schema.columns join information_schema.tables "
            "using (table_schema, table_name) where table_type = 'BASE TABLE' "
            "and table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(columns) > 150
        for schema, table, column in columns:
            where = sql.SQL("{}::text").format(sql.Identifier(column))
            query = sql.SQL(
                "select count(*) from {} where position(%(word)s in {where}) > 0 or position(%(hex)s in {where}) > 0"
            ).format(sql.Identifier(schema, table), where=where)
            row = connection.execute(query, {"word": word, "hex": word.encode().hex()}).fetchone()
            found += [f"{table}.{column}"] if row and row[0] else []
    return found


def rows_of(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return [
            connection.execute(f"select count(*), max(x::text) from {table} x").fetchall()
            for table in (
                "interlock.runs",
                "interlock.questions",
                "checkpoints",
                "checkpoint_writes",
            )
        ]
