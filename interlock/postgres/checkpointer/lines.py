"""The connection on which a saver writes: borrowed from a pool, its own, or the only one that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from interlock.postgres.pool import sever

Connection = AsyncConnection[DictRow]


class Line(Protocol):
    """Lends the connection to write on, to one at a time."""

    async def lend(self) -> Connection:
        """Lend the connection; a broken one is replaced first."""
        ...

    def take_back(self) -> None:
        """Take the connection back that was lent."""
        ...

    async def rest(self) -> None:
        """Note that nothing is to be written for now."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


class Borrowed:
    """A connection of a pool, kept while one flush follows the other."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:  # of any connection class
        self._pool = pool
        self._held: Connection | None = None

    async def lend(self) -> Connection:
        """Lend the connection; a broken one goes back to the pool, which replaces it."""
        if self._held is not None and self._held.closed:  # as a broken one is
            await self.rest()
            await self._pool.check()  # its others broke at the same time, most likely
        if self._held is None:
            self._held = await self._pool.getconn()
        return self._held

    def take_back(self) -> None:
        """Keep the connection for the next flush."""

    async def rest(self) -> None:
        """Give the connection back."""
        held, self._held = self._held, None
        if held is not None:
            await self._pool.putconn(held)

    async def close(self) -> None:
        """Give the connection back."""
        await self.rest()


class Own:
    """A connection of its own, made on first use."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._held: Connection | None = None

    async def lend(self) -> Connection:
        """Lend the connection, made anew where it broke."""
        if self._held is None or self._held.closed:  # as a broken one is
            await self.close()
            self._held = await self._connect()
        return self._held

    def take_back(self) -> None:
        """Keep the connection for the next flush."""

    def sever(self) -> None:
        """End the connection where it stands."""
        if self._held is not None:
            sever(self._held)

    async def rest(self) -> None:
        """Keep the connection for the next time."""

    async def close(self) -> None:
        """Close the connection."""
        held, self._held = self._held, None
        if held is not None:
            await held.close()


class Shared:
    """The one connection that a saver was made with, for reads too; nobody can replace it."""

    def __init__(self, connection: Connection, lock: asyncio.Lock) -> None:
        self._connection = connection
        self._lock = lock

    async def lend(self) -> Connection:
        """Lend the connection when no one reads."""
        await self._lock.acquire()
        return self._connection

    def take_back(self) -> None:
        """Let others read."""
        self._lock.release()

    async def rest(self) -> None:
        """Keep the connection; it is the caller's."""

    async def close(self) -> None:
        """Keep the connection; it is the caller's."""
