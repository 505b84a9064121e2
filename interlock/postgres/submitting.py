"""How a run comes to a thread that may have others: refused, behind them, or in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg.rows import DictRow

from interlock.core.queueing import Options
from interlock.errors import ThreadBusy
from interlock.postgres import questions
from interlock.postgres.pool import Connection, execute, fetch
from interlock.postgres.queries import load

SQL = load("submitting")


async def make_way(
    connection: Connection, thread_id: str, options: Options | None, *, resumes: bool = False
) -> None:
    """Hold a thread until the end of the transaction, and do with what has not ended on it as a new run asks.

    Raises:
        ThreadBusy: the new run is refused.
    """
    await fetch(connection, SQL["hold_thread"], {"thread_id": thread_id})
    found = await fetch(connection, SQL["in_the_way"], {"thread_id": thread_id})
    if resumes:  # it goes before those that have not begun, and behind what asked
        found = [row for row in found if row["begun"] and row["status"] != "waiting"]
    if not found:
        return
    match options.multitask_strategy if options else "reject":
        case "reject":
            raise await _busy(connection, thread_id, found)
        case "enqueue":
            return
        case _:
            raise NotImplementedError


async def add_options(
    connection: Connection, about: Mapping[str, str], tenant: str, options: Options
) -> None:
    """Note how a run was submitted; `about` names it, and the run that it goes on with."""
    values = {
        "tenant": tenant,
        "key": options.idempotency_key or None,
        "request": "",
        "multitask_strategy": options.multitask_strategy,
        "priority": options.priority,
        "start_at": options.start_at,
        "deadline": options.deadline,
    }
    await execute(connection, SQL["add_options"], {**about, **values})


async def hand_over(connection: Connection, run_id: str, thread_id: str) -> None:
    """Let workers take on a run that was accepted in this transaction."""
    await fetch(connection, SQL["hand_over"], {"run_id": run_id, "thread_id": thread_id})


async def _busy(connection: Connection, thread_id: str, found: Sequence[DictRow]) -> ThreadBusy:
    if waiting := await questions.open_questions(connection, thread_id):
        return ThreadBusy(
            f"Thread {thread_id} waits for an answer to {', '.join(each.id for each in waiting)}.",
            hint="Answer it first, or use another thread.",
        )
    if found[0]["status"] == "waiting":
        return ThreadBusy(
            f"Thread {thread_id} sleeps, and goes on later.",
            hint="Wait for it, submit with another strategy, or use another thread.",
        )
    return ThreadBusy(
        f"Thread {thread_id} already has a run that has not ended.",
        hint=f"Continue it with `interlock resume {thread_id}`, or wait for it.",
    )
