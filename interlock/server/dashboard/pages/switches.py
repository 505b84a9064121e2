"""The kill switch: what it would stop, before it is thrown; throwing it, and lifting it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Query, Request, Response
from pydantic import Field

from interlock.core.kills import KillScope
from interlock.postgres.dashboard import DashboardStore
from interlock.postgres.kills import KillStore
from interlock.server.dashboard.routing import pages, see
from interlock.server.dashboard.templates import page
from interlock.server.routes.kills import check_owned
from interlock.server.scope import Governing

SCOPES: tuple[KillScope, ...] = ("graph", "tenant", "thread", "run", "all")

router = pages()

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


@router.get("/ui/budgets/switch")
async def look(
    request: Request,
    scope: Governing,
    what: Annotated[KillScope, Query(alias="scope")] = "graph",
    name: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """Show what a switch would stop, once it is said what it is for."""
    name = "" if what == "all" else name.strip()
    is_asked = "scope" in request.query_params
    is_named = bool(name) or (is_asked and what == "all")
    if is_named:
        name = await check_owned(scope, what, name)
    store = DashboardStore(scope.reader.pool)
    return await page(
        request,
        scope,
        "switch.html",
        what=what,
        whose=name,
        is_asked=is_asked,
        is_named=is_named,
        scopes=SCOPES,
        graphs=await store.graphs(),
        under=await store.under(what, name) if is_named else [],
    )


@router.post("/ui/budgets/switch")
async def throw(
    scope: Governing,
    what: Annotated[KillScope, Form(alias="scope")],
    name: Annotated[str, Form(max_length=255)] = "",
    reason: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:
    """Stop what runs, and refuse what is new until the switch is lifted."""
    name = await check_owned(scope, what, name)
    kill = await scope.il.akill(what, name, reason=reason, by=scope.caller.identity)
    about = f"{kill.scope} {kill.name}".strip()
    await scope.house.audit.note(scope.caller, "kill", about, {"reason": reason})
    return see("/ui/budgets", f"Killed: {kill.whose}. It stands until somebody lifts it")


@router.post("/ui/budgets/switch/{number}/lift")
async def lift(
    scope: Governing, number: Number, reason: Annotated[str, Form(max_length=10_000)] = ""
) -> Response:
    """Lift a switch; what it stopped can be resumed then."""
    kill = await KillStore(scope.reader.pool).kill(number)
    await check_owned(scope, kill.scope, kill.name)
    await scope.il.alift_kill(number, reason=reason, by=scope.caller.identity)
    await scope.house.audit.note(scope.caller, "kill.lift", str(number), {"reason": reason})
    return see("/ui/budgets", f"Lifted: {kill.whose} may run again")
