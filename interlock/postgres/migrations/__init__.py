"""Our tables, made and changed by forward-only SQL files under one advisory lock."""

from __future__ import annotations

import asyncio
from importlib import resources

import psycopg

from interlock.errors import DatabaseUnavailable
from interlock.postgres.pool import check_address

LOCK = 0x1E7E_10C4
"""The advisory lock under which migrations run: two processes that start at once do not collide."""

TURN_SECONDS = 0.05

MINIMUM_SERVER = 140000


async def migrate(url: str) -> list[str]:
    """Bring the database to this version and return the names of the migrations that ran.

    LangGraph's checkpoint tables are made too. Running it again does nothing.

    Raises:
        DatabaseUnavailable: no server answers, it is older than Postgres 14, a later Interlock has changed it, or the
            role may not create tables.
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
                return await _apply(connection)
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


async def _wait_for_turn(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    # Asked for again and again, not waited for inside a statement: LangGraph's setup builds indexes concurrently,
    # which waits for every statement that is under way, and so the two would wait for each other.
    while True:
        cursor = await connection.execute("select pg_try_advisory_lock(%s)", (LOCK,))
        if await cursor.fetchone() == (True,):
            return
        await asyncio.sleep(TURN_SECONDS)


async def _apply(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> list[str]:
    applied = await _applied(connection)
    _check_known(applied)
    fresh = [(name, sql) for name, sql in scripts() if name not in applied]
    if not fresh:
        return []
    await _make_checkpoint_tables(connection)
    for name, sql in fresh:
        async with connection.transaction():
            await connection.execute(sql.encode())
            await connection.execute("insert into interlock.migrations (name) values (%s)", (name,))
    return [name for name, _ in fresh]


async def _applied(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> set[str]:
    found = await (
        await connection.execute("select to_regclass('interlock.migrations')")
    ).fetchone()
    if found is None or found[0] is None:
        return set()
    rows = await (await connection.execute("select name from interlock.migrations")).fetchall()
    return {str(row[0]) for row in rows}


async def _make_checkpoint_tables(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row

    connection.row_factory = dict_row  # type: ignore[assignment]  # the saver reads its rows as mappings
    try:
        await AsyncPostgresSaver(connection).setup()  # type: ignore[arg-type]  # same
    finally:
        connection.row_factory = psycopg.rows.tuple_row


def _check_known(applied: set[str]) -> None:
    if unknown := sorted(applied - {name for name, _ in scripts()}):
        raise DatabaseUnavailable(
            f"The database was made by another version of Interlock: it has {', '.join(unknown)}.",
            hint="Use that version or a later one, or another database or --data-dir.",
        )


def _check_server(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    if connection.info.server_version < MINIMUM_SERVER:
        raise DatabaseUnavailable(
            f"The server is Postgres {connection.info.server_version // 10000}; Interlock needs 14 or later.",
            hint="Upgrade it, or leave INTERLOCK_DATABASE_URL unset to use the embedded one.",
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
