"""What graphs remember across threads, as the runtime offers it: LangGraph's store, one for each tenant."""

from __future__ import annotations

from abc import ABC
from functools import partial

from langgraph.store.base import BaseStore

from interlock.application import Application, Graph
from interlock.core.sync import run_sync
from interlock.postgres.encryption import KeyRing
from interlock.postgres.items import Items
from interlock.postgres.pool import Pool
from interlock.postgres.stored_runs import StoredRun
from interlock.settings import Settings

KEPT = 256
"""Graphs with the store of a tenant that are kept at hand."""

Named = tuple[str, str, bool]
"""Graph, tenant, and whether it is a replay."""


class Remembering(ABC):
    """The part of the runtime that holds what graphs remember."""

    settings: Settings
    _items: Items
    _graphs_with_items: dict[Named, tuple[Graph, Graph]]  # as it was, and with the store

    def items(self, tenant: str | None = None) -> BaseStore:
        """Return LangGraph's store as a tenant sees it; default: the tenant of the settings.

        Its asynchronous methods belong to `aopen()`, the synchronous ones to `open()` and to synchronous nodes.
        """
        return self._items.of(self.settings.tenant if tenant is None else tenant)

    async def aexpire_items(self) -> int:
        """Delete items whose time is over, and return how many; any process may do this, at any time."""
        return await self._items.expire()

    async def aindex_items(self) -> int:
        """Make the vectors of all items anew, as langgraph.json says now, and return how many items those were.

        Until it has ended, searches by meaning find what has been done so far; who kills it calls it again.

        Raises:
            UsageError: langgraph.json has no `store.index`, or the model does not do what it says.
        """
        return await self._items.index()

    async def aunindex_items(self) -> None:
        """Delete the vectors of all items, so that nothing is told of their texts; `aindex_items` makes them again."""
        await self._items.unindex()

    async def aseal_items(self) -> int:
        """Encrypt all items with the present key, and from now on what is put; return how many items those were.

        Who kills it calls it again. Processes of a version that knows nothing of it must have ended.

        Raises:
            UsageError: no key is set.
            KeyMissing: an item was encrypted with a key that is not set.
        """
        return await self._items.seal()

    def _with_items(self, graph: Graph, stored: StoredRun) -> Graph:
        """Return a graph with its tenant's store; one that was compiled with a store of its own keeps that."""
        if graph.store is not None:
            return graph
        tenant, replay = str(stored.context.get("tenant", "")), stored.lineage.recorded_only
        named = (stored.run.graph, tenant, replay)
        known = self._graphs_with_items.get(named)
        if known is None or known[0] is not graph:
            if len(self._graphs_with_items) >= KEPT:
                self._graphs_with_items.clear()
            store = self._items.of(tenant, replay=replay)
            known = self._graphs_with_items[named] = (graph, graph.copy({"store": store}))
        return known[1]


class RememberingNow(Remembering):
    """The synchronous twins."""

    def expire_items(self) -> int:
        """Delete items whose time is over; see `aexpire_items`."""
        return run_sync(self.aexpire_items())

    def index_items(self) -> int:
        """Make the vectors of all items anew; see `aindex_items`."""
        return run_sync(self.aindex_items())

    def unindex_items(self) -> None:
        """Delete the vectors of all items; see `aunindex_items`."""
        run_sync(self.aunindex_items())

    def seal_items(self) -> int:
        """Encrypt all items, and from now on what is put; see `aseal_items`."""
        return run_sync(self.aseal_items())


def items_of(application: Application, pool: Pool, ring: KeyRing | None) -> Items:
    """Return the stores of an application's tenants."""
    return Items(pool, application.config.store, partial(_embedder, application), ring)


def _embedder(application: Application, name: str) -> object:
    """Return what langgraph.json names: a function of the application's, or the name of a provider's model."""
    module = name.partition(":")[0]
    if module.endswith(".py") or "." in module:
        return application.found("The store's `embed`", name)
    return name
