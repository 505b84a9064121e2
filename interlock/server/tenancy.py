"""Gives each caller the runtime as they may see it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections import OrderedDict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from interlock.app import abeside
from interlock.errors import Forbidden, NotFound
from interlock.facade import Interlock
from interlock.postgres.tenants import TenantStore, check_role, seen_by
from interlock.server.callers import Caller

MOST_OPEN = 64
"""Tenants whose connections are kept; of a further one the least recently used one's are closed."""

MOST_ACTORS = 1000
"""Callers for whom the runtime that acts in their name is kept; it is quickly made again."""

LINGER_SECONDS = 60.0
"""How long a request may go on with connections that are to be closed."""

FRESH_SECONDS = 30.0
"""How long a tenant is believed to be there without looking."""


@dataclass(slots=True)
class View:
    """What reads as one tenant, and when that tenant was seen last among those that are known."""

    reader: Interlock
    stack: AsyncExitStack
    seen_at: float


@dataclass(slots=True)
class Tenancy:
    """Views of one runtime, by tenant.

    Whoever has no tenant sees everything. For a tenant's callers `reader` has connections of its own, whose sessions
    are the tenant's role of Postgres: what it reads passes that role's row-level security, and it cannot write.
    """

    il: Interlock
    _open: OrderedDict[str, View] = field(default_factory=OrderedDict)
    _actors: dict[tuple[str, str | None], Interlock] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    async def views(self, caller: Caller) -> tuple[Interlock, Interlock]:
        """Return what reads as the caller, and what writes on behalf of the caller's tenant.

        Raises:
            Forbidden: there is no such tenant.
            DatabaseUnavailable: its role cannot be used.
        """
        il = self._acting(caller)
        return (il if caller.tenant is None else await self._reader(caller.tenant)), il

    async def aclose(self) -> None:
        """Close the connections of all tenants."""
        for task in self._closing:
            task.cancel()
        while self._open:
            await self._open.popitem()[1].stack.aclose()

    def _acting(self, caller: Caller) -> Interlock:
        name = (caller.identity, caller.tenant)
        if name not in self._actors:
            if len(self._actors) >= MOST_ACTORS:
                self._actors.clear()
            self._actors[name] = acting(self.il, caller)
        return self._actors[name]

    async def _reader(self, tenant: str) -> Interlock:
        view = self._open.get(tenant)
        if view is None or time.monotonic() - view.seen_at > FRESH_SECONDS:
            async with self._opening:
                view = await self._looked(tenant)
        self._open.move_to_end(tenant)
        return view.reader

    async def _looked(self, tenant: str) -> View:
        """Return the view of a tenant that is there by now; close that of one that is not."""
        view = self._open.get(tenant)
        if view is not None and time.monotonic() - view.seen_at <= FRESH_SECONDS:
            return view
        try:
            known = await TenantStore(self.il.pool).tenant(tenant)
        except NotFound as error:
            self._retire(tenant)
            raise Forbidden(f"There is no tenant {tenant!r} here.") from error
        if view is None:
            await TenantStore(self.il.pool).part()
            view = self._open[tenant] = await self._opened(known.name)
        view.seen_at = time.monotonic()
        while len(self._open) > MOST_OPEN:
            self._retire(next(iter(self._open)))
        return view

    async def _opened(self, tenant: str) -> View:
        known = await TenantStore(self.il.pool).tenant(tenant)
        async with AsyncExitStack() as stack:
            url = seen_by(self.il.url, known)
            reader = await stack.enter_async_context(abeside(self.il, url, tenant=tenant))
            await check_role(reader.pool, known)
            return View(reader=reader, stack=stack.pop_all(), seen_at=time.monotonic())

    def _retire(self, tenant: str) -> None:
        """Close a view once the requests that use it have ended."""
        if (view := self._open.pop(tenant, None)) is not None:
            task = asyncio.create_task(_closed_later(view))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def acting(il: Interlock, caller: Caller) -> Interlock:
    """Return the runtime that acts in a caller's name, on behalf of their tenant; it shares everything else."""
    view = copy.copy(il)
    view.settings = il.settings.with_(user=caller.identity, tenant=caller.tenant)
    return view


async def _closed_later(view: View) -> None:
    try:
        await asyncio.sleep(LINGER_SECONDS)
    finally:
        await view.stack.aclose()
