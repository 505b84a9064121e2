"""What happens to a run, read from the tables that the run itself writes; whoever works on it knows nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg.rows import DictRow

from interlock.core.happening import NOTHING, Cursor, Event, Standing
from interlock.core.langgraph_names import BRANCH, is_key
from interlock.errors import NotFound
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import only

SQL = load("watch")
RUNS = load("runs")
HEAR = SQL["hear"]
PULLED = "~__pregel_pull, "
"""Begins the path of a task that an edge led to."""


class WatchStore:
    """Reads how runs stand and what happened to them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, name: str) -> Standing:
        """Return the run of this name, or the one that the thread of this name is at; the beginning of an id will do.

        Raises:
            NotFound: neither a run nor a thread is called so.
            UsageError: several are.
        """
        runs = [row["run_id"] for row in await self._fetch("named", name=name)]
        if name in runs:
            return await self.standing(name)
        async with connected(self._pool) as connection:
            found = await fetch(connection, RUNS["thread_by_prefix"], {"prefix": name})
        threads = {row["thread_id"] for row in found}
        full = only([*threads, *runs], name, "thread or run", "`interlock status` lists threads.")
        return await self.standing(await self._at(full) if full in threads else full)

    async def standing(self, run_id: str) -> Standing:
        """Return how a run stands, or the one that goes on with it; raises `NotFound`."""
        rows = await self._fetch("standing", run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id!r}.", hint="`interlock status` lists threads.")
        return Standing(**rows[0])

    async def happenings(
        self, run: Standing, cursor: Cursor, first_step: str = ""
    ) -> tuple[list[Event], Cursor]:
        """Return what happened behind a cursor, oldest first, and the cursor behind it all.

        Args:
            run: that is watched.
            cursor: how far was read.
            first_step: the checkpoint before which all are known, so that a long thread is not read again and again.
        """
        values = {
            "thread_id": run.thread_id,
            "run_id": run.run_id,
            "all": cursor.since == NOTHING,
            "since": cursor.since,
            "until": cursor.until,
            "told_at": cursor.at,
            "told_key": cursor.key,
            "rest": cursor.is_between,
            "first_step": first_step,
        }
        rows = await self._fetch("happenings", **values)
        cursor.check(rows[0]["snapshot"])
        upto = cursor.until if cursor.is_between else rows[0]["snapshot"]
        events = [_event(row, run.thread_id) for row in rows if row["key"] is not None]
        behind = Cursor(since=upto, until=upto)
        told = [replace(each, cursor=str(cursor.behind(each, upto))) for each in events[:-1]]
        return [*told, *(replace(each, cursor=str(behind)) for each in events[-1:])], behind

    async def _at(self, thread_id: str) -> str:
        found = (await self._fetch("at", thread_id=thread_id))[0]["run_id"]
        if found is None:
            raise NotFound(f"Thread {thread_id} has no run.", hint="`interlock run` begins one.")
        return str(found)

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


def _event(row: DictRow, thread_id: str) -> Event:
    detail = row["detail"]
    return Event(
        key=row["key"],
        kind=row["kind"],
        run_id=row["run_id"],
        thread_id=thread_id,
        at=row["at"],
        node=row["node"],
        worker=row["worker"],
        detail=_step(detail) if row["kind"] == "step" else detail,
    )


def _step(detail: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return a step with the names of what ran, changed and comes next, as far as rows tell them."""
    channels = [str(each) for each in detail["channels"]]
    kept = {key: each for key, each in detail.items() if key not in ("channels", "tasks", "sent")}
    return kept | {
        "nodes": _nodes(detail["tasks"], detail["sent"]),
        "changed": [each for each in channels if is_key(each)],
        "next": [each.removeprefix(BRANCH) for each in channels if each.startswith(BRANCH)],
    }


def _nodes(tasks: Sequence[str], sent: Sequence[str]) -> list[str]:
    """Return what ran, by the paths of tasks; whatever was sent to a node has its name only where nothing else was."""
    pulled = [each.partition(PULLED)[2] for each in tasks if each.startswith(PULLED)]
    pushed = [each for each in tasks if not each.startswith(PULLED)]
    name = sent[0] if len(sent) == 1 else "task"
    return [each for each in pulled if each != "__start__"] + [name] * len(pushed)
