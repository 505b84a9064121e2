"""`/ok` and `/info`: whether the server lives, and what it can."""

from __future__ import annotations

from typing import Annotated

import langgraph.version
from fastapi import APIRouter, HTTPException, Query, Request

from interlock import __version__
from interlock.errors import DatabaseUnavailable
from interlock.postgres.health import ping
from interlock.server.house import House
from interlock.server.openapi import problems
from interlock.server.scope import Reading, stranger

router = APIRouter(tags=["System"])

CheckDb = Annotated[int, Query(ge=0, le=1, description="1: ask the database, too.")]

FLAGS = {"assistants": True, "crons": True, "langsmith": False, "strict_resume": True}


@router.head("/ok", include_in_schema=False)
@router.get("/ok", responses=problems(429, 503))
async def ok(request: Request, check_db: CheckDb = 0) -> dict[str, bool]:
    """Say that the server lives."""
    if check_db:
        house: House = request.app.state.house
        house.rates.take(stranger(request))  # anybody may ask
        try:
            await ping(house.il.pool)
        except DatabaseUnavailable:  # where it is meant to be is nobody's business
            raise HTTPException(503, "The database does not answer.") from None
    return {"ok": True}


@router.get("/info")
async def info(scope: Reading) -> dict[str, object]:
    """Say what the server is and can."""
    return {
        "version": __version__,
        "langgraph_py_version": langgraph.version.__version__,
        "flags": FLAGS,
        "metadata": {},
    }
