"""Workers and their queue: who works, what waits and for how long, what holds it up, and what is due by the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request, Response
from markupsafe import Markup

from interlock.core.health import Worker
from interlock.core.rates import Standing
from interlock.documents.health import ENDINGS
from interlock.postgres.dashboard import DashboardStore
from interlock.server.dashboard.chart import meter
from interlock.server.dashboard.flow import depth_chart, endings_chart
from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.templates import page
from interlock.server.scope import Reading, Scope

MINUTES = 60
TIMERS = 20

PLACES: Mapping[str, str] = {
    "interlock letters": "/ui/letters",
    "interlock approvals": "/ui/approvals",
    "interlock kill": "/ui/budgets",
    "interlock budget": "/ui/budgets",
}
"""How the command of a finding begins -> the page that does the same."""

router = pages()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A rate limit with a bar for each thing that it limits: what it is, how much is allowed, and how full it is."""

    standing: Standing
    bars: Sequence[tuple[str, str, Markup]]


@router.get("/ui/workers")
async def workers(request: Request, scope: Reading) -> Response:
    """Show how the installation stands."""
    health = await scope.reader.ahealth()
    moved = await DashboardStore(scope.reader.pool).flow(MINUTES)
    queued = health.ready + health.behind
    return await page(
        request,
        scope,
        "workers.html",
        health=health,
        findings=[(each, _place(each.do)) for each in health.findings],
        ended=health.pace.rate(*ENDINGS),
        busy=[(each, _busy(each)) for each in health.workers],
        charts=[
            depth_chart(moved, MINUTES, queued, health.claimed).lines(),
            endings_chart(moved, MINUTES).bars(),
        ],
        limits=[_limited(each) for each in await _rates(scope)],
        waits=[] if scope.caller.tenant is not None else await scope.reader.arate_waits(),
        crons=await scope.reader.acrons(),
        sets_limits="govern" in scope.caller.rights and scope.caller.tenant is None,
        timers=(await scope.reader.atimers())[:TIMERS],
    )


async def _rates(scope: Scope) -> Sequence[Standing]:
    """Return the rate limits; they hold for several tenants, none of which sees them."""
    return [] if scope.caller.tenant is not None else await scope.reader.arates()


def _place(command: str) -> str:
    """Return the page that shows what a command does; empty where there is none."""
    return next((path for begin, path in PLACES.items() if command.startswith(begin)), "")


def _busy(worker: Worker) -> Markup:
    about = f"{worker.runs} of {worker.concurrency} slots are taken"
    return meter([("runs", worker.runs, "running")], worker.concurrency, about)


def _limited(standing: Standing) -> Limited:
    rate = standing.rate
    known = [
        ("requests", f"{rate.requests:,.0f} a minute" if rate.requests else "", standing.requests),
        ("tokens", f"{rate.tokens:,.0f} a minute" if rate.tokens else "", standing.tokens),
    ]
    bars = [
        (name, told, _full(name, share))
        for name, told, share in known
        if told and share is not None
    ]
    if rate.concurrent and standing.calls is not None:
        told = f"{standing.calls} of {rate.concurrent}"
        bars.append(("at one time", told, _full("calls", standing.calls / rate.concurrent)))
    return Limited(standing=standing, bars=bars)


def _full(name: str, share: float) -> Markup:
    tone = "bad" if share >= 1 else "warning" if share >= 0.8 else "accent"
    return meter([(name, share, tone)], 1.0, f"{name}: {share:.0%} of what may come at once")
