"""Switches as rows: thrown and lifted in any process, seen in all of them, and never forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from interlock.core.kills import (
    Kill,
    KillEvent,
    KillScope,
    Subject,
    check_order,
    not_standing,
)
from interlock.core.queueing import StopOrder
from interlock.errors import NotFound
from interlock.postgres.kill_watch import SQL, KillWatch, kill_of
from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import only

RUNS = load("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run that a switch stands over and that has not ended.

    Attributes:
        process: that works on it, or did so last; empty for none.
    """

    run_id: str
    thread_id: str
    graph: str
    status: str
    process: str


class KillStore:
    """Throws and lifts switches; each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def throw(self, scope: KillScope, name: str = "", *, reason: str, by: str = "") -> Kill:
        """Throw a switch, or return the one that stands already; every process is told.

        Args:
            scope: what `name` names; a run and a thread may be named by the beginning of a generated id.
            name: of the run, thread, graph or tenant; none for `all`.
            reason: for whoever finds something stopped.
            by: who throws it.

        Raises:
            UsageError: no reason, no name, or a name that fits several.
            NotFound: no such run or thread.
        """
        check_order(scope, name, reason)
        async with connected(self._pool) as connection, connection.transaction():
            full = await _full(connection, scope, name)
            about = {"scope": scope, "name": full, "reason": clean(reason), "who": clean(by)}
            await execute(connection, SQL["throw"], about)
            row = (await fetch(connection, SQL["stands_for"], {"scope": scope, "name": full}))[0]
            await note(connection, row["id"], "thrown", who=by, why=reason)
            await fetch(connection, SQL["tell"], {})
        return kill_of(row)

    async def full_name(self, scope: KillScope, name: str) -> str:
        """Return the whole name of what a switch is for; raises as `throw`."""
        async with connected(self._pool) as connection:
            return await _full(connection, scope, name)

    async def lift(self, kill_id: int, *, reason: str = "", by: str = "") -> Kill:
        """Lift a switch; raises `NotFound` unless it stands."""
        async with connected(self._pool) as connection, connection.transaction():
            rows = await fetch(connection, SQL["lift"], {"kill": kill_id, "who": clean(by)})
            if not rows:
                raise not_standing(kill_id)
            await note(connection, kill_id, "lifted", who=by, why=reason)
            await fetch(connection, SQL["tell"], {})
        return kill_of(rows[0])

    async def standing(self) -> list[Kill]:
        """Return the switches that stand, oldest first."""
        return [kill_of(row) for row in await self._fetch("standing")]

    async def kills(self, limit: int = 100) -> list[Kill]:
        """Return all switches, also those that were lifted, the latest first."""
        return [kill_of(row) for row in await self._fetch("kills", limit=limit)]

    async def kill(self, kill_id: int) -> Kill:
        """Return a switch; raises `NotFound`."""
        rows = await self._fetch("kill", kill=kill_id)
        if not rows:
            raise NotFound(
                f"There is no switch {kill_id}.", hint="`interlock kill list --all` shows all."
            )
        return kill_of(rows[0])

    async def events(self, kill_id: int) -> list[KillEvent]:
        """Return what happened with a switch, oldest first."""
        return [_event(row) for row in await self._fetch("kill_events", kill=kill_id)]

    async def held(self, kill_id: int) -> list[Held]:
        """Return the runs that a switch stands over and that have not ended."""
        return [Held(**row) for row in await self._fetch("runs_under", kill=kill_id)]

    async def knows_graph(self, name: str) -> bool:
        """Say whether a graph of this name ever ran here."""
        return bool((await self._fetch("graph_is_known", name=name))[0]["known"])

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


class PostgresKills(KillStore):
    """The switches of a database as a run needs them: what stands over it, and when one is thrown."""

    def __init__(self, pool: Pool, watch: KillWatch) -> None:
        super().__init__(pool)
        self._watch = watch

    def over(self, subject: Subject) -> Kill | None:
        """Return a switch that stands over a run, as it was known at most `FRESH_SECONDS` ago."""
        return self._watch.over(subject)

    def watching(
        self,
        subject: Subject,
        stop: Callable[[Kill], None],
        ordered: Callable[[StopOrder], None] | None = None,
    ) -> AbstractContextManager[None]:
        """Call a function once when a switch over a run is thrown, or stands; the other when it is ordered to stop."""
        return self._watch.watching(subject, stop, ordered)


async def over_run(connection: Connection, run_id: str) -> Kill | None:
    """Return the first switch that stands over a run."""
    rows = await fetch(connection, SQL["over_run"], {"run_id": run_id})
    return kill_of(rows[0]) if rows else None


async def note(
    connection: Connection,
    kill_id: int,
    kind: str,
    *,
    who: str,
    why: str,
    run_id: str = "",
    thread_id: str = "",
) -> None:
    """Write what happened with a switch, inside of a transaction."""
    about = {"kill": kill_id, "kind": kind, "who": clean(who), "why": clean(why)}
    await execute(connection, SQL["note"], about | {"run_id": run_id, "thread_id": thread_id})


async def _full(connection: Connection, scope: KillScope, name: str) -> str:
    """Return the whole name of what a switch is for."""
    if scope == "run":
        rows = await fetch(connection, SQL["run_by_prefix"], {"prefix": name})
        return only(
            [row["run_id"] for row in rows],
            name,
            "run",
            "`interlock status --json` lists the latest ones.",
        )
    if scope == "thread":
        rows = await fetch(connection, RUNS["thread_by_prefix"], {"prefix": name})
        found = [row["thread_id"] for row in rows]
        return only(found, name, "thread", "`interlock status` lists the latest ones.")
    return name


def _event(row: DictRow) -> KillEvent:
    return KillEvent(
        kill=row["kill_id"],
        kind=row["kind"],
        who=row["who"],
        why=row["why"],
        at=row["happened_at"],
        run_id=row["run_id"],
        thread_id=row["thread_id"],
    )
