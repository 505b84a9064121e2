"""`/ok` and `/info`: whether the server lives, and what it can."""

from __future__ import annotations

import langgraph.version
from fastapi import APIRouter

from interlock import __version__
from interlock.server.scope import Reading

router = APIRouter(tags=["System"])

FLAGS = {"assistants": True, "crons": True, "langsmith": False, "strict_resume": True}


@router.get("/ok")
async def ok() -> dict[str, bool]:
    """Say that the server lives."""
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
