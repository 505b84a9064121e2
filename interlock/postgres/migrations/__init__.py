"""Our tables, made and changed by forward-only SQL files under one advisory lock, beside workers that go on."""

from __future__ import annotations

import asyncio
import time
from importlib import resources

import psycopg

from interlock.errors import DatabaseUnavailable
from interlock.postgres.pool import check_address
from interlock.postgres.schema import DEFAULT, ours, schema_of

LOCK = 0x1E7E_10C4
"""The advisory lock under which migrations run: two processes that start at once do not collide."""

TURN_SECONDS = 0.05

LOCK_SECONDS = 1.0
"""How long a change waits for a table: whoever comes after it waits too, so it gives up soon and tries again."""

PATIENCE = 60.0
"""Seconds after which a change that does not get its tables is given up."""

Connection = psycopg.AsyncConnection[tuple[object, ...]]

MINIMUM_SERVER = 140000


async def migrate(url: str, *, patience: float = PATIENCE) -> list[str]:
    """Bring the database to this version and return the names of the migrations that ran.

    LangGraph's checkpoint tables are made too. Running it again does nothing. Workers go on meanwhile: a migration
    waits a second for a table, lets those behind it pass, and tries again.

    Args:
        url: the database, `placed` in a schema.
        patience: seconds after which a migration that does not get its tables is given up.

    Raises:
        DatabaseUnavailable: no server answers, it is older than Postgres 14, a later Interlock has changed it, the
            role may not create tables, or somebody holds a table all the time; what ran is kept.
        UsageError: the address is not one.
    """
    check_address(url)
    try:
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=None, connect_timeout=10
        ) as connection:
            _check_server(connection)
            await _wait_for_turn(connection)
            try:
                return await _apply(connection, patience)
            finally:
                await connection.execute("select pg_advisory_unlock(%s)", (LOCK,))
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            f"The database does not answer: {_first_line(error)}",
            hint="Check INTERLOCK_DATABASE_URL, and that the server runs.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnavailable(
            f"The database role may not create Interlock's tables: {_first_line(error)}",
            hint="Grant it CREATE on the database, or run `interlock db migrate` with a role that has it.",
        ) from error


async def pending(url: str) -> list[str]:
    """Return the names of the migrations that have not run; needs no right to create anything."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return [name for name, _ in scripts() if name not in await _applied(connection)]


def scripts() -> list[tuple[str, str]]:
    """Return each migration's name and SQL, in order."""
    folder = resources.files(__name__)
    files = sorted(
        (each for each in folder.iterdir() if each.name.endswith(".sql")),
        key=lambda each: each.name,
    )
    return [(each.name.removesuffix(".sql"), each.read_text(encoding="utf-8")) for each in files]


async def _wait_for_turn(connection: Connection) -> None:
    # Asked for again and again, not waited for inside a statement: LangGraph's setup builds indexes concurrently,
    # which waits for every statement that is under way, and so the two would wait for each other.
    while True:
        cursor = await connection.execute("select pg_try_advisory_lock(%s)", (LOCK,))
        if await cursor.fetchone() == (True,):
            return
        await asyncio.sleep(TURN_SECONDS)


async def _apply(connection: Connection, patience: float) -> list[str]:
    applied = await _applied(connection)
    _check_known(applied)
    fresh = [(name, sql) for name, sql in scripts() if name not in applied]
    if not fresh:
        return []
    if schema_of(connection) != DEFAULT:
        await _make_schema(connection)
    await _make_checkpoint_tables(connection)
    # Not before: where the role has the schema's name, LangGraph's tables would be made in it.
    await _make_schema(connection)
    for name, sql in fresh:
        await _run(connection, name, sql, time.monotonic() + patience)
    return [name for name, _ in fresh]


async def _run(connection: Connection, name: str, sql: str, until: float) -> None:
    """Run one migration, as often as it takes until it gets its tables."""
    while True:
        try:
            return await _attempt(connection, name, sql)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() >= until:
                raise await _kept_out(connection, name) from error
        await asyncio.sleep(LOCK_SECONDS)  # those who waited behind it work now


async def _attempt(connection: Connection, name: str, sql: str) -> None:
    script = ours(connection, sql.replace(_MAKES_SCHEMA, ""))
    note = ours(connection, "insert into interlock.migrations (name) values (%s)")
    async with connection.transaction():
        await connection.execute(_SETTINGS, {"patience": f"{LOCK_SECONDS}s"})
        await connection.execute(script.encode())
        await connection.execute(note, (name,))


async def _kept_out(connection: Connection, name: str) -> DatabaseUnavailable:
    """Return the error that names the oldest transactions, which are likely in the way."""
    rows = await (await connection.execute(_LONGEST)).fetchall()
    who = "; ".join(f"pid {pid} ({what or 'unnamed'}) for {age:.0f} s" for pid, what, age in rows)
    return DatabaseUnavailable(
        f"Migration {name} did not get its tables: transactions are open{f': {who}' if who else ''}.",
        hint="End them, or wait, and start again; nothing was left half done.",
    )


_MAKES_SCHEMA = "create schema if not exists interlock;"
"""Of the first migration: here a schema that exists is enough, also for a role that may not create one."""

_SETTINGS = """
select set_config('lock_timeout', %(patience)s, true), set_config('search_path', quote_ident(n.nspname), true)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass('checkpoints')
"""
"""What is made beside LangGraph's tables is made where those are: a role's own schema may come first in its path."""

_THEIR_SCHEMA = """
select set_config('search_path', quote_ident(n.nspname), false)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass('checkpoint_migrations')
"""

_LONGEST = """
select pid, application_name, extract(epoch from now() - xact_start)::float from pg_stat_activity
where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
order by xact_start limit 3
"""


async def _applied(connection: Connection) -> set[str]:
    known = ours(connection, "select to_regclass('interlock.migrations')")
    if await (await connection.execute(known)).fetchone() in (None, (None,)):
        return set()
    names = ours(connection, "select name from interlock.migrations")
    return {str(row[0]) for row in await (await connection.execute(names)).fetchall()}


async def _make_schema(connection: Connection) -> None:
    schema = schema_of(connection)
    found = await connection.execute("select to_regnamespace(quote_ident(%s)) is null", (schema,))
    if await found.fetchone() == (True,):
        await connection.execute(ours(connection, "create schema if not exists interlock"))


async def _make_checkpoint_tables(connection: Connection) -> None:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row

    from interlock.postgres.checkpointer.core import made_in_company

    # Where they are already, whatever schema comes first by now: a role may have one of its own name, as ours has.
    await connection.execute(_THEIR_SCHEMA)
    connection.row_factory = dict_row  # type: ignore[assignment]  # the saver reads its rows as mappings
    try:
        saver = AsyncPostgresSaver(connection)  # type: ignore[arg-type]  # same
        await made_in_company(saver.setup)
    finally:
        connection.row_factory = psycopg.rows.tuple_row
        await connection.execute("reset search_path")


def _check_known(applied: set[str]) -> None:
    if unknown := sorted(applied - {name for name, _ in scripts()}):
        raise DatabaseUnavailable(
            f"The database was made by another version of Interlock: it has {', '.join(unknown)}.",
            hint="Use that version or a later one, or another database or --data-dir.",
        )


def _check_server(connection: Connection) -> None:
    if connection.info.server_version < MINIMUM_SERVER:
        raise DatabaseUnavailable(
            f"The server is Postgres {connection.info.server_version // 10000}; Interlock needs 14 or later.",
            hint="Upgrade it, or leave INTERLOCK_DATABASE_URL unset to use the embedded one.",
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
