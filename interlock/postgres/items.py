"""What graphs remember across threads: LangGraph's store on our database, parted by tenants.

A tenant's items stand under a first label of their own, `tenant=` and its name, which nobody sees who uses the store.
The function `interlock.store_label` in the database is its twin.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from interlock.core.sync import run_sync
from interlock.errors import UsageError
from interlock.langgraph_json import StoreSection
from interlock.postgres.encryption import KeyRing
from interlock.postgres.item_filters import spelled
from interlock.postgres.item_seals import Seal, allowed
from interlock.postgres.item_table import Table
from interlock.postgres.meaning import Meaning, forget_index, open_index
from interlock.postgres.plain import stored
from interlock.postgres.pool import Pool, connected, execute, fetch, translated
from interlock.postgres.probing import PROBE
from interlock.postgres.queries import load

SQL = load("items")

LEAST_MINUTES = 0.001
MOST_MINUTES = 100 * 365 * 24 * 60
"""For how long an item may be kept, if not for good."""

AT_ONCE = 100
"""Items whose vectors are made in one go."""

Embed = Callable[[str], Any]
"""Returns what makes vectors of texts, by the name that langgraph.json gives it."""


def label_of(tenant: str) -> str:
    """Return the first label of a tenant's items; labels hold no dots."""
    return "tenant=" + tenant.replace("%", "%25").replace(".", "%2E")


class Items:
    """Makes the stores of tenants.

    Args:
        pool: the connections.
        section: what langgraph.json says of the store.
        embed: makes vectors, where it says so.
        ring: what values are encrypted with; None leaves them plain.
    """

    def __init__(
        self, pool: Pool, section: StoreSection, embed: Embed, ring: KeyRing | None = None
    ) -> None:
        self._pool = pool
        self._seal = Seal(pool, ring)
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
                self._table = await self._opened()
            return self._table

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where the store is used."""
        return self._table.loop if self._table else None

    async def expire(self) -> int:
        """Delete items whose time is over, and return how many those were."""
        async with connected(self._pool) as connection:
            return await execute(connection, SQL["expire"], {})

    async def index(self) -> int:
        """Make the vectors of all items anew, and return how many items those were; raises `UsageError`."""
        if (index := self._section.index) is None:
            raise UsageError(
                "langgraph.json has no `store.index`: items have no vectors.",
                hint="Name `dims` and `embed` there.",
            )
        await Meaning(index, self._embed(index.embed)).prepare([PROBE])
        await self._seal.check()
        async with self._opening:
            await forget_index(self._pool)
            table = self._table = await self._opened()
        last, count = {"prefix": "", "key": ""}, 0
        while rows := await self._page(last):
            await table.index(rows)
            last, count = {name: rows[-1][name] for name in last}, count + len(rows)
        return count

    async def unindex(self) -> None:
        """Delete all vectors; where langgraph.json has an index still, new ones are made of what is put."""
        async with self._opening:
            await forget_index(self._pool)
            self._table = await self._opened()

    async def seal(self) -> int:
        """Encrypt what is not, and from now on all; return how many items that were; see `Seal.seal_all`."""
        return await self._seal.seal_all()

    async def _page(self, last: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:  # rows
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL["page"], {**last, "limit": AT_ONCE})

    async def _opened(self) -> Table:
        index = self._section.index
        if index is None:
            return Table(self._pool, self.ttl, None, self._seal)
        meaning = Meaning(index, self._embed(index.embed))
        await open_index(self._pool, index)
        return Table(self._pool, self.ttl, meaning, self._seal)


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
                having = None if op.filter is None else spelled(stored(op.filter).obj)
                return op._replace(namespace_prefix=prefix, filter=having, refresh_ttl=refresh)
            case ListNamespacesOp():
                return self._listed(op)

    def _put(self, op: PutOp) -> PutOp:
        value = None if op.value is None else allowed(stored(dict(op.value)).obj)
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


def _theirs(result: Any) -> Any:  # LangGraph's `Result`
    """Return a result without the label of its tenant: an item, items, or namespaces."""
    if isinstance(result, list):
        return [_theirs(each) for each in result]
    if isinstance(result, tuple):
        return result[1:]
    if isinstance(result, Item):
        result.namespace = result.namespace[1:]
    if isinstance(result, SearchItem) and result.score is not None and math.isnan(result.score):
        result.score = None  # a vector of zeros is as near to everything
    return result


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
