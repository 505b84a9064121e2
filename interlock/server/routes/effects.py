"""`/effects`: what was done to the world, what was not permitted, and what is in doubt."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from interlock.documents.effects import effect_document
from interlock.server.openapi import problems
from interlock.server.scope import Answering, Reading
from interlock.server.wire import Wire

router = APIRouter(prefix="/effects", tags=["Effects"])

ThreadFilter = Annotated[str | None, Query(max_length=255)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Resolution(BaseModel):
    """What became of an act in doubt; `result` is what it returned, if it happened."""

    happened: bool
    result: Any = None  # JSON


@router.get("", responses=problems(404))
async def search(
    scope: Reading, thread_id: ThreadFilter = None, in_doubt: bool = False, limit: Limit = 100
) -> Wire:
    """List what was done to the world, oldest first; of one thread or of all, or what is in doubt."""
    found = await scope.reader.aeffects(thread_id, in_doubt=in_doubt, limit=limit)
    return Wire([effect_document(each) for each in found])


@router.get("/refused", responses=problems(404))
async def refused(scope: Reading, thread_id: ThreadFilter = None, limit: Limit = 100) -> Wire:
    """List what was not permitted, oldest first."""
    found = await scope.reader.arefusals(thread_id, limit=limit)
    return Wire([effect_document(each) for each in found])


@router.get("/{key}", responses=problems(404))
async def get(scope: Reading, key: str) -> Wire:
    """Return one effect, by its key or the beginning of it."""
    return Wire(effect_document(await scope.reader.aeffect(key)))


@router.post("/{key}/resolve", responses=problems(404, 409))
async def resolve(scope: Answering, key: str, request: Resolution) -> Wire:
    """Say what became of an act in doubt; its thread can go on then."""
    effect = await scope.reader.aeffect(key)
    done = await scope.il.aresolve_effect(
        effect.key,
        happened=request.happened,
        result=request.result,
        by=scope.caller.identity,
    )
    await scope.house.audit.note(
        scope.caller, "effect.resolve", done.key, {"happened": request.happened}
    )
    return Wire(effect_document(done))
