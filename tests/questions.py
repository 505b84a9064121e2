"""Questions without a graph: rows as a run leaves them when it ends waiting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import DictRow, dict_row

from interlock import Interlock
from interlock.core.actions import digest
from interlock.core.questions import OpenQuestion, QuestionEvent
from interlock.core.run_states import RunStatus
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import Ending, NewRun

DECISIONS = ("approve", "edit", "reject", "respond")
ARGUMENTS = {"payee": "ann", "amount": 5, "ledger": "bank"}


def payload(
    name: str,
    terms: Mapping[str, Any],
    *,
    arguments: Mapping[str, Any] = ARGUMENTS,
    decisions: tuple[str, ...] = DECISIONS,
    fixed: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the gate asks with, about the action `pay` of the sample graph."""
    summary = "Pay Ann?"
    return {
        "action_requests": [{"name": "pay", "args": dict(arguments), "description": summary}],
        "review_configs": [{"action_name": "pay", "allowed_decisions": list(decisions)}],
        "question": {
            "id": name,
            "digest": digest({"action": "pay", "arguments": dict(arguments)}),
            "kind": "approval",
            "effect": "e1",
            "summary": summary,
            "evidence": ["An invoice of 5."],
            "consequences": {"approve": "She is paid."},
            "fixed": list(fixed),
            "cost": 0.25,
            "verdict": {"ruling": "ask", "rule": "payments"},
            "terms": dict(terms),
        },
    }


def identity(*words: str) -> str:
    """An id as the gate makes them."""
    return sha256("\0".join(words).encode()).hexdigest()[:16]


async def ask(
    store: RunStore, *terms: Mapping[str, Any], thread: str = "t", **form: Any
) -> list[OpenQuestion]:  # as `payload`
    """Let a run of the sample graph end waiting for questions with these terms; one more run when called again."""
    payloads = [
        payload(identity(thread, str(number)), each, **form) for number, each in enumerate(terms)
    ]
    return await wait_for(store, payloads, thread)


async def wait_for(
    store: RunStore, payloads: list[dict[str, Any]], thread: str = "t"
) -> list[OpenQuestion]:
    """Let a run end waiting for interrupts with these payloads: the one that is queued, or a new one."""
    run_id = await _run(store, thread)
    run = (await store.stored(run_id)).run
    questions = [_question(each, number, run_id, thread) for number, each in enumerate(payloads)]
    await store.start(run, "test", {})
    status: RunStatus = "waiting" if questions else "succeeded"
    await store.end(run, Ending(status=status, questions=tuple(questions)))
    return questions


async def pass_time(url: str, seconds: float) -> None:
    """Let the database's clock have gone on: move everything that it measures by back."""
    step = "make_interval(secs => %s)"
    await sql(
        url,
        f"update interlock.questions set asked_at = asked_at - {step}, deadline = deadline - {step}, "
        f"remind_at = remind_at - {step}, escalate_at = escalate_at - {step}",
        *[seconds] * 4,
    )
    await sql(url, f"update interlock.notifications set due_at = due_at - {step}", seconds)


async def happened(il: Interlock, question_id: str) -> list[str]:
    """The kinds of a question's events, each with who did it."""
    events: list[QuestionEvent] = (await il.aquestion(question_id))[1]
    return [f"{each.kind} {each.who}".strip() for each in events]


async def sql(url: str, statement: str, *values: object) -> list[DictRow]:
    """Run a statement past the code."""
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, row_factory=dict_row
    ) as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def put_back(url: str, status: str, run_id: str | None = None) -> None:
    """Let a run, or every one, stand as it does not come to stand of its own accord."""
    await sql(url, "alter table interlock.runs disable trigger runs_transitions")
    statement = "update interlock.runs set status = %s where run_id = coalesce(%s, run_id)"
    await sql(url, statement, status, run_id)
    await sql(url, "alter table interlock.runs enable trigger runs_transitions")


async def _run(store: RunStore, thread: str) -> str:
    try:
        latest = (await store.latest(thread)).run
    except LookupError:
        latest = None
    if latest is not None and latest.status == "queued":
        return latest.run_id
    new = NewRun(run_id=str(uuid4()), thread_id=thread, graph="payment", kind="invoke", context={})
    await store.add(new)
    return new.run_id


def _question(value: Mapping[str, Any], number: int, run_id: str, thread: str) -> OpenQuestion:
    asked = value.get("question")
    ours = asked if isinstance(asked, dict) else {}
    return OpenQuestion(
        id=ours.get("id") or identity(thread, "foreign", str(number)),
        thread_id=thread,
        run_id=run_id,
        graph="payment",
        node="ask",
        interrupt_id=f"i{number}",
        digest=ours.get("digest", ""),
        payload=value,
        asked_at=datetime.now(UTC),
    )
