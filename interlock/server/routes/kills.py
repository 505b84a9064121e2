"""`/kills`: switches that stop what runs, and refuse what is new."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from interlock.core.kills import Kill, KillScope
from interlock.documents.bounds import Told, kill_document
from interlock.errors import Forbidden, NotFound
from interlock.postgres import locks
from interlock.postgres.kills import KillStore
from interlock.server.openapi import problems
from interlock.server.scope import Governing, Reading, Scope
from interlock.server.wire import Wire

router = APIRouter(prefix="/kills", tags=["Kill switches"])


class Throw(BaseModel):
    """What to stop, and why."""

    scope: Literal["run", "thread", "graph", "tenant", "all"]
    name: Annotated[str, Field(max_length=255)] = ""
    reason: Annotated[str, Field(min_length=1, max_length=10_000)]


class Lift(BaseModel):
    """Why a switch is lifted."""

    reason: Annotated[str, Field(max_length=10_000)] = ""


Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


@router.get("")
async def search(scope: Reading) -> Wire:
    """List the switches that stand, with what each stops, oldest first."""
    store = KillStore(scope.reader.pool)
    return Wire([await _told(scope, each) for each in await store.standing()])


@router.post("", responses=problems(404))
async def throw(scope: Governing, request: Throw) -> Wire:
    """Stop what runs, in every process, and refuse what is new until the switch is lifted."""
    name = await check_owned(scope, request.scope, request.name)
    kill = await scope.il.akill(
        request.scope, name, reason=request.reason, by=scope.caller.identity
    )
    about = f"{kill.scope} {kill.name}".strip()
    await scope.house.audit.note(scope.caller, "kill", about, {"reason": request.reason})
    return Wire(await _told(scope, kill))


@router.get("/{number}", responses=problems(404))
async def get(scope: Reading, number: Number) -> Wire:
    """Return a switch with what happened with it."""
    return Wire(await _told(scope, await KillStore(scope.reader.pool).kill(number)))


@router.post("/{number}/lift", responses=problems(404))
async def lift(scope: Governing, number: Number, request: Lift) -> Wire:
    """Lift a switch; what it stopped can be resumed then."""
    kill = await KillStore(scope.reader.pool).kill(number)
    await check_owned(scope, kill.scope, kill.name)
    lifted = await scope.il.alift_kill(number, reason=request.reason, by=scope.caller.identity)
    await scope.house.audit.note(scope.caller, "kill.lift", str(number), {"reason": request.reason})
    return Wire(await _told(scope, lifted))


async def _told(scope: Scope, kill: Kill) -> dict[str, object]:
    return kill_document(await told_of(scope, kill))


async def told_of(scope: Scope, kill: Kill) -> Told:
    """Return a switch with what it holds of what the caller sees."""
    store = KillStore(scope.reader.pool)
    found = await store.held(kill.id) if kill.lifted_at is None else []
    alive = await locks.held(scope.reader.pool, [each.thread_id for each in found])
    return Told(
        kill=kill,
        events=await store.events(kill.id),
        working=[each for each in found if each.thread_id in alive],
        held=[each for each in found if each.thread_id not in alive],
    )


async def check_owned(scope: Scope, kind: KillScope, name: str) -> str:
    """Let a tenant stop its own runs and threads, and itself; raises `Forbidden`, `NotFound`.

    Returns the whole name: the caller's beginning of one may be all of what another tenant calls a thread.
    """
    if kind in ("run", "thread"):
        return await KillStore(scope.reader.pool).full_name(kind, name)
    if scope.caller.tenant is None:
        return name
    if kind != "tenant":
        raise Forbidden("This would stop other tenants, too.")
    if name != scope.caller.tenant:
        raise NotFound(f"There is no tenant {name!r}.")
    return name
