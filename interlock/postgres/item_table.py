"""LangGraph's table of items, as all tenants share it: without a queue, and with values that may be encrypted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard, cast

import psycopg
from langgraph.store.base import GetOp, Op, PutOp, Result, SearchItem, SearchOp, TTLConfig
from langgraph.store.postgres import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg.rows import DictRow

from interlock.postgres.encryption import missing
from interlock.postgres.item_seals import Seal
from interlock.postgres.item_searches import Looking, under
from interlock.postgres.meaning import ALL, Meaning
from interlock.postgres.pool import Pool, connected, execute
from interlock.postgres.probing import PROBE, Probe
from interlock.postgres.queries import load

SQL = load("items")

_ORDER = "ORDER BY store.updated_at DESC"
"""LangGraph's, which leaves open what comes first of items that were put at once."""


class Table(AsyncPostgresStore):
    """LangGraph's store without its queue, so that no request waits for another's; it reads without writing."""

    def __init__(self, pool: Pool, ttl: TTLConfig, meaning: Meaning | None, seal: Seal) -> None:
        self._pool = pool
        self._meaning = meaning
        self._seal = seal
        self._looking = Looking(pool, seal)
        self._probe = None if meaning is None else Probe(pool, meaning.index.embed)
        super().__init__(pool, index=None if meaning is None else _config(meaning), ttl=ttl)
        if self.index_config is not None:
            cast("dict[str, Any]", self.index_config)["__estimated_num_vectors"] = ALL

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do what is asked, once the vectors for it are made; raises `UsageError` where that fails."""
        asked = list(ops)
        puts = any(isinstance(op, PutOp) for op in asked)
        if self._meaning is not None:
            await self._vectors(self._meaning, self._texts(asked), puts=puts)
        if puts:
            await self._seal.look()
        looked = {n: await self._look(op) for n, op in enumerate(asked) if self._looks(op)}
        rest = [op for n, op in enumerate(asked) if n not in looked]
        results = iter(await super().abatch(rest) if rest else [])
        return [
            looked[n] if n in looked else self._seal.result(next(results))
            for n in range(len(asked))
        ]

    def _looks(self, op: Op) -> TypeGuard[SearchOp]:
        """Say whether something is searched for otherwise than LangGraph's store does it."""
        if not isinstance(op, SearchOp):
            return False
        sealed = self._seal.ring is not None
        return sealed if op.filter else bool(self._meaning is not None and op.query)

    async def _look(self, op: SearchOp) -> list[SearchItem]:
        vector = self._meaning.embed_query(op.query) if self._meaning and op.query else None
        if op.filter or vector is None:
            return await self._looking.within(op, vector)
        return await self._looking.nearest(op, vector)

    async def _vectors(self, meaning: Meaning, texts: Sequence[str], *, puts: bool) -> None:
        """Make the vectors of texts; the first ones of this process tell whether the model is still the same."""
        probe = None if self._probe is None or self._probe.passed or not texts else self._probe
        made = await meaning.prepare([*texts, PROBE] if probe else texts)
        if probe is not None:
            await probe.check(made[PROBE], keeps=puts)

    async def _batch_search_ops(
        self,
        search_ops: Sequence[tuple[int, SearchOp]],
        results: list[Result],
        cur: psycopg.AsyncCursor[DictRow],
    ) -> None:
        for _, op in search_ops:
            if (
                op.filter
            ):  # there is no key: what is encrypted would not be found, and nobody would know
                await cur.execute(SQL["sealed"], under(op.namespace_prefix))
                if row := await cur.fetchone():
                    raise missing(row["cipher"])
        await super()._batch_search_ops(search_ops, results, cur)

    def _prepare_batch_search_queries(
        self, search_ops: Sequence[tuple[int, SearchOp]]
    ) -> tuple[list[Any], list[tuple[int, str]]]:  # statements with their values
        """Let pages of what was put at once hold each item once."""
        queries, asked = super()._prepare_batch_search_queries(search_ops)
        order = f"{_ORDER}, store.prefix, store.key"
        return [(query.replace(_ORDER, order), values) for query, values in queries], asked

    async def index(self, rows: Sequence[Mapping[str, Any]]) -> None:  # the statement `page`
        """Make the vectors of items that have none; raises `UsageError`."""
        if self._meaning is None:
            return
        puts = [PutOp(_labels(row), row["key"], self._seal.opened(row["value"])) for row in rows]
        _, asked = super()._prepare_batch_PUT_queries(list(enumerate(puts)))
        if not asked:
            return
        await self._vectors(self._meaning, [text for *_, text in asked[1]], puts=True)
        said = self._meaning.rows(asked[1])
        read = {(row["prefix"], row["key"]): row["updated_at"] for row in rows}
        said["read"] = [read[each] for each in zip(said["prefixes"], said["keys"], strict=True)]
        async with connected(self._pool) as connection:
            await execute(connection, SQL["fill"], said)

    def _texts(self, ops: Sequence[Op]) -> list[str]:
        """Return what vectors are needed of: what is put, and what is asked for."""
        puts = [(number, op) for number, op in enumerate(ops) if isinstance(op, PutOp)]
        _, asked = super()._prepare_batch_PUT_queries(puts)
        sought = [op.query for op in ops if isinstance(op, SearchOp) and op.query]
        return [text for *_, text in asked[1]] + sought if asked else sought

    def _prepare_batch_PUT_queries(  # noqa: N802  # LangGraph's name
        self, put_ops: Sequence[tuple[int, PutOp]]
    ) -> tuple[list[Any], Any]:  # statements, and what is to be embedded
        sealed = [(number, self._seal.put(op)) for number, op in put_ops]
        queries, _ = super()._prepare_batch_PUT_queries(sealed)
        if self._meaning is None:
            return queries, None
        _, asked = super()._prepare_batch_PUT_queries(put_ops)
        named = [(".".join(op.namespace), op.key) for _, op in put_ops]
        put = {"prefixes": [prefix for prefix, _ in named], "keys": [key for _, key in named]}
        made = [(SQL["vectors"], self._meaning.rows(asked[1]))] if asked else []
        return [(SQL["forget"], put), *queries, *made], None

    def _ensure_task(self) -> None:
        """Begin no queue."""

    def _get_batch_GET_ops_queries(  # noqa: N802  # LangGraph's name
        self, get_ops: Sequence[tuple[int, GetOp]]
    ) -> list[Any]:  # statement, values, namespace, and where the results go
        if any(op.refresh_ttl for _, op in get_ops):
            return super()._get_batch_GET_ops_queries(get_ops)
        asked: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
        for idx, op in get_ops:
            asked[op.namespace].append((idx, op.key))
        return [
            (SQL["get"], _keys(namespace, items), namespace, items)
            for namespace, items in asked.items()
        ]


def _config(meaning: Meaning) -> PostgresIndexConfig:
    fields = {"fields": list(meaning.index.fields)} if meaning.index.fields else {}
    return cast("PostgresIndexConfig", {"dims": meaning.index.dims, "embed": meaning, **fields})


def _labels(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row["prefix"].split("."))


def _keys(namespace: tuple[str, ...], items: Sequence[tuple[int, str]]) -> dict[str, Any]:  # SQL
    return {"prefix": ".".join(namespace), "keys": [key for _, key in items]}
