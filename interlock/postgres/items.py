"""What graphs remember across threads: LangGraph's store on our database, parted by tenants.

A tenant's items stand under a first label of their own, `tenant=` and its name, which nobody sees who uses the store.
The function `interlock.store_label` in the database is its twin.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import psycopg
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)
from langgraph.store.postgres import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig

from interlock.core.sync import run_sync
from interlock.errors import UsageError
from interlock.langgraph_json import StoreIndex, StoreSection
from interlock.postgres.plain import stored
from interlock.postgres.pool import Pool, connected, execute, translated
from interlock.postgres.queries import load

SQL = load("items")

LEAST_MINUTES = 0.001
MOST_MINUTES = 100 * 365 * 24 * 60
"""For how long an item may be kept, if not for good."""

Embed = Callable[[str], Any]
"""Returns what makes vectors of texts, by the name that langgraph.json gives it."""


def label_of(tenant: str) -> str:
    """Return the first label of a tenant's items; labels hold no dots."""
    return "tenant=" + tenant.replace("%", "%25").replace(".", "%2E")


class Table(AsyncPostgresStore):
    """LangGraph's store without its queue, so that no request waits for another's; it reads without writing."""

    async def ready(self) -> None:
        """Make the tables for vectors if there are to be any; raises `UsageError`."""
        if self.index_config is None:
            return
        try:
            await self.setup()
        except psycopg.Error as error:
            raise UsageError(
                f"The store cannot be searched by meaning here: {str(error).splitlines()[0]}.",
                hint="Install pgvector in the database, or take `store.index` out of langgraph.json.",
            ) from error

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


class Items:
    """Makes the stores of tenants.

    Args:
        pool: the connections.
        section: what langgraph.json says of the store.
        embed: makes vectors, where it says so.
    """

    def __init__(self, pool: Pool, section: StoreSection, embed: Embed) -> None:
        self._pool = pool
        self._section = section
        self._embed = embed
        self._table: Table | None = None
        self._opening = asyncio.Lock()

    @property
    def ttl(self) -> TTLConfig:
        """How long items live."""
        said = self._section.ttl
        return {
            "omit_expired": True,
            "refresh_on_read": said.refresh_on_read if said else True,
            "default_ttl": said.default_ttl if said else None,
        }

    def of(self, tenant: str, *, replay: bool = False) -> TenantItems:
        """Return a tenant's store; that of a replay is only read."""
        return TenantItems(self, tenant, replay=replay)

    async def table(self) -> Table:
        """Return the store of all tenants, made on the loop where it is first used; raises `UsageError`."""
        async with self._opening:
            if self._table is None:
                index = self._section.index
                vectors = None if index is None else self._vectors(index)
                table = Table(self._pool, index=vectors, ttl=self.ttl)
                await table.ready()
                self._table = table
            return self._table

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where the store is used."""
        return self._table.loop if self._table else None

    async def expire(self) -> int:
        """Delete items whose time is over, and return how many those were."""
        async with connected(self._pool) as connection:
            return await execute(connection, SQL["expire"], {})

    def _vectors(self, index: StoreIndex) -> PostgresIndexConfig:
        fields = {"fields": list(index.fields)} if index.fields else {}
        made = {"dims": index.dims, "embed": self._embed(index.embed), **fields}
        return cast("PostgresIndexConfig", made)


class TenantItems(BaseStore):
    """LangGraph's store as one tenant sees it."""

    supports_ttl = True

    def __init__(self, items: Items, tenant: str, *, replay: bool = False) -> None:
        self._items = items
        self._label = label_of(tenant)
        self._replay = replay
        self.ttl_config = items.ttl

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do what is asked; raises `InvalidNamespaceError`, and `DatabaseUnavailable`."""
        asked = [self._ours(op) for op in ops]
        table = await self._items.table()
        done = [op for op in asked if op is not None]
        with translated():
            results = iter(await table.abatch(done) if done else [])
        return [None if op is None else _theirs(next(results)) for op in asked]

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do what is asked, for synchronous nodes, which run beside the loop."""
        if (loop := self._items.loop) is None:
            return run_sync(self.abatch(ops))
        if loop is _running():
            raise UsageError(
                "The store was used synchronously in asynchronous code.",
                hint="Await its asynchronous twin: `aget`, `aput`, `asearch`.",
            )
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), loop).result()

    def _ours(self, op: Op) -> Op | None:
        """Return what is asked of the store of all tenants; None for what a replay does not do."""
        validate_op_namespace(op)
        match op:
            case PutOp():
                return None if self._replay else self._put(op)
            case GetOp():
                refresh = op.refresh_ttl and not self._replay
                return op._replace(namespace=(self._label, *op.namespace), refresh_ttl=refresh)
            case SearchOp():
                prefix = (self._label, *op.namespace_prefix)
                refresh = op.refresh_ttl and not self._replay
                having = None if op.filter is None else stored(op.filter).obj
                return op._replace(namespace_prefix=prefix, filter=having, refresh_ttl=refresh)
            case ListNamespacesOp():
                return self._listed(op)

    def _put(self, op: PutOp) -> PutOp:
        value = None if op.value is None else stored(dict(op.value)).obj
        # LangGraph writes minutes as an interval's text, which Postgres does not read with an exponent.
        ttl = op.ttl if op.ttl is None or op.ttl <= 0 else max(op.ttl, LEAST_MINUTES)
        if ttl is not None and not ttl <= MOST_MINUTES:
            raise UsageError(f"An item cannot be kept for {ttl:g} minutes.")
        return op._replace(namespace=(self._label, *op.namespace), value=value, ttl=ttl)

    def _listed(self, op: ListNamespacesOp) -> ListNamespacesOp:
        asked = op.match_conditions or ()
        # A suffix must not be found in the tenant's own label: so many labels come after it at least.
        longest = max((len(each.path) for each in asked), default=0)
        mine = MatchCondition(
            match_type="prefix", path=cast("Any", (self._label, *["*"] * longest))
        )
        depth = None if op.max_depth is None else op.max_depth + 1
        conditions = (mine, *(self._condition(each) for each in asked))
        return op._replace(match_conditions=conditions, max_depth=depth)

    def _condition(self, asked: MatchCondition) -> MatchCondition:
        if asked.match_type == "suffix":
            return asked
        path = cast("Any", (self._label, *asked.path))
        return MatchCondition(match_type="prefix", path=path)


def _keys(namespace: tuple[str, ...], items: Sequence[tuple[int, str]]) -> dict[str, Any]:  # SQL
    return {"prefix": ".".join(namespace), "keys": [key for _, key in items]}


def _theirs(result: Any) -> Any:  # LangGraph's `Result`
    """Return a result without the label of its tenant: an item, items, or namespaces."""
    if isinstance(result, list):
        return [_theirs(each) for each in result]
    if isinstance(result, tuple):
        return result[1:]
    if isinstance(result, Item):
        result.namespace = result.namespace[1:]
    return result


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
