"""The ledger in Postgres: it protects from the process's death."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Json

from interlock.core.ledger import Entry, Intention
from interlock.postgres.checkpoints import Check
from interlock.postgres.plain import finite, jsonb
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("runs")


class PostgresLedger:
    """Effects as rows: the intention is committed before the act."""

    def __init__(self, pool: Pool, check: Check) -> None:
        self._pool = pool
        self._check = check

    async def begin(self, intention: Intention) -> Entry:
        """Write the intention, or tell how an earlier one with the same key stands."""
        values = {
            "key": intention.key,
            "thread_id": intention.thread_id,
            "node": intention.node,
            "action": intention.action,
            "arguments": jsonb(intention.arguments),
        }
        await self._check(intention.thread_id)
        async with connected(self._pool) as connection:
            if await fetch(connection, SQL["begin_effect"], values):
                return Entry(standing="new")
            found = (await fetch(connection, SQL["effect"], {"key": intention.key}))[0]
        return Entry(standing="done" if found["done"] else "in_doubt", result=found["result"])

    async def finish(self, key: str, result: Any) -> None:  # JSON
        """Write the result of an act."""
        stored = Json(finite(result))
        async with connected(self._pool) as connection:
            await execute(connection, SQL["finish_effect"], {"key": key, "result": stored})
