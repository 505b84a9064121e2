"""Removing threads that were to leave nothing behind, many at once: each by itself takes a score of statements."""

from __future__ import annotations

from psycopg.errors import DeadlockDetected

from interlock.postgres.checkpointer.collecting import begin_sweeps, delete_content, delete_threads
from interlock.postgres.locks import seed_of
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch, translated
from interlock.postgres.queries import load

CARDS, THREADS = load("run_cards"), load("thread_cards")

AT_ONCE = 100
"""How many threads are removed at once."""


class Leftovers:
    """The threads of runs that were to leave nothing behind."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def remove(self, seconds: float) -> bool:
        """Remove some threads whose runs ended so long ago; return whether there may be more that can be.

        Left alone are those that somebody works on, has to look at, or waits for.
        """
        async with connected(self._pool) as connection:
            rows = await fetch(connection, CARDS["over"], {"seconds": seconds, "limit": AT_ONCE})
            over = list(dict.fromkeys(row["thread_id"] for row in rows))
            removed = await _removed(connection, over) if over else 0
        return bool(removed) and len(rows) == AT_ONCE


async def _removed(connection: Connection, over: list[str]) -> int:
    """Remove those of some threads that nobody works on, and return how many they were."""
    with translated():
        generation = await begin_sweeps(connection, over)
        try:
            async with connection.transaction():
                gone = await _at_rest(connection, over)
                hashes = await delete_threads(connection, gone, generation)
                await execute(connection, THREADS["forget"], {"threads": gone})
        except DeadlockDetected:  # with someone who saves on one of them: the next time is soon
            return 0
        await delete_content(connection, hashes)
    return len(gone)


async def _at_rest(connection: Connection, over: list[str]) -> list[str]:
    """Hold threads until the end of the transaction, and return those that are over still, now that they are held."""
    values = {"threads": over, "seed": seed_of(connection)}
    held = [row["thread_id"] for row in await fetch(connection, CARDS["hold"], values)]
    rows = await fetch(connection, CARDS["over_still"], {"threads": held})
    return [row["thread_id"] for row in rows]
