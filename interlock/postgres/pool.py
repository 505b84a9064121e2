"""Connections: one pool per process, opened with a clear error, and statements by name."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import Any, LiteralString
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from interlock.errors import DatabaseUnavailable, NotFound, UsageError
from interlock.postgres.schema import ours

Connection = psycopg.AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

CONNECT_SECONDS = 10.0

STEADY: Mapping[str, Any] = {  # libpq's parameters
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""A network that swallows everything counts as cut after about ten seconds."""

_KIND: Mapping[str, Any] = {  # the driver's parameters
    "autocommit": True,
    "prepare_threshold": 0,
    "row_factory": dict_row,
    "connect_timeout": 5,
    **STEADY,
}

NOT_THERE = "IL404"
"""The state with which our functions in the database refuse what is not there for the tenant who asks."""

_lines: WeakKeyDictionary[Pool, WeakSet[Connection]] = WeakKeyDictionary()

# What the driver logs is also raised; without any handler Python would print it beside our one line.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


@asynccontextmanager
async def open_pool(
    url: str, *, size: int = 8, least: int = 1, idle: float = 600.0
) -> AsyncIterator[Pool]:
    """Open connections in autocommit that return rows as mappings; raises `DatabaseUnavailable`.

    Args:
        url: the database.
        size: how many there are at most.
        least: how many are kept open.
        idle: seconds after which one beyond those is closed when nobody uses it.
    """
    lines: WeakSet[Connection] = WeakSet()

    async def noted(connection: Connection) -> None:
        lines.add(connection)

    pool: Pool = AsyncConnectionPool(
        url,
        min_size=least,
        max_size=size,
        max_idle=idle,
        open=False,
        timeout=CONNECT_SECONDS,
        kwargs=dict(_KIND),
        configure=noted,
        check=_answers,  # after a restart of the server, at once new ones
        name="interlock",
    )
    _lines[pool] = lines
    try:
        with translated():
            await pool.open(wait=True, timeout=CONNECT_SECONDS)
        yield pool
    finally:
        await pool.close()


async def own_connection(url: str, name: str) -> Connection:
    """Return a connection beside all pools, under a name that Postgres shows; raises `DatabaseUnavailable`."""
    with translated():
        return await psycopg.AsyncConnection.connect(url, application_name=name, **_KIND)


def sever_all(pool: Pool) -> None:
    """End all connections of a pool where they stand, also those on which somebody waits for an answer."""
    for connection in tuple(_lines.get(pool, ())):
        sever(connection)


def sever(connection: psycopg.AsyncConnection[Any]) -> None:  # its rows may be of any kind
    """End a connection where it stands: whoever waits for an answer on it gets an error."""
    if not connection.closed:
        with suppress(OSError, psycopg.Error), socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(SHUT_RDWR)


def quiet(connection: Connection) -> bool:
    """Say whether nothing has arrived unasked on an idle connection; its end would have, and this costs no round trip.

    What no round trip in time would notice either, a network that silently swallows everything, goes unnoticed.
    """
    if connection.closed:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return not waiting.poll(0)


async def _answers(connection: Connection) -> None:
    """Raise the driver's error when a connection is dead; a round trip only where something has arrived unasked.

    The pool's own check prepares its empty statement anew each time, because psycopg keeps no empty one: that is two.
    """
    if not quiet(connection):
        await connection.execute("", prepare=False)


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection; raises `DatabaseUnavailable` when there is none, or when it breaks meanwhile."""
    with translated():
        async with pool.connection() as connection:
            yield connection


def check_address(url: str) -> None:
    """Refuse what is no address; the driver's own words may repeat a password, so they are not told."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise UsageError(
            "The address of the database cannot be read.",
            hint="Write postgresql://user:password@host:port/database, with %20 for a space and so on.",
        ) from None


class translated:  # noqa: N801  # reads as a verb: `with translated():`
    """Turn the driver's connection errors into `DatabaseUnavailable`, and `NOT_THERE` into `NotFound`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.OperationalError | PoolTimeout):
            raise unavailable(error) from error
        if isinstance(error, psycopg.DatabaseError) and error.sqlstate == NOT_THERE:
            raise NotFound(error.diag.message_primary or "") from error


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """Return the error that says what a person can do about a lost database."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, psycopg.errors.DiskFull):
        return DatabaseUnavailable(
            f"The database's disk is full: {reason}", hint="Free space; then resume the run."
        )
    return DatabaseUnavailable(
        f"The database does not answer: {reason}",
        hint="Check that it runs (interlock db url); what was saved is kept: resume the run afterwards.",
    )


async def fetch(
    connection: Connection,
    statement: LiteralString,  # SQL
    values: Mapping[str, Any],  # SQL values
    *,
    binary: bool = False,
) -> list[DictRow]:
    """Run a statement and return its rows; `binary` says how values travel, which is less where they are bytes."""
    with translated():
        cursor = await connection.execute(ours(connection, statement), values, binary=binary)
        has_rows = cursor.rownumber is not None  # `description` would tell of each column
        return await cursor.fetchall() if has_rows else []


async def execute(
    connection: Connection, statement: LiteralString, values: Mapping[str, Any]
) -> int:  # SQL
    """Run a statement and return how many rows it touched."""
    with translated():
        return (await connection.execute(ours(connection, statement), values)).rowcount
