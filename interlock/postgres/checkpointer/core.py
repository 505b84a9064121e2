"""What a saver and its copies share: the queue, what is known to be stored, and the counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol
from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import DeadlockDetected, DuplicateObject, DuplicateTable, UniqueViolation
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from interlock.postgres.checkpointer.knowledge import Knowledge
from interlock.postgres.checkpointer.lines import Borrowed, Line, Own, Shared
from interlock.postgres.checkpointer.queue import Queue
from interlock.postgres.checkpointer.stats import Stats
from interlock.postgres.queries import load

SQL = load("checkpoints")
TABLES = "0009_checkpoints.sql"

SETUPS = 50
SETUP_SECONDS = 0.05
"""How often setting up is tried again, and after how long."""


class Core:
    """One queue with its line, on the event loop on which it was made."""

    def __init__(self, line: Line) -> None:
        self.stats = Stats()
        self.knowledge = Knowledge()
        self.secrets: dict[CipherProtocol, bytes] = {}
        self._line = line
        self.queue = Queue(line, self.knowledge, self.stats)

    @classmethod
    def over(
        cls,
        conn: AsyncConnection[DictRow] | AsyncConnectionPool[Any],  # of any connection class
        lock: asyncio.Lock,
    ) -> Core:
        """Return a core that writes on a connection of the pool, or on the connection when no one reads there."""
        if isinstance(conn, AsyncConnectionPool):
            return cls(Borrowed(conn))
        return cls(Shared(conn, lock))

    @classmethod
    def at(cls, url: str) -> Core:
        """Return a core that writes on a connection of its own, made on first use."""
        return cls(Own(partial(_connected, url)))

    def sever(self) -> None:
        """End the connection of its own where it stands; who waits on it gets an error, and a new one is made."""
        if isinstance(self._line, Own):
            self._line.sever()

    async def close(self) -> None:
        """Save what waits, and let go of the connection."""
        await self.queue.close()


async def _connected(url: str) -> AsyncConnection[DictRow]:
    return await AsyncConnection.connect(
        url, autocommit=True, prepare_threshold=0, row_factory=dict_row, connect_timeout=10
    )


async def made_in_company(setup: Callable[[], Awaitable[None]]) -> None:
    """Make LangGraph's tables, also where others make them at the same time, which its own `setup` does not expect."""
    for _ in range(SETUPS):
        try:
            return await setup()
        except (UniqueViolation, DuplicateObject, DuplicateTable, DeadlockDetected):
            await asyncio.sleep(SETUP_SECONDS)
    return await setup()


async def make_tables(cursor: AsyncCursor[DictRow]) -> None:
    """Make our tables and functions where they are not there yet; otherwise nothing is locked."""
    await cursor.execute(SQL["made"])
    if (row := await cursor.fetchone()) and row["made"]:
        return
    script = resources.files("interlock.postgres.migrations") / TABLES
    async with cursor.connection.transaction():
        await cursor.connection.execute(script.read_bytes(), prepare=False)
