"""The application: the only file that names all routes."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from interlock import __version__
from interlock.server import failures
from interlock.server.house import House
from interlock.server.routes import assistants, meta

ROUTERS: Sequence[APIRouter] = (
    meta.router,
    assistants.router,
)


def application(house: House) -> FastAPI:
    """Return the ASGI application that serves a house."""
    app = FastAPI(
        title="Interlock", version=__version__, description="Agent graphs that can be left alone."
    )
    app.state.house = house
    failures.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
