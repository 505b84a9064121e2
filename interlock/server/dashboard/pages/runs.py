"""All runs, as threads: live, by graph, status and text, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response

from interlock.errors import UsageError
from interlock.postgres import locks
from interlock.postgres.dashboard import DashboardStore, ListedThread, Wanted
from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.templates import page
from interlock.server.scope import Reading

AT_ONCE = 25
STATUSES: Mapping[str, Sequence[str] | None] = {
    "": None,
    "running": ("running",),
    "waiting": ("waiting",),
    "queued": ("queued",),
    "succeeded": ("succeeded",),
    "failed": ("failed", "dead", "killed"),
    "cancelled": ("cancelled",),
}
"""How a chip is called in the address -> the statuses that it shows."""

router = pages()


@router.get("/ui/")
async def runs(
    request: Request,
    scope: Reading,
    graph: str = "",
    status: str = "",
    text: Annotated[str, Query(alias="q", max_length=200)] = "",
    behind: str = "",
) -> Response:
    """Show the runs."""
    if status not in STATUSES:
        raise UsageError(f"There is no status {status!r}.", hint=f"Known: {', '.join(STATUSES)}.")
    store = DashboardStore(scope.reader.pool)
    before, before_id = _place(behind)
    wanted = Wanted(
        graph=graph,
        statuses=STATUSES[status],
        text=text.strip(),
        before=before,
        before_id=before_id,
    )
    found = await store.threads(wanted, AT_ONCE + 1)
    threads, more = found[:AT_ONCE], found[AT_ONCE:]
    chosen = {"graph": graph, "status": status, "q": text}
    return await page(
        request,
        scope,
        "runs.html",
        threads=threads,
        alive=await locks.held(scope.reader.pool, [each.thread_id for each in threads]),
        graphs=await store.graphs(),
        runnable=scope.reader.application.targets,
        chosen=chosen,
        statuses=[(each, _address(chosen | {"status": each})) for each in STATUSES],
        next_page=_address(chosen | {"behind": _behind(threads[-1])}) if more else "",
        first_page=_address(chosen) if behind else "",
        filtered=any(chosen.values()),
    )


def _address(chosen: Mapping[str, str]) -> str:
    query = urlencode({key: value for key, value in chosen.items() if value})
    return f"/ui/?{query}" if query else "/ui/"


def _behind(thread: ListedThread) -> str:
    return f"{thread.updated_at.isoformat()}~{thread.thread_id}"


def _place(behind: str) -> tuple[datetime | None, str]:
    if not behind:
        return None, ""
    time, _, thread_id = behind.partition("~")
    try:
        return datetime.fromisoformat(time), thread_id
    except ValueError as error:
        raise UsageError("This place in the list cannot be read.", hint="Begin at /ui/.") from error
