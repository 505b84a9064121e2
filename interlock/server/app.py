"""The application: the only file that names all routes."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from interlock.server import failures, openapi
from interlock.server.dashboard import routes as dashboard
from interlock.server.house import House
from interlock.server.routes import access, assistants, meta, runs, state, store, streams, threads

ROUTERS: Sequence[APIRouter] = (
    meta.router,
    access.router,
    assistants.router,
    threads.router,
    state.router,
    store.router,
    streams.router,
    runs.router,
    dashboard.router,
)


def application(house: House) -> FastAPI:
    """Return the ASGI application that serves a house."""
    app = FastAPI(docs_url=None, redoc_url=None)  # its own pages load scripts from elsewhere
    app.state.house = house
    failures.install(app)
    openapi.install(app)
    for router in ROUTERS:
        app.include_router(router, responses=openapi.EVERYWHERE)
    return app
