"""How a run comes to a thread that may have others: refused, behind them, or in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from psycopg.rows import DictRow

from interlock.core.cards import Card
from interlock.core.queueing import Options
from interlock.errors import ThreadBusy, UsageError
from interlock.postgres import questions
from interlock.postgres.plain import jsonb
from interlock.postgres.pool import Connection, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.stops import stop
from interlock.postgres.timers import set_timer

SQL = load("submitting")


async def make_way(
    connection: Connection, thread_id: str, options: Options | None, *, resumes: bool = False
) -> None:
    """Hold a thread until the end of the transaction, and do with what has not ended on it as a new run asks.

    Raises:
        ThreadBusy: the new run is refused.
    """
    await fetch(connection, SQL["hold_thread"], {"thread_id": thread_id})
    found = await _in_the_way(connection, thread_id, None if resumes else options)
    if resumes:  # it goes before those that have not begun, and behind what asked
        found = [row for row in found if row["begun"] and row["status"] != "waiting"]
    if not found:
        return
    match options.multitask_strategy if options and not resumes else "reject":
        case "reject":
            raise await _busy(connection, thread_id, found)
        case "enqueue":
            return
        case "interrupt" | "rollback" as strategy:
            for row in found:
                await stop(connection, row["run_id"], strategy)
        case never:
            assert_never(never)


async def _in_the_way(
    connection: Connection, thread_id: str, options: Options | None
) -> list[DictRow]:
    """Return what has not ended on a thread; what waits for people makes way for a run that may take its place."""
    replaces = options is not None and options.replaces_questions
    later = options is not None and options.start_at is not None
    if replaces and not later:
        await fetch(connection, SQL["give_way"], {"thread_id": thread_id})
    found = await fetch(connection, SQL["in_the_way"], {"thread_id": thread_id})
    if replaces and later:  # it takes that place when its time comes: `interlock.enqueue`
        return [row for row in found if not row["yields"]]
    return found


async def known(
    connection: Connection, tenant: str, options: Options | None, request: str
) -> str | None:
    """Return the run that was submitted under an idempotency key before; whoever submits it at once has to wait.

    Raises:
        UsageError: it was another request.
    """
    if options is None or not options.idempotency_key:
        return None
    values = {"tenant": tenant, "key": options.idempotency_key}
    await fetch(connection, SQL["hold_key"], values)
    if not (rows := await fetch(connection, SQL["known"], values)):
        return None
    if rows[0]["request"] != request:
        raise UsageError(
            f"The idempotency key {options.idempotency_key!r} was used for another request:"
            f" run {rows[0]['run_id']} of thread {rows[0]['thread_id']}.",
            hint="Use a key for one graph, input and thread alone; a new request takes a new key.",
        )
    return str(rows[0]["run_id"])


async def add_options(
    connection: Connection, names: Mapping[str, str], tenant: str, options: Options
) -> None:
    """Note how a run was submitted; `names` are those of the run, its request, and the run that it goes on with."""
    values = {
        "tenant": tenant,
        "key": options.idempotency_key or None,
        "multitask_strategy": options.multitask_strategy,
        "priority": options.priority,
        "start_at": options.start_at,
        "deadline": options.deadline,
    }
    await execute(connection, SQL["add_options"], {**names, **values})
    if (card := options.card) is not None:
        await execute(connection, SQL["add_card"], {"run_id": names["run_id"], **_card(card)})


async def hand_over(
    connection: Connection, run_id: str, thread_id: str, options: Options | None = None
) -> None:
    """Let workers take on a run that was accepted in this transaction: now, or when its time comes."""
    names = {"run_id": run_id, "thread_id": thread_id}
    options = options or Options()
    await fetch(connection, SQL["submitted"], names)
    if options.start_at is None:
        await fetch(connection, SQL["enqueue"], names)
    else:
        await set_timer(connection, kind="start", due_at=options.start_at, run_id=run_id)
    if options.deadline is not None:
        await set_timer(connection, kind="deadline", due_at=options.deadline, run_id=run_id)


def _card(card: Card) -> dict[str, object]:  # SQL values
    return {
        "assistant_id": card.assistant_id,
        "metadata": jsonb(card.metadata),
        "kwargs": jsonb(card.kwargs),
        "webhook": card.webhook,
        "on_completion": card.on_completion,
    }


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
