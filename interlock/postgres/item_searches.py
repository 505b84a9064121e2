"""Searches by meaning, and those that look into encrypted values: these are opened in their order until enough fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import psycopg
from langgraph.store.base import SearchItem, SearchOp
from psycopg.rows import DictRow

from interlock.errors import UsageError
from interlock.postgres.item_filters import Condition, conditions, fits
from interlock.postgres.item_seals import SEALED, Seal
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("items")

MOST_OPENED: Final = 10_000
"""Items that one search looks into; that takes one to three seconds of a core."""

AT_ONCE = 100
"""Items that are opened before other tasks have their turn."""


class Looking:
    """Searches where LangGraph's store would be slow, or cannot read what it is to compare.

    Args:
        pool: the connections.
        seal: opens values.
    """

    def __init__(self, pool: Pool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal

    async def nearest(self, op: SearchOp, vector: Sequence[float]) -> list[SearchItem]:
        """Return items by how near they are to a vector, whatever they hold; raises `KeyMissing`."""
        values = _values(op, vector, limit=op.limit, offset=op.offset)
        async with connected(self._pool) as connection, connection.transaction():
            found = list(self._items(await fetch(connection, SQL["nearest"], values)))
            return await _refreshed(connection, op, found)

    async def within(self, op: SearchOp, vector: Sequence[float] | None) -> list[SearchItem]:
        """Return the items whose values fit a filter, nearest to a vector or last changed first.

        Raises:
            ValueError: the filter has an operator that there is not.
            UsageError: too many values would have to be opened.
            KeyMissing: a value cannot be opened.
        """
        asked = conditions(op.filter or {})
        async with connected(self._pool) as connection, connection.transaction():
            async with connection.cursor(name="items") as cursor:
                statement = SQL["changed" if vector is None else "nearest"]
                await cursor.execute(ours(connection, statement), _values(op, vector))
                found = await self._fitting(cursor, op, asked)
            return await _refreshed(connection, op, found)

    async def _fitting(
        self, cursor: psycopg.AsyncServerCursor[DictRow], op: SearchOp, asked: Sequence[Condition]
    ) -> list[SearchItem]:
        wanted = op.offset + op.limit
        found: list[SearchItem] = []
        opened = 0
        while len(found) < wanted and (rows := await cursor.fetchmany(AT_ONCE)):
            if opened >= MOST_OPENED:
                raise _too_many(op)
            opened += sum(SEALED in row["value"] for row in rows)
            fitting = (item for item in self._items(rows) if fits(item.value, asked))
            found += islice(fitting, wanted - len(found))
        return found[op.offset :]

    def _items(self, rows: Sequence[DictRow]) -> Iterator[SearchItem]:
        """Open values one by one: who has enough opens no more."""
        return (_item(row, self._seal.opened(row["value"])) for row in rows)


def under(namespace: Sequence[str]) -> dict[str, str]:
    """Return how a statement names what is in a namespace, or below it."""
    prefix = ".".join(namespace)
    plain = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"prefix": prefix, "below": f"{plain}.%"}


def _values(
    op: SearchOp, vector: Sequence[float] | None, *, limit: int | None = None, offset: int = 0
) -> dict[str, Any]:  # SQL
    page = {"limit": limit, "offset": offset}
    return {**under(op.namespace_prefix), **page, "vector": vector and str(list(vector))}


async def _refreshed(
    connection: Connection, op: SearchOp, found: list[SearchItem]
) -> list[SearchItem]:
    """Return what was found, whose time begins anew where that was asked for."""
    if op.refresh_ttl and found:
        await execute(connection, SQL["refresh"], _places(found))
    return found


def _too_many(op: SearchOp) -> UsageError:
    return UsageError(
        f"The search would have to open more than {MOST_OPENED:,} encrypted items "
        f"below {list(op.namespace_prefix[1:])} to look into them.",
        hint="Search a narrower namespace, or for fewer items, or without a filter.",
    )


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
