"""Look at the database as a whole, and empty it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from interlock.errors import ThreadBusy
from interlock.postgres.locks import HOLDER
from interlock.postgres.migrations import pending
from interlock.postgres.pool import check_address, execute, fetch, translated
from interlock.postgres.queries import load

SQL = load("maintenance")
ENCRYPTION = load("encryption")
CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What is known of a database.

    Attributes:
        pending: the migrations that have not run.
    """

    version: str
    bytes: int
    pending: tuple[str, ...]


async def look(url: str) -> DatabaseFacts:
    """Return what is known of a database; nothing is changed. Raises `DatabaseUnavailable`."""
    async with await _connect(url) as connection:
        row = (await fetch(connection, SQL["facts"], {}))[0]
    with translated():
        waiting = await pending(url)
    return DatabaseFacts(version=row["version"], bytes=row["bytes"], pending=tuple(waiting))


async def keys_in_use(url: str) -> dict[str, int]:
    """Return how many rows are encrypted with each key, by the key's fingerprint; reads whole tables."""
    async with await _connect(url) as connection:
        rows = await fetch(connection, ENCRYPTION["key_names"], {})
    return {row["cipher"].removeprefix("aes-"): row["rows"] for row in rows}


async def plain_items(url: str) -> int:
    """Return how many items of the store are not encrypted; reads the whole table."""
    async with await _connect(url) as connection:
        [row] = await fetch(connection, ENCRYPTION["plain_items"], {})
    return int(str(row["items"]))


async def reset(url: str) -> None:
    """Remove everything that was stored; raises `ThreadBusy` while a thread is being worked on."""
    async with await _connect(url) as connection, connection.transaction():
        threads = (await fetch(connection, SQL["worked_on"], {"holder": HOLDER}))[0]["threads"]
        if threads:
            raise ThreadBusy(
                f"{threads} thread(s) of this database are being worked on; nothing was removed.",
                hint="Stop those processes first; `interlock status` shows the threads.",
            )
        await execute(connection, SQL["drop_ours"], {})
        await execute(connection, SQL["drop_checkpoints"], {})


async def _connect(url: str) -> psycopg.AsyncConnection[dict[str, object]]:
    check_address(url)
    with translated():
        return await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS, row_factory=dict_row
        )
