"""Timers as rows: set and cancelled inside the transactions of runs, claimed by whoever fires them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from psycopg.rows import DictRow

from interlock.core.timing import Became, Due, Timer, TimerKind, TimerState
from interlock.postgres.plain import clean, jsonb
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("timers")

KINDS: tuple[TimerKind, ...] = get_args(TimerKind)

BATCH = 50
"""How many timers one transaction fires; each has a savepoint of its own."""

TRIES = 8
"""How often a timer is tried, with a pause that doubles from a second on, before it is set aside."""

HELD_SECONDS = 5.0
"""How often a timer is looked at over which a kill switch stands."""

KEPT_SECONDS = 7 * 86400.0
"""How long timers are kept that are over."""


async def set_timer(  # noqa: PLR0913  # a row has what it has
    connection: Connection,
    *,
    kind: TimerKind,
    due_at: datetime | None = None,
    after_seconds: float | None = None,
    run_id: str = "",
    thread_id: str = "",
    payload: Mapping[str, Any] | None = None,  # JSON
    dedupe: str = "",
    cron: str = "",
    graph: str = "",
) -> int | None:
    """Let something happen at a time, inside the caller's transaction; by the database's clock.

    Args:
        connection: in a transaction: the timer is set when that is committed, and its workers are told then.
        kind: what happens.
        due_at: when; or
        after_seconds: in how many seconds.
        run_id: whose timer it is; its thread is found when it is not given.
        thread_id: of the run.
        payload: more of it, as JSON.
        dedupe: a timer of this name is set once, for good; empty: as often as it is asked for.
        cron: for a cron: its name.
        graph: for a cron: only an application that has this graph fires it.

    Returns:
        The timer's number; None when one of that name was set before.
    """
    values = {
        "kind": kind,
        "due_at": due_at,
        "after_seconds": None if due_at else (after_seconds or 0.0),
        "run_id": run_id or None,
        "thread_id": thread_id or None,
        "cron": cron or None,
        "graph": graph,
        "payload": jsonb(payload or {}),
        "dedupe": dedupe or None,
    }
    rows = await fetch(connection, SQL["set_timer"], values)
    return rows[0]["id"] if rows else None


async def cancel_timers(
    connection: Connection, *, run_id: str, kinds: Sequence[TimerKind] = KINDS
) -> int:
    """Let nothing of what is set for a run happen any more, and return how many timers that were."""
    return await execute(connection, SQL["cancel_timers"], {"run_id": run_id, "kinds": list(kinds)})


class TimerStore:
    """Timers as they are fired and looked at; each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def fire(self, who: str, most: int = BATCH) -> list[tuple[float, Became]]:
        """Fire what is due, but for crons; return of each how many seconds late it was, and what became of it."""
        values = {"most": most, "who": who, "most_tries": TRIES, "held_seconds": HELD_SECONDS}
        return [(row["late"], row["outcome"]) for row in await self._fetch("fire", **values)]

    async def next_due(self, graphs: Sequence[str]) -> Due:
        """Return when something is due next; of crons only those of some graphs."""
        return Due(**(await self._fetch("next_due", graphs=list(graphs)))[0])

    async def timers(
        self,
        *,
        states: Sequence[TimerState] = ("set", "failed"),
        thread_id: str | None = None,
        kind: TimerKind | None = None,
        limit: int = 50,
    ) -> list[Timer]:
        """Return timers, the earliest first."""
        values = {"states": list(states), "thread_id": thread_id, "kind": kind, "limit": limit}
        return [_timer(row) for row in await self._fetch("timers", **values)]

    async def retry(self, timer_id: int | None = None) -> int:
        """Let a timer that was set aside, or all of them, be due at once; return how many that are."""
        async with connected(self._pool) as connection:
            return await execute(connection, SQL["retry"], {"id": timer_id})

    async def wake(self, run_id: str) -> str | None:
        """Let a thread that sleeps go on in this process; return the run that does, None when it goes on already."""
        run: str | None = (await self._fetch("wake", run_id=run_id))[0]["run_id"]
        return run

    async def asleep(self, run_id: str) -> tuple[datetime, bool] | None:
        """Return until when a run sleeps, and whether that is over; None when it does not sleep."""
        rows = await self._fetch("asleep", run_id=run_id)
        return (rows[0]["due_at"], rows[0]["over"]) if rows else None

    async def forget(self, most: int = 1000) -> int:
        """Remove timers that were over long ago, a few at once, and return how many."""
        async with connected(self._pool) as connection:
            values = {"seconds": KEPT_SECONDS, "most": most}
            return await execute(connection, SQL["forget"], values)

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)

    async def has_passed(self, at: datetime, *, tenant: str = "", key: str = "") -> bool:
        """Say whether a time has passed by the database's clock; not where a run stands under an idempotency key."""
        values = {"at": at, "tenant": clean(tenant), "key": clean(key)}
        async with connected(self._pool) as connection:
            return bool((await fetch(connection, SQL["has_passed"], values))[0]["passed"])


async def settle(connection: Connection, timer_id: int, state: TimerState, who: str) -> None:
    """Note what became of a timer, inside the transaction that has claimed it."""
    await execute(connection, SQL["settle"], {"id": timer_id, "state": state, "who": who})


async def failed(connection: Connection, timer_id: int, error: Exception) -> None:
    """Note that a timer went wrong, inside the transaction that has claimed it; it is tried again, until TRIES."""
    text = clean(f"{type(error).__name__}: {error}")
    values = {"id": timer_id, "error": text, "most_tries": TRIES}
    await fetch(connection, SQL["failed"], values)


def _timer(row: DictRow) -> Timer:
    return Timer(
        id=row["id"],
        kind=row["kind"],
        due_at=row["due_at"],
        state=row["state"],
        run_id=row["run_id"] or "",
        thread_id=row["thread_id"],
        cron=row["cron"] or "",
        payload=row["payload"],
        tries=row["tries"],
        error=row["error"],
        late=row["late"],
        fired_at=row["fired_at"],
        fired_by=row["fired_by"],
    )
