"""`/status`, `/limits`, `/timers`: how the installation stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from interlock.core.rates import Rate
from interlock.documents.bounds import limits_document
from interlock.documents.health import health_document
from interlock.documents.times import timer_document
from interlock.errors import Forbidden
from interlock.server import limited
from interlock.server.openapi import problems
from interlock.server.scope import Governing, Reading, Scope
from interlock.server.wire import Wire

router = APIRouter(tags=["Health"])

Target = Annotated[str, Query(min_length=1, max_length=255)]


class RateRequest(BaseModel):
    """What may be asked of a target; what is not said stays as it is stored."""

    requests: Annotated[float | None, Field(gt=0)] = None
    tokens: Annotated[float | None, Field(gt=0)] = None
    concurrent: Annotated[int | None, Field(gt=0)] = None
    burst: Annotated[float | None, Field(gt=0)] = None


@router.get("/status")
async def status(scope: Reading) -> Wire:
    """Say how it stands: workers, queue, the age of the oldest run, timers, letters, rate limits, what to do."""
    return Wire(health_document(await scope.reader.ahealth()))


@router.get("/limits")
async def limits(scope: Reading) -> Wire:
    """List rate limits, how full they are, and the model calls that wait for their turn; a tenant sees its own."""
    return Wire(limits_document(await limited.rates(scope), await limited.rate_waits(scope)))


@router.put("/limits", responses=problems(404))
async def set_limit(scope: Governing, target: Target, request: RateRequest) -> Wire:
    """Store a rate limit of a provider, a model or a tenant: all processes know it in two seconds."""
    _check(scope)
    rate = Rate(**request.model_dump())
    standing = await scope.il.aset_rate(target, rate, by=scope.caller.identity)
    await scope.house.audit.note(scope.caller, "limit.set", target, request.model_dump())
    return Wire(limits_document([standing], []))


@router.delete("/limits")
async def remove_limit(scope: Governing, target: Target) -> Wire:
    """Remove a stored rate limit; what a file declares holds on."""
    _check(scope)
    removed = await scope.il.aremove_rate(target)
    await scope.house.audit.note(scope.caller, "limit.remove", target)
    return Wire({"removed": removed})


@router.get("/timers")
async def timers(scope: Reading, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Wire:
    """List timers: what starts later, sleeps, is tried again, or has a deadline."""
    return Wire([timer_document(each) for each in (await scope.reader.atimers())[:limit]])


def _check(scope: Scope) -> None:
    if scope.caller.tenant is not None:
        raise Forbidden("Rate limits hold for several tenants.")
