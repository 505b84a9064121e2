"""Failure cases: what went wrong lately, by its class, with how often and where."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fastapi import Request, Response

from interlock.errors import UsageError
from interlock.postgres.dashboard import DashboardStore
from interlock.server.dashboard.chart import sparkline
from interlock.server.dashboard.failing import Span, chart, grouped
from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.templates import page
from interlock.server.scope import Reading

LISTED = 5000

router = pages()

SPANS: Mapping[str, tuple[str, timedelta, int, str]] = {
    "day": ("24 hours", timedelta(hours=1), 24, "%H:%M"),
    "week": ("7 days", timedelta(hours=6), 28, "%a %H:%M"),
    "month": ("30 days", timedelta(days=1), 30, "%d %b"),
}
"""How a span is called in the address -> in words, how long a part is, how many, and how a part is told."""


@router.get("/ui/failures")
async def failures(request: Request, scope: Reading, span: str = "day") -> Response:
    """Show what went wrong."""
    if span not in SPANS:
        raise UsageError(f"There is no span {span!r}.", hint=f"Known: {', '.join(SPANS)}.")
    words, each, parts, form = SPANS[span]
    looked = Span(now=datetime.now(UTC), each=each, parts=parts, form=form)
    found = await DashboardStore(scope.reader.pool).failures(looked.since, LISTED)
    groups = grouped(found, looked)
    return await page(
        request,
        scope,
        "failures.html",
        groups=groups,
        total=len(found),
        most=LISTED,
        chart=chart(groups, looked).bars() if groups else "",
        sparkline=sparkline,
        span=span,
        words=words,
        spans={name: words for name, (words, *_) in SPANS.items()},
    )
