"""Questions as rows: asked, read, withdrawn and opened again, inside the transactions of runs and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from psycopg.rows import DictRow

from interlock.core.questions import OpenQuestion, Vote
from interlock.core.verdict import Terms
from interlock.core.voting import Outcome, next_level
from interlock.errors import NotFound, UsageError
from interlock.postgres.plain import clean, exact, jsonb
from interlock.postgres.pool import Connection, execute, fetch
from interlock.postgres.queries import load

SQL = load("approvals")


async def ask(connection: Connection, questions: Iterable[OpenQuestion]) -> None:
    """Write down what a run waits for; what is open already stays as it is, its deadline too."""
    for question in questions:
        if await fetch(connection, SQL["ask"], _asked(question)):
            await note(connection, question.id, "asked")


async def withdraw(connection: Connection, thread_id: str, open_now: Sequence[str]) -> None:
    """Close the questions of a thread that nothing waits for any more."""
    values = {"thread_id": thread_id, "open_now": list(open_now)}
    for row in await fetch(connection, SQL["withdraw"], values):
        await note(connection, row["question_id"], "withdrawn")


async def reopen(connection: Connection, thread_id: str, run_id: str) -> None:
    """Open the questions again whose answers a run was refused with."""
    values = {"thread_id": thread_id, "run_id": run_id}
    for row in await fetch(connection, SQL["reopen"], values):
        await note(connection, row["question_id"], "reopened")


async def note(
    connection: Connection, question_id: str, kind: str, who: str = "", **detail: Any
) -> None:  # JSON
    """Write what happened to a question into its history, which is what is told of it too."""
    values = {"question_id": question_id, "kind": kind, "who": clean(who)}
    await execute(connection, SQL["note"], values | {"detail": jsonb(detail)})


async def open_questions(
    connection: Connection, thread_id: str | None = None, *, limit: int | None = None
) -> list[OpenQuestion]:
    """Return what waits for a person, oldest first; without a limit all of it."""
    values = {"thread_id": thread_id, "limit": limit}
    return [question_of(row) for row in await fetch(connection, SQL["open_questions"], values)]


def question_of(row: DictRow) -> OpenQuestion:
    """Return a question as it stands in its row."""
    return OpenQuestion(
        id=row["question_id"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        graph=row["graph"],
        node=row["node"],
        interrupt_id=row["interrupt_id"],
        digest=row["digest"],
        payload=row["payload"],
        asked_at=row["asked_at"],
        status=row["status"],
        answered_by=row["answered_by"],
        assignees=tuple(row["assignees"]),
        needed=row["needed"],
        deadline=row["deadline"],
        level=row["level"],
        votes=tuple(Vote(**each) for each in row["votes"]),
        proposed=row["proposed"],
        expired=row["expired"],
    )


def decided(outcome: Outcome) -> dict[str, Any]:  # SQL values
    """Return what a row takes from an answer."""
    return {
        "answer": exact({"value": outcome.value}, "The answer"),
        "by": clean(outcome.by),
        "granted": outcome.granted,
        "votes": jsonb([asdict(each) for each in outcome.votes]),
        "proposed": None if outcome.proposed is None else exact(outcome.proposed, "The answer"),
    }


def only(found: Sequence[str], prefix: str, what: str, hint: str) -> str:
    """Return the one id that some characters mean; raises `NotFound` or `UsageError`."""
    if prefix in found:
        return prefix
    if not found or not prefix:
        raise NotFound(f"There is no {what} {prefix!r}.", hint=hint)
    if len(found) > 1:
        raise UsageError(
            f"{prefix!r} fits several {what}s ({', '.join(found)}).", hint="Give more characters."
        )
    return found[0]


def _asked(question: OpenQuestion) -> dict[str, Any]:  # SQL values
    return {
        "question_id": question.id,
        "thread_id": question.thread_id,
        "run_id": question.run_id,
        "graph": question.graph,
        "node": question.node,
        "interrupt_id": question.interrupt_id,
        "digest": question.digest,
        "payload": jsonb(question.payload),
        "kind": question.kind,
        "effect": clean(question.effect),
        "looked_up": question.looked_up,
        "verdict": jsonb(question.verdict),
    } | _timed(question.terms)


def _timed(given: Mapping[str, Any]) -> dict[str, Any]:  # terms as JSON -> SQL values
    terms = Terms.from_json(given)
    return {
        "assignees": [clean(each) for each in terms.who],
        "needed": max(terms.needed, 1),
        "terms": jsonb(given),
        "within": terms.within,
        "remind": terms.remind,
        "escalate": next_level(terms, 0),
    }
