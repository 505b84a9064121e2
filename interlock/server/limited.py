"""Rate limits as a caller may see them: a tenant sees those that are its own, or each tenant's."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.core.rates import Standing, Waiting
from interlock.core.targets import ANY_TENANT
from interlock.errors import NotFound
from interlock.server.scope import Scope


async def rates(scope: Scope) -> list[Standing]:
    """Return how the targets stand that the caller may see."""
    found = await scope.il.arates()  # no tenant's connection sees how full they are
    return [each for each in found if _is_seen(each.name, scope.caller.tenant)]


async def rate(scope: Scope, target: str) -> Standing:
    """Return how a target stands; raises `NotFound`, also for one that the caller may not see."""
    if not _is_seen(target, scope.caller.tenant):
        raise NotFound(f"There is no limit of {target} that you may see.")
    return await scope.il.arate(target)


async def rate_waits(scope: Scope) -> Sequence[Waiting]:
    """Return the model calls of the caller's threads that wait for their turn."""
    return await scope.reader.arate_waits()


def _is_seen(target: str, tenant: str | None) -> bool:
    return tenant is None or target.partition("tenant:")[2] in (tenant, ANY_TENANT)
