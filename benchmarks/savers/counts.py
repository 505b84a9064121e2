"""Round trips and commits of one superstep, counted on the wire and by the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg

from benchmarks.savers.contestants import Opening
from benchmarks.savers.databases import commits, database
from benchmarks.savers.graphs import ticking
from benchmarks.savers.wire import counting
from benchmarks.savers.work import side_by_side

SESSIONS = "select count(*) from pg_stat_activity where datname = %s"
VACUUMING = "select count(*) from pg_stat_activity where backend_type like 'autovacuum%%'"
SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one superstep costs."""

    round_trips: float
    commits: float


async def cost_of_a_step(server: str, opening: Opening, *, threads: int, steps: int) -> Cost:
    """Count for some steps and for twice as many, so that what a run costs at its begin and end falls out."""
    async with _no_vacuum(server):
        shorter = await _counted(server, opening, threads, steps)
        longer = await _counted(server, opening, threads, 2 * steps)
    round_trips, committed = (
        round((more - fewer) / (threads * steps), 3)
        for fewer, more in zip(shorter, longer, strict=True)
    )
    return Cost(round_trips=round_trips, commits=committed)


async def _counted(server: str, opening: Opening, threads: int, steps: int) -> tuple[int, int]:
    async with database(server) as url:
        async with counting(url) as wire:
            async with opening(wire.url) as saver:
                await side_by_side(ticking(saver), threads, steps)
            await _all_closed(server, url)
        return wire.round_trips, await commits(server, url)


async def _all_closed(server: str, url: str) -> None:
    """Wait until the last session has ended: only then the server has counted all that it committed."""
    name = urlsplit(url).path.removeprefix("/")
    async with await _connect(server) as connection:
        await _none_left(connection, SESSIONS, (name,))


@asynccontextmanager
async def _no_vacuum(server: str) -> AsyncIterator[None]:
    """Stop autovacuum meanwhile: its commits count as the database's, and cannot be told from a client's."""
    async with await _connect(server) as connection:
        await connection.execute("alter system set autovacuum = off")
        try:
            await connection.execute("select pg_reload_conf()")
            await _none_left(connection, VACUUMING)
            yield
        finally:
            await connection.execute("alter system reset autovacuum")
            await connection.execute("select pg_reload_conf()")


Connection = psycopg.AsyncConnection[tuple[int, ...]]


async def _none_left(
    connection: Connection, statement: LiteralString, values: tuple[str, ...] = ()
) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            cursor = await connection.execute(statement, values)
            if await cursor.fetchone() == (0,):
                return
            await asyncio.sleep(0.01)


async def _connect(server: str) -> Connection:
    return await psycopg.AsyncConnection.connect(server, autocommit=True)
