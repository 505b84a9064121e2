"""`/budgets`: what may be taken, and what was."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from interlock.bounds import read_limits
from interlock.core.budget import Account, ScopeKind
from interlock.documents.bounds import budget_document
from interlock.errors import Forbidden, NotFound
from interlock.server.openapi import problems
from interlock.server.scope import Governing, Reading, Scope
from interlock.server.wire import Wire

router = APIRouter(prefix="/budgets", tags=["Budgets"])


class LimitsRequest(BaseModel):
    """Limits by unit: input_tokens, output_tokens, tokens, usd, steps, seconds, model_calls, actions; and `landing`."""

    limits: Annotated[dict[str, float], Field(min_length=1, max_length=16)]


@router.get("")
async def search(
    scope: Reading,
    kind: ScopeKind | None = None,
    limited: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Wire:
    """List the budgets that something was taken from lately."""
    found = await scope.reader.abudgets(kind, limited=limited, limit=limit)
    return Wire([budget_document(each, each.limits) for each in found])


@router.get("/{kind}/{name}", responses=problems(404))
async def get(scope: Reading, kind: ScopeKind, name: str) -> Wire:
    """Return a budget: its limits, what was spent, and what is held for calls under way."""
    account = await scope.reader.abudget(kind, await check_seen(scope, kind, name))
    return Wire(budget_document(account, await scope.reader.alimits(kind, name)))


@router.put("/{kind}/{name}", responses=problems(404))
async def put(scope: Governing, kind: ScopeKind, name: str, request: LimitsRequest) -> Wire:
    """Store limits; those of the settings and of the graph hold, too."""
    name = await check_owned(scope, kind, name)
    limits = read_limits(request.limits, f"The budget of {kind} {name}")
    account = await scope.il.aset_budget(kind, name, limits)
    await scope.house.audit.note(
        scope.caller, "budget.set", f"{kind} {account.name}", {"limits": request.limits}
    )
    return await _told(scope, account)


@router.delete("/{kind}/{name}", responses=problems(404))
async def delete(scope: Governing, kind: ScopeKind, name: str) -> Wire:
    """Remove stored limits; what a graph declares and the settings name holds on."""
    name = await check_owned(scope, kind, name)
    account = await scope.il.aremove_budget(kind, name)
    await scope.house.audit.note(scope.caller, "budget.remove", f"{kind} {account.name}")
    return await _told(scope, account)


async def _told(scope: Scope, account: Account) -> Wire:
    return Wire(budget_document(account, await scope.il.alimits(account.kind, account.name)))


async def check_seen(scope: Scope, kind: ScopeKind, name: str) -> str:
    """Return the whole name of a budget; raises `NotFound` for that of what the caller may not see.

    The caller's beginning of a name may be all of what another tenant calls a thread.
    """
    if kind in ("run", "thread"):
        return (await scope.reader.abudget(kind, name)).name
    if kind == "tenant" and scope.caller.tenant not in (None, name):
        raise NotFound(f"There is no budget of tenant {name!r}.")
    return name


async def check_owned(scope: Scope, kind: ScopeKind, name: str) -> str:
    """As `check_seen`; what holds for several tenants, or for a tenant as a whole, is not a tenant's to set."""
    full = await check_seen(scope, kind, name)
    if kind in ("graph", "tenant") and scope.caller.tenant is not None:
        raise Forbidden(f"The budget of a {kind} is not set by a tenant.")
    return full
