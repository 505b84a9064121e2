"""The figures beside the pages: what waits for somebody."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.postgres.dashboard import DashboardStore
from interlock.server.scope import Scope


async def counters(scope: Scope) -> Mapping[str, int]:
    """Return what waits, by the name of its counter."""
    return await DashboardStore(scope.reader.pool).figures()
