"""Timers as rows: set and cancelled inside the transactions of runs, claimed by whoever fires them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from interlock.core.timing import TimerKind
from interlock.postgres.plain import jsonb
from interlock.postgres.pool import Connection, execute, fetch
from interlock.postgres.queries import load

SQL = load("timers")

KINDS: tuple[TimerKind, ...] = get_args(TimerKind)


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
