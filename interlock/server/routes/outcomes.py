"""`/outcomes`: what came of runs in the world."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from interlock.core.outcomes import Outcome
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Running
from interlock.server.wire import Wire

router = APIRouter(prefix="/outcomes", tags=["Outcomes"])


class Report(BaseModel):
    """What came of a run; `name` is the run's, or a thread's for the run that it is at."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    met: bool | None = None
    score: Annotated[float | None, Field(ge=0, le=1)] = None
    note: Annotated[str, Field(max_length=10_000)] = ""
    detail: dict[str, Any] = Field(default_factory=dict)  # JSON


@router.post("", status_code=201, responses={201: {"model": Outcome}, **problems(404)})
async def report(scope: Running, request: Report) -> Wire:
    """Write down what came of a run, however long after it has ended."""
    run_id = await scope.reader.endings.named(request.name)
    outcome = await scope.il.areport_outcome(
        run_id,
        met=request.met,
        score=request.score,
        note=request.note,
        detail=request.detail,
        by=scope.caller.identity,
    )
    return Wire(asdict(outcome), status_code=201)


@router.get("", responses={200: {"model": list[Outcome]}, **problems(404)})
async def search(
    scope: Reading,
    name: Annotated[str | None, Query(max_length=255)] = None,
    graph: Annotated[str | None, Query(max_length=255)] = None,
    since: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Wire:
    """List reports, the latest first."""
    found = await scope.reader.aoutcomes(name, graph=graph, since=since, limit=limit)
    return Wire([asdict(each) for each in found])


@router.get("/sums")
async def sums(scope: Reading, since: datetime | None = None) -> Wire:
    """Say of each graph how its runs came out, by the last report on each."""
    return Wire([asdict(each) for each in await scope.reader.aoutcome_sums(since)])
