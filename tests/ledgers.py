"""What tests of ledgers share: intentions, and rows that others write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from interlock.core.actions import digest
from interlock.core.ledger import Intention, Ledger, MemoryLedger
from interlock.core.lineage import Lineage
from interlock.core.site import Site
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import open_pool


def site(thread: str = "t", *, agent: str = "pay", checkpoint: str = "c1") -> Site:
    """Return a place in a run."""
    return Site(
        thread_id=thread,
        run_id=f"run of {thread}",
        node=agent,
        agent=agent,
        task=f"{agent}:{checkpoint}",
        checkpoint_id=checkpoint,
        attempt=1,
    )


def intention(
    key: str = "k", place: Site | None = None, *, action: str = "pay", **more: Any
) -> Intention:
    """Return what is about to happen; its arguments are `to` and whatever else is given."""
    known = {"cost", "reversible", "edited_from", "verdict"}
    fields = {name: value for name, value in more.items() if name in known}
    arguments = {name: value for name, value in more.items() if name not in known} or {"to": "ann"}
    return Intention(
        key=key,
        request=digest({"action": action, "arguments": arguments}),
        site=place or site(),
        action=action,
        arguments=arguments,
        **fields,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that acts: its ledger, and what its threads are held by."""

    ledger: Ledger
    locks: ThreadLocks | None = None

    async def die(self, url: str) -> None:
        """Let its connection fall, as when a process is killed, and wait until the server has seen it."""
        connection = self.locks._connection if self.locks is not None else None
        if self.locks is None or connection is None:
            return
        gone = connection.info.backend_pid
        await self.locks.close()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
            async with asyncio.timeout(10):
                while await _lives(other, gone):  # noqa: ASYNC110  # nobody tells of it
                    await asyncio.sleep(0.001)


async def _lives(connection: psycopg.AsyncConnection[Any], backend: int) -> bool:
    cursor = await connection.execute("select from pg_locks where pid = %s", [backend])
    return cursor.rowcount > 0


class World:
    """Processes beside one another, on one database or in one memory."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack = stack
        self.url = url
        self._memory = MemoryLedger()

    @property
    def durable(self) -> bool:
        """Whether a process may die here."""
        return bool(self.url)

    async def process(self, lineage: Lineage | None = None, *, size: int = 4) -> Process:
        """Return another process."""
        if not self.url:
            return Process(ledger=self._memory)
        pool = await self._stack.enter_async_context(open_pool(self.url, size=size))
        locks = ThreadLocks(self.url)
        self._stack.push_async_callback(locks.close)
        return Process(ledger=PostgresLedger(pool, locks, lineage), locks=locks)

    async def asked(self, question: str, about: Intention, *, granted: bool) -> None:
        """Write down that a person was asked about an effect, and what they granted; in memory nobody reads it."""
        if not self.url:
            return
        thread = about.site.thread_id
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(
                "insert into interlock.threads (thread_id, graph) values (%s, 'g') on conflict do nothing",
                [thread],
            )
            await connection.execute(
                "insert into interlock.runs (run_id, thread_id, graph, kind, status) "
                "values (%s, %s, 'g', 'invoke', 'waiting') on conflict do nothing",
                [f"run of {thread}", thread],
            )
            await connection.execute(
                "insert into interlock.questions (question_id, thread_id, run_id, graph, interrupt_id, payload, "
                "kind, effect, status, granted) values (%s, %s, %s, 'g', %s, '{}', 'approval', %s, %s, %s) "
                "on conflict (question_id) do update set status = excluded.status, granted = excluded.granted",
                [
                    question,
                    thread,
                    f"run of {thread}",
                    question,
                    about.key,
                    "answered" if granted else "open",
                    about.request if granted else "",
                ],
            )


@asynccontextmanager
async def world(url: str) -> AsyncIterator[World]:
    """Open a world on a database, or in memory without one, and end all its processes."""
    async with AsyncExitStack() as stack:
        yield World(stack, url)
