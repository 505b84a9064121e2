"""What only the dashboard looks at: threads by filter and place, and which step a call or an act was of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("dashboard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which threads are listed.

    Attributes:
        graph: of this graph; empty for any.
        statuses: whose run stands so; None for any.
        text: in the title or the error, or the beginning of an id.
        before: and `before_id`: behind this place of the list; None for its beginning.
    """

    graph: str = ""
    statuses: Sequence[str] | None = None
    text: str = ""
    before: datetime | None = None
    before_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedThread:
    """A thread with the run that it is at, and what its model calls took."""

    thread_id: str
    graph: str
    title: str
    purpose: str
    created_at: datetime
    updated_at: datetime
    parent_thread_id: str
    model: str
    run_id: str
    status: str
    error: str
    error_kind: str
    calls: int
    tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCall:
    """A model call; `ran_from` is the checkpoint of the thread's own graph that its task started from."""

    node: str
    task_id: str
    model: str
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float
    called_at: datetime
    ran_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RanTask:
    """A task that wrote something; `node` is empty where it was sent to its node."""

    namespace: str
    task_id: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run of a thread."""

    run_id: str
    kind: str
    status: str
    attempts: int
    error: str
    error_kind: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    process: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """How a thread stands; `mark` is another one after whatever happened to it."""

    thread_id: str
    status: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What happened of one kind within one minute; `queued` and `working`: by how much it moved their numbers."""

    minutes_ago: int
    kind: str
    events: int
    queued: int
    working: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFailure:
    """A failure of a run; `kind`, `letter_id` and `status` are empty where it has no letter."""

    kind: str
    error_type: str
    graph: str
    node: str
    error: str
    at: datetime
    letter_id: str
    status: str
    thread_id: str


class DashboardStore:
    """Reads for pages; each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def threads(self, wanted: Wanted, limit: int) -> list[ListedThread]:
        """Return threads, the one that something happened on last first."""
        values = {
            "graph": wanted.graph,
            "statuses": None if wanted.statuses is None else list(wanted.statuses),
            "text": wanted.text,
            "before": wanted.before,
            "before_id": wanted.before_id,
        }
        rows = await self._fetch("threads", {**values, "limit": limit})
        return [ListedThread(**row) for row in rows]

    async def graphs(self) -> list[str]:
        """Return the names of the graphs that there are threads of."""
        return [row["graph"] for row in await self._fetch("graphs", {})]

    async def calls(self, thread_id: str) -> list[ListedCall]:
        """Return the model calls of a thread, oldest first."""
        rows = await self._fetch("calls", {"thread_id": thread_id})
        return [ListedCall(**row) for row in rows]

    async def acts(self, thread_id: str) -> dict[str, str]:
        """Return from which checkpoint of the thread's own graph each effect was asked for, by its key."""
        rows = await self._fetch("acts", {"thread_id": thread_id})
        return {row["key"]: row["ran_from"] for row in rows}

    async def runs(self, thread_id: str) -> list[ListedRun]:
        """Return the runs of a thread, oldest first."""
        return [ListedRun(**row) for row in await self._fetch("runs", {"thread_id": thread_id})]

    async def line(self, thread_id: str) -> list[str]:
        """Return the checkpoints of a thread's own graph that lead to its newest one, oldest first."""
        rows = await self._fetch("line", {"thread_id": thread_id})
        before = {row["checkpoint_id"]: row["parent_id"] for row in rows}
        line, current = [], next(iter(before), "")
        while current in before:
            line.append(current)
            current = before.pop(current)
        return line[::-1]

    async def ran_from(self, thread_id: str, checkpoint_id: str) -> str:
        """Return the checkpoint of a thread's own graph that one of a subgraph was run from; empty for none."""
        values = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
        rows = await self._fetch("ran_from", values)
        return str(rows[0]["checkpoint_id"]) if rows else ""

    async def tasks(self, thread_id: str) -> list[RanTask]:
        """Return the tasks of a thread, those of its subgraphs too."""
        return [RanTask(**row) for row in await self._fetch("tasks", {"thread_id": thread_id})]

    async def beats(self, thread_ids: Sequence[str]) -> list[Beat]:
        """Return how some threads stand."""
        rows = await self._fetch("beats", {"thread_ids": list(thread_ids)})
        return [Beat(**row) for row in rows]

    async def letter(self, run_id: str) -> str:
        """Return the open letter of a run; empty when it has none."""
        rows = await self._fetch("letter", {"run_id": run_id})
        return str(rows[0]["letter_id"]) if rows else ""

    async def under(self, scope: str, name: str) -> list[tuple[str, str, int]]:
        """Return graph, status and number of the runs that a switch would stop, or hold."""
        rows = await self._fetch("under", {"scope": scope, "name": name})
        return [(row["graph"], row["status"], row["runs"]) for row in rows]

    async def flow(self, minutes: int) -> list[Moved]:
        """Return what happened to runs in each of the last minutes, the newest first."""
        return [Moved(**row) for row in await self._fetch("flow", {"minutes": minutes})]

    async def failures(self, since: datetime, limit: int) -> list[ListedFailure]:
        """Return the failures of runs since a time, the newest first."""
        rows = await self._fetch("failures", {"since": since, "limit": limit})
        return [ListedFailure(**row) for row in rows]

    async def figures(self) -> Mapping[str, int]:
        """Return how many questions and dead letters are open."""
        return (await self._fetch("figures", {}))[0]

    async def _fetch(self, name: str, values: Mapping[str, Any]) -> list[DictRow]:  # parameters
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[name], values)
