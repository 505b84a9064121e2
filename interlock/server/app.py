"""The application: the only file that names all routes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, FastAPI

from interlock.server import direct, failures, mounting, openapi
from interlock.server.dashboard import routes as dashboard
from interlock.server.dashboard.routing import failure
from interlock.server.house import House
from interlock.server.metrics import Measured
from interlock.server.routes import (
    a2a,
    access,
    agents,
    approvals,
    assistants,
    audit,
    bridge,
    budgets,
    crons,
    effects,
    events,
    health,
    kills,
    letters,
    mcp,
    meta,
    metrics,
    outcomes,
    policies,
    reference,
    runs,
    state,
    store,
    streams,
    threads,
    v3,
)

ROUTERS: Sequence[APIRouter] = (
    meta.router,
    metrics.router,
    reference.router,
    access.router,
    audit.router,
    assistants.router,
    threads.router,
    state.router,
    store.router,
    streams.router,
    v3.router,
    runs.router,
    crons.router,
    agents.router,
    mcp.router,
    a2a.router,
    approvals.router,
    effects.router,
    letters.router,
    budgets.router,
    kills.router,
    policies.router,
    outcomes.router,
    health.router,
    events.router,
    bridge.router,
    dashboard.router,
)

OFTEN = (
    runs.wait,
    runs.wait_stateless,
    runs.create,
    runs.create_stateless,
    streams.stream,
    streams.stream_stateless,
    threads.create,
    threads.get,
    state.get,
)
"""What clients ask for around each run: these are taken without a look at all other routes."""


def application(house: House) -> FastAPI:
    """Return the ASGI application that serves a house."""
    http, own = house.il.application.config.http, mounting.own_app(house.il.application)
    withheld = mounting.pattern_of(http)
    app = direct.Fronted(
        docs_url=None,  # its own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=mounting.lifespan_of(own),
    )
    app.root_path = http.mount_prefix  # as an argument it is warned of
    app.state.house = house
    failures.install(app, failure)
    openapi.install(app, withheld)
    for router in ROUTERS:
        app.include_router(router, responses=openapi.EVERYWHERE)
    mounting.dress(app, http, own)
    direct.take(app, ROUTERS, OFTEN, withheld)
    app.layers = (*app.layers, partial(Measured, tally=house.tally))
    return app
