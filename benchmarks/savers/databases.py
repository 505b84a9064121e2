"""Databases that live for one measurement, and what Postgres itself says of them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

_numbers = count(1)

SIZE = """
select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace
"""
"""Each table with its indexes and what was stored out of line, as files on the disk."""
COMMITS = "select xact_commit from pg_stat_database where datname = %s"


@asynccontextmanager
async def database(server: str, *, synchronous_commit: bool = True) -> AsyncIterator[str]:
    """Make an empty database on a server, lend its address, and drop it."""
    name = f"measured_{next(_numbers)}"
    async with await _connect(server) as connection:
        await connection.execute(f"create database {name}")
        if not synchronous_commit:
            await connection.execute(f"alter database {name} set synchronous_commit = off")
        try:
            yield named(server, name)
        finally:
            await connection.execute(f"drop database {name} with (force)")


def named(server: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


async def stored_bytes(url: str) -> int:
    """Return how much the tables take on the disk."""
    return await _number(url, SIZE)


async def commits(server: str, url: str) -> int:
    """Return how many transactions a database committed, reading ones too, once its sessions are closed."""
    return await _number(server, COMMITS, urlsplit(url).path.removeprefix("/"))


async def _number(url: str, statement: str, *values: str) -> int:
    async with await _connect(url) as connection:
        cursor = await connection.execute(statement, values)
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _connect(url: str) -> psycopg.AsyncConnection[tuple[int, ...]]:
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder with a short path, which the server's account can pass through."""
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        made = Path(name).resolve()
        made.chmod(0o711)
        yield made
