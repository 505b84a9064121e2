"""Who works on a thread: a session-level advisory lock, which falls at once when its process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from psycopg.rows import dict_row

from interlock.errors import ThreadBusy
from interlock.postgres.pool import Connection, Pool, execute, fetch, translated
from interlock.postgres.queries import load

SQL = load("runs")
SPACE = 0x1E7E
"""The first half of every advisory lock on a thread."""


class ThreadLocks:
    """The threads that this process works on, all held by one connection of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._held: set[str] = set()
        self._connection: Connection | None = None
        self._guard = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[None]:
        """Hold a thread; raises `ThreadBusy` when this or another process holds it."""
        await self._take(thread_id)
        try:
            yield
        finally:
            await self._release(thread_id)

    async def close(self) -> None:
        """Close the connection, and with it let go of all threads."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _take(self, thread_id: str) -> None:
        async with self._guard:
            # The same session may take the same lock twice, so our own threads are looked up first.
            if thread_id in self._held or not await self._try(thread_id):
                raise ThreadBusy(
                    f"Thread {thread_id} is being run by another process.",
                    hint="Wait for it, or stop it; `interlock status` shows it.",
                )
            self._held.add(thread_id)

    async def _try(self, thread_id: str) -> bool:
        values = {"space": SPACE, "thread_id": thread_id}
        return bool((await fetch(await self._open(), SQL["lock_thread"], values))[0]["locked"])

    async def _release(self, thread_id: str) -> None:
        self._held.discard(thread_id)
        if self._connection is None or self._connection.closed:
            return  # the lock fell with the connection
        async with self._guard:
            try:
                await execute(
                    self._connection, SQL["unlock_thread"], {"space": SPACE, "thread_id": thread_id}
                )
            except psycopg.Error:
                await self.close()

    async def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            with translated():
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, prepare_threshold=0, row_factory=dict_row
                )
        return self._connection


async def held(pool: Pool, thread_ids: Sequence[str]) -> set[str]:
    """Return those of the threads that a process works on now."""
    if not thread_ids:
        return set()
    async with pool.connection() as connection:
        rows = await fetch(
            connection, SQL["locked_threads"], {"space": SPACE, "thread_ids": list(thread_ids)}
        )
    return {row["thread_id"] for row in rows}
