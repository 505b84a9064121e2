"""Searches that look into encrypted values: candidates are read in their order and opened, until enough of them fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from langgraph.store.base import SearchItem, SearchOp
from psycopg.rows import DictRow

from interlock.errors import UsageError
from interlock.postgres.item_filters import Condition, conditions, fits
from interlock.postgres.item_seals import Seal
from interlock.postgres.pool import Connection, Pool, connected, execute
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("items")

MOST_OPENED: Final = 10_000
"""Items that one search looks into; in about a second of one core."""

AT_ONCE = 100
"""Items that are opened before other tasks have their turn."""


class Looking:
    """Searches with filters, within values that are encrypted.

    Args:
        pool: the connections.
        seal: opens values.
    """

    def __init__(self, pool: Pool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal

    async def search(self, op: SearchOp, vector: Sequence[float] | None) -> list[SearchItem]:
        """Return the items that fit, nearest to a vector or last changed first.

        Raises:
            ValueError: the filter has an operator that there is not.
            UsageError: too many values would have to be opened.
            KeyMissing: a value cannot be opened.
        """
        asked = conditions(op.filter or {})
        async with connected(self._pool) as connection, connection.transaction():
            found = await self._found(connection, op, asked, vector)
            if op.refresh_ttl and found:
                await execute(connection, SQL["refresh"], _places(found))
        return found

    async def _found(
        self,
        connection: Connection,
        op: SearchOp,
        asked: Sequence[Condition],
        vector: Sequence[float] | None,
    ) -> list[SearchItem]:
        found: list[SearchItem] = []
        opened = 0
        async with connection.cursor(name="items") as cursor:
            statement = SQL["changed" if vector is None else "nearest"]
            values = {**under(op.namespace_prefix), "vector": vector and str(list(vector))}
            await cursor.execute(ours(connection, statement), values)
            while rows := await _next(cursor, opened, op):
                opened += len(rows)
                items = (_item(row, self._seal.opened(row["value"])) for row in rows)
                found += [item for item in items if fits(item.value, asked)]
                if len(found) >= op.offset + op.limit:
                    break
        return found[op.offset : op.offset + op.limit]


def under(namespace: Sequence[str]) -> dict[str, str]:
    """Return how a statement names what is in a namespace, or below it."""
    prefix = ".".join(namespace)
    plain = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"prefix": prefix, "below": f"{plain}.%"}


async def _next(
    cursor: psycopg.AsyncServerCursor[DictRow], opened: int, op: SearchOp
) -> list[DictRow]:
    rows = await cursor.fetchmany(AT_ONCE)
    if rows and opened >= MOST_OPENED:
        raise UsageError(
            f"The search would have to open more than {MOST_OPENED:,} encrypted items "
            f"below {list(op.namespace_prefix[1:])} to look into them.",
            hint="Search a narrower namespace, or for fewer items, or without a filter.",
        )
    return rows


def _item(row: Mapping[str, Any], value: dict[str, Any]) -> SearchItem:
    return SearchItem(
        namespace=tuple(row["prefix"].split(".")),
        key=row["key"],
        value=value,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        score=row["score"],
    )


def _places(items: Sequence[SearchItem]) -> dict[str, list[str]]:  # SQL
    return {
        "prefixes": [".".join(item.namespace) for item in items],
        "keys": [item.key for item in items],
    }
