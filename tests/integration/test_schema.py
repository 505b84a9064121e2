"""A schema of the user's choice: where the tables are, and two Interlocks side by side in one database."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

import interlock
from interlock.errors import NotFound, UsageError
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.maintenance import look, reset
from interlock.postgres.migrations import migrate, scripts
from interlock.postgres.schema import placed, schema_of
from interlock.settings import Settings, load

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"
GIVEN = {"payee": "ann", "amount": 5}


async def test_two_interlocks_share_a_database_without_seeing_each_other(
    database_url: str, tmp_path: Path
) -> None:
    """Each has its threads, questions and checkpoints, also where two threads have one name, and resumes its own."""
    red, blue = Settings(schema="red"), Settings(schema="blue")
    async with (
        interlock.aopen(database_url, config=CONFIG, settings=red) as ours,
        interlock.aopen(database_url, config=CONFIG, settings=blue) as theirs,
    ):
        given = GIVEN | {"ledger": str(tmp_path / "red")}
        waiting = await ours.ainvoke("payment", given, thread_id="one")
        given = GIVEN | {"ledger": str(tmp_path / "blue")}
        await theirs.ainvoke("payment", given, thread_id="one")
        paid = await ours.aresume("one", interlock.Approve(waiting.interrupts[0].id, by="ann"))
        done = await ours.aresume("one", interlock.Reject(paid.interrupts[0].id, by="ann"))

        assert done.status == "succeeded"
        assert (tmp_path / "red").exists()
        assert not (tmp_path / "blue").exists()
        assert [each.status for each in await theirs.athreads()] == ["waiting"]
        with pytest.raises(NotFound):
            await theirs.aquestion(waiting.interrupts[0].id)
    assert _rows(database_url, "public.checkpoints") == 0
    assert _rows(database_url, "interlock.runs") == 0
    assert _rows(database_url, "red.checkpoints") > _rows(database_url, "blue.checkpoints") > 0


async def test_a_thread_of_one_schema_does_not_lock_that_of_another(database_url: str) -> None:
    """Two threads of one name are worked on at the same time when they are in two schemas."""
    red, blue = (ThreadLocks(placed(database_url, each)) for each in ("red", "blue"))
    try:
        async with red.hold("one"), blue.hold("one"):
            assert red is not blue
    finally:
        await red.close()
        await blue.close()


async def test_what_is_removed_from_one_schema_stays_in_the_other(database_url: str) -> None:
    """`db reset` empties its own schema, LangGraph's tables in it included, and no other."""
    for schema in ("red", "blue"):
        await migrate(placed(database_url, schema))

    await reset(placed(database_url, "red"))

    assert (await look(placed(database_url, "blue"))).pending == ()
    assert len((await look(placed(database_url, "red"))).pending) == len(scripts())
    assert _rows(database_url, "blue.checkpoints") == _rows(database_url, "checkpoints") == 0


async def test_a_role_needs_no_right_to_create_schemas_where_its_own_exists(
    database_url: str,
) -> None:
    """An administrator makes the schema; the role that Interlock has owns it and nothing else."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop role if exists narrow")
        connection.execute("create role narrow login")
        connection.execute("create schema mine authorization narrow")
    url = placed(re.sub(r"//[^@]+@", "//narrow@", database_url), "mine")

    try:
        assert await migrate(url) == [name for name, _ in scripts()]
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("drop owned by narrow cascade")
            connection.execute("drop role narrow")


async def test_the_address_tells_the_schema(database_url: str) -> None:
    """Options that an address had are kept; the default schema changes no address."""
    url = placed(f"{database_url}&options=-c%20statement_timeout%3D7s", "order")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        shown = await (await connection.execute("show statement_timeout")).fetchone()

        assert (schema_of(connection), shown) == ("order", ("7s",))
    assert placed(database_url, "interlock") == database_url
    assert "options='-c search_path" in placed("host=/tmp dbname=x", "order")


@pytest.mark.parametrize("name", ["public", "pg_mine", "information_schema", "My", "a b", 'a"b'])
def test_a_name_that_is_no_schema_of_ours_is_refused(name: str) -> None:
    """Postgres's own schemas and names that need care are refused when the setting is read."""
    with pytest.raises(UsageError, match="INTERLOCK_SCHEMA is wrong: a schema is up to 51 small"):
        load({"INTERLOCK_SCHEMA": name})


def _rows(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(f"select count(*) from {table}").fetchone()
    return int(found[0]) if found else -1
