"""Who works on a thread: a session-level advisory lock, which falls at once when its process dies."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from interlock.errors import DatabaseUnavailable, LeaseLost, ThreadBusy
from interlock.postgres.pool import (
    Connection,
    Pool,
    connected,
    execute,
    fetch,
    own_connection,
    quiet,
    sever,
)
from interlock.postgres.queries import load
from interlock.postgres.schema import DEFAULT, schema_of

SQL = load("runs")
FOLDS = load("retention")
QUEUE = load("queue")
SEED = 0x1E7E
"""Of the hash that makes a thread's id the key of its lock: 64 bits, so that two threads do not share one."""

OWNER_SEED = 7919
"""The same for the lock of a session's own name; `interlock.lives` in the database knows it."""

FOLDING = 0xF01D
"""Makes the seed for the lock of who folds a thread: a run that comes meanwhile waits a moment."""

FOLDING_SECONDS = 0.02

LETTING_GO_SECONDS = 2.0
"""How long a thread may be held whose run has ended: that is told before its worker, with others, lets go of it."""

LET_GO_SECONDS = 0.01
"""How long a worker that is done with a thread may keep it: its next claim lets it go, in the same statement."""

HOLDER = "interlock threads"
"""What a connection that holds threads calls itself, so that they can be counted."""

PATIENCE = 5.0
"""Seconds that a cancelled caller waits for a lock to be let go of."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A thread that is held: by which connection, and for which worker; empty for none."""

    connection: Connection
    worker: str = ""


class ThreadLocks:
    """The threads that this process works on, all held by one connection of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._held: dict[str, Hold] = {}
        self._connection: Connection | None = None
        self._owner = ""
        self.worker = ""  # under which its present session is registered; empty for none
        self._guard = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[None]:
        """Hold a thread; raises `ThreadBusy` when this or another process holds it."""
        # Neither half may be cut in the middle by a cancellation: the lock would stay with the connection.
        taking = asyncio.ensure_future(self._take(thread_id))
        try:
            await _whole(taking)
            yield
        finally:
            if taking.done() and not taking.cancelled() and taking.exception() is None:
                await self.let_go(thread_id)

    async def check(self, thread_id: str) -> None:
        """Raise `DatabaseUnavailable` when a thread was held here and is not any more: others may run it by now."""
        hold = self._held.get(thread_id)
        if hold is None or (hold.connection is self._connection and quiet(hold.connection)):
            return
        async with self._guard:
            if hold.connection is self._connection and await self._answers():
                return
        raise DatabaseUnavailable(
            f"The connection that held thread {thread_id} was lost, so the run was stopped.",
            hint=f"Go on with `interlock resume {thread_id}`.",
        )

    async def owner(self) -> str:
        """Return the name of this process's present session, whose lock falls when the session ends.

        It stands beside each act that is underway, so that others can tell whether its performer lives.
        """
        connection = self._connection
        if connection is None or not quiet(connection):
            async with self._guard:
                await self._open()
        return self._owner

    def fence(self, thread_id: str) -> str:
        """Return the worker for whom a thread is held; empty for none: its row is the fence of all that is written."""
        hold = self._held.get(thread_id)
        return hold.worker if hold is not None else ""

    async def keeps(self, owner: str) -> bool:
        """Say whether the session of this name is the present one and lives."""
        connection = self._connection
        if connection is None or self._owner != owner:
            return False
        if quiet(connection):
            return True
        async with self._guard:  # what has arrived may be the answer to somebody else's question
            return connection is self._connection and await self._answers()

    @asynccontextmanager
    async def session(self, owner: str) -> AsyncIterator[Connection]:
        """Lend the connection for a statement that takes or frees threads; raises `LeaseLost` when it is a new one."""
        async with self._guard:
            connection = self._connection
            if connection is None or connection.closed or self._owner != owner:
                raise LeaseLost(
                    "The connection that held this worker's threads was lost.",
                    hint="Its runs go on from their last checkpoint.",
                )
            yield connection

    @asynccontextmanager
    async def taking(self) -> AsyncIterator[Connection]:
        """Lend the connection for a statement that takes threads, whichever session it is of."""
        async with self._guard:
            yield await self._open()

    @asynccontextmanager
    async def keeping(self, thread_id: str) -> AsyncIterator[None]:
        """Let go of a thread, which is held, at the end of a block."""
        try:
            yield
        finally:
            await self.let_go(thread_id)

    async def let_go(self, thread_id: str) -> None:
        """Let go of a thread, also where whoever waits for that is cancelled."""
        await _whole(asyncio.ensure_future(self._release(thread_id)))

    async def let_go_of_others(self, connection: Connection) -> None:
        """Let go of what a statement took that failed: its locks do not fall with it."""
        if connection.closed or connection.broken:
            return
        values = {
            "seed": seed_of(connection),
            "thread_ids": self.holding(),
            "owner": self._owner,
            "owner_seed": OWNER_SEED,
        }
        await execute(connection, QUEUE["release_others"], values)

    def holding(self) -> list[str]:
        """Return the threads that are held."""
        return list(self._held)

    def held_for(self, worker: str) -> list[str]:
        """Return the threads that are held for a worker."""
        return [thread for thread, hold in self._held.items() if hold.worker == worker]

    def took(self, connection: Connection, thread_ids: Iterable[str], worker: str) -> None:
        """Note threads that a statement took for a worker."""
        self._held |= dict.fromkeys(thread_ids, Hold(connection, worker))

    def freed(self, thread_ids: Iterable[str]) -> None:
        """Note threads that were freed, or are not held any more."""
        for thread_id in thread_ids:
            self._held.pop(thread_id, None)

    def drop(self) -> None:
        """End the connection where it stands, also while a statement waits on it: the next one has another name."""
        if self._connection is not None:
            sever(self._connection)

    async def close(self) -> None:
        """Close the connection, and with it let go of all threads."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _take(self, thread_id: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LETTING_GO_SECONDS
        while not await self._took_one(thread_id):
            if loop.time() > until or await self._runs(thread_id):
                raise ThreadBusy(
                    f"Thread {thread_id} is being run by another process.",
                    hint="Wait for it, or stop it; `interlock status` shows it.",
                )
            await asyncio.sleep(FOLDING_SECONDS)

    async def _took_one(self, thread_id: str) -> bool:
        async with self._guard:
            connection = await self._open()
            # The same session may take the same lock twice, so our own threads are looked up first.
            if thread_id in self._held or not await _got(connection, thread_id):
                return False
            self._held[thread_id] = Hold(connection)
            return True

    async def _runs(self, thread_id: str) -> bool:
        """Say whether a run of a thread is running; else who holds it lets go of it just now."""
        async with self._guard:
            rows = await fetch(await self._open(), SQL["is_run"], {"thread_id": thread_id})
        return bool(rows[0]["running"])

    async def _release(self, thread_id: str) -> None:
        async with self._guard:
            connection = self._held.pop(thread_id).connection
            if connection is not self._connection or connection.closed:
                return  # the lock fell with the connection
            try:
                values = {"seed": seed_of(connection), "thread_id": thread_id}
                await execute(connection, SQL["unlock_thread"], values)
            except DatabaseUnavailable:
                await self.close()

    async def _answers(self) -> bool:
        """Say whether the connection lives; whoever asks has the guard, so nobody else waits for an answer on it."""
        if self._connection is None or self._connection.closed:
            return False
        if quiet(self._connection):
            return True
        try:
            await fetch(self._connection, SQL["alive"], {})
        except DatabaseUnavailable:
            await self.close()
            return False
        return True

    async def _open(self) -> Connection:
        if self._connection is None or not await self._answers():
            self._connection = await own_connection(self._url, HOLDER)
            self._owner, self.worker = uuid4().hex, ""
            values = {"seed": OWNER_SEED, "thread_id": self._owner}
            await fetch(self._connection, SQL["lock_thread"], values)
        return self._connection


async def held(pool: Pool, thread_ids: Sequence[str]) -> set[str]:
    """Return those of the threads that a process works on now."""
    if not thread_ids:
        return set()
    async with connected(pool) as connection:
        values = {"seed": seed_of(connection), "thread_ids": list(thread_ids)}
        rows = await fetch(connection, SQL["locked_threads"], values)
    return {row["thread_id"] for row in rows}


async def try_fold(connection: Connection, thread_id: str) -> bool:
    """Hold a thread until the end of the transaction, so that nobody runs or forks it; False when a run holds it."""
    await fetch(connection, FOLDS["shut_out"], _folding(connection, thread_id))
    values = {"seed": seed_of(connection), "thread_id": thread_id}
    return bool((await fetch(connection, FOLDS["try_thread"], values))[0]["locked"])


async def stay(connection: Connection, thread_id: str) -> None:
    """Let nothing of a thread be folded until the end of the transaction; what is being folded is waited for."""
    await fetch(connection, FOLDS["stay"], _folding(connection, thread_id))


async def _got(connection: Connection, thread_id: str) -> bool:
    while not await _locked(connection, thread_id):
        values = _folding(connection, thread_id)
        folding = await fetch(
            connection, SQL["locked_threads"], {"seed": values["seed"], "thread_ids": [thread_id]}
        )
        if not folding:
            await asyncio.sleep(2 * LET_GO_SECONDS)
            return await _locked(connection, thread_id)  # it may have ended just now
        await asyncio.sleep(FOLDING_SECONDS)
    return True


def _folding(connection: Connection, thread_id: str) -> dict[str, Any]:  # SQL values
    return {"seed": seed_of(connection) ^ FOLDING, "thread_id": thread_id}


async def _locked(connection: Connection, thread_id: str) -> bool:
    values = {"seed": seed_of(connection), "thread_id": thread_id}
    return bool((await fetch(connection, SQL["lock_thread"], values))[0]["locked"])


def seed_of(connection: Connection) -> int:
    """Return the seed of a schema's threads: two Interlocks in one database may have threads of one name."""
    schema = schema_of(connection)
    return SEED if schema == DEFAULT else SEED ^ zlib.crc32(schema.encode()) << 16


async def _whole(task: asyncio.Future[None]) -> None:
    """Wait for a task; a cancellation is passed on only after the task has ended."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=PATIENCE)
        raise
