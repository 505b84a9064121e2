"""All pages of the dashboard: the only file that names them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from interlock.errors import NotFound
from interlock.server.dashboard import assets
from interlock.server.dashboard.pages import (
    approvals,
    budgets,
    crons,
    entering,
    failures,
    figures,
    happening,
    letters,
    limits,
    policies,
    runs,
    starting,
    steering,
    switches,
    threads,
    travel,
    workers,
)
from interlock.server.dashboard.routing import pages

PAGES: tuple[APIRouter, ...] = (
    entering.router,
    runs.router,
    starting.router,
    travel.router,
    steering.router,
    happening.router,
    approvals.router,
    figures.router,
    letters.router,
    switches.router,
    budgets.router,
    limits.router,
    workers.router,
    crons.router,
    policies.router,
    failures.router,
    threads.router,
)

router = APIRouter(include_in_schema=False)
_rest = pages()


@_rest.get("/ui")
async def entrance() -> Response:
    """Lead to the first page."""
    return RedirectResponse("/ui/", 307)


@_rest.get("/ui/{rest:path}")
async def nowhere(request: Request, rest: str) -> Response:
    """Say that there is no such page."""
    raise NotFound(f"The dashboard has no page /ui/{rest}.")


for _each in (assets.router, *PAGES, _rest):
    router.include_router(_each)
