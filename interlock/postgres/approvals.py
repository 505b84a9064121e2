"""The life of questions in Postgres: answers are taken, all of a call or none, and time takes its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from psycopg.rows import DictRow

from interlock.core import voting
from interlock.core.driving import KEY as DRIVING
from interlock.core.driving import Driving
from interlock.core.questions import OpenQuestion, QuestionEvent, Swept
from interlock.core.queueing import Options
from interlock.core.site import Site
from interlock.core.verdict import Terms
from interlock.core.voting import DEADLINE, Ballot, Outcome
from interlock.errors import AnswerRefused, NotFound, ThreadBusy
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.questions import SQL, decided, note, only, open_questions, question_of
from interlock.postgres.runs import add_run, present_run
from interlock.postgres.stored_runs import NewRun
from interlock.postgres.submitting import hand_over

LIST = "`interlock approvals` lists the open ones."
ATTEMPTS = 5
"""How often a run that a deadline began is taken up without a person's word."""


class PostgresApprovals:
    """Every statement about questions but those that belong to the end of a run."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def answer(
        self, question_id: str, *, site: Site | None = None, digest: str = ""
    ) -> Mapping[str, Any] | None:
        """Return the stored answer, `{"decisions": [...], "digest": ..., "by": ...}`; None while it is open."""
        rows = await self._fetch("answer", question_id=question_id)
        value = rows[0]["answer"].get("value") if rows else None
        return value if isinstance(value, Mapping) else None

    async def take(
        self,
        thread_id: str,
        ballots: Sequence[Ballot],
        *,
        enqueue: bool = False,
        options: Options | None = None,
        driving: Driving | None = None,
    ) -> str | None:
        """Take one answer each to questions of a thread, all or none; return the run that goes on with them.

        Args:
            thread_id: the thread.
            ballots: the answers.
            enqueue: hand that run to workers.
            options: how that run is submitted.
            driving: how it is driven; default: as the run that asked.

        Returns:
            The id of the run that was accepted; None while more people must agree to each of them.

        Raises:
            AnswerRefused: one of them does not count, and says why; of two simultaneous answers the second gets this.
            ThreadBusy: the thread has a run that has not ended.
        """
        async with connected(self._pool) as connection, connection.transaction():
            await fetch(connection, SQL["hold_thread"], {"thread_id": thread_id})
            questions = await _locked(connection, thread_id, [each.question_id for each in ballots])
            outcomes = await _counted(connection, thread_id, questions, ballots)
            run_id = await _go_on(connection, thread_id, outcomes, enqueue, options, driving)
            for (question, outcome), ballot in zip(outcomes, ballots, strict=True):
                await _write(connection, question, outcome, run_id or "")
                await _note(connection, question, outcome, ballot)
        return run_id

    async def sweep(self) -> list[Swept]:
        """Remind, escalate and close what is due by the database's clock; of many processes one takes each step."""
        taken: list[Swept] = []
        for row in await self._fetch("due_threads"):
            try:
                taken += await self._sweep_thread(row["thread_id"])
            except ThreadBusy:
                continue  # a run began in this moment; what is due stays due
        return taken

    async def left_by_deadline(self) -> list[str]:
        """Return threads with a run that a deadline began and nobody has ended."""
        rows = await self._fetch("left_by_deadline", by=DEADLINE, attempts=ATTEMPTS)
        return [row["thread_id"] for row in rows]

    async def question(self, question_id: str) -> OpenQuestion:
        """Return a question, open or not; raises `NotFound`."""
        rows = await self._fetch("question", question_id=question_id)
        if not rows:
            raise NotFound(f"There is no question {question_id!r}.", hint=LIST)
        return question_of(rows[0])

    async def full_question_id(self, prefix: str) -> str:
        """Return the question whose id is, or starts with, these characters; raises `NotFound` or `UsageError`."""
        rows = await self._fetch("question_by_prefix", prefix=prefix)
        return only([row["question_id"] for row in rows], prefix, "question", LIST)

    async def open_questions(
        self, thread_id: str | None = None, *, limit: int | None = None
    ) -> list[OpenQuestion]:
        """Return what waits for a person, oldest first; without a limit all of it."""
        async with connected(self._pool) as connection:
            return await open_questions(connection, thread_id, limit=limit)

    async def questions(self, thread_id: str) -> list[OpenQuestion]:
        """Return all questions of a thread, oldest first."""
        return [question_of(row) for row in await self._fetch("questions", thread_id=thread_id)]

    async def events(self, question_id: str) -> list[QuestionEvent]:
        """Return what happened to a question, oldest first."""
        rows = await self._fetch("events", question_id=question_id)
        return [
            QuestionEvent(
                kind=row["kind"], who=row["who"], at=row["happened_at"], detail=row["detail"]
            )
            for row in rows
        ]

    async def _sweep_thread(self, thread_id: str) -> list[Swept]:
        async with connected(self._pool) as connection, connection.transaction():
            values = {"thread_id": thread_id}
            if not await fetch(connection, SQL["hold_thread_or_skip"], values):
                return []
            rows = await fetch(connection, SQL["due_questions"], values)
            taken = [
                each for row in rows if not row["expired"] for each in await _aged(connection, row)
            ]
            return taken + await _expired(
                connection, thread_id, [question_of(row) for row in rows if row["expired"]]
            )

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


async def _locked(
    connection: Connection, thread_id: str, question_ids: Sequence[str]
) -> dict[str, OpenQuestion]:
    values = {"thread_id": thread_id, "question_ids": list(question_ids)}
    rows = await fetch(connection, SQL["lock_questions"], values)
    return {row["question_id"]: question_of(row) for row in rows}


async def _counted(
    connection: Connection,
    thread_id: str,
    questions: Mapping[str, OpenQuestion],
    ballots: Sequence[Ballot],
) -> list[tuple[OpenQuestion, Outcome]]:
    try:
        return [
            (questions[each.question_id], voting.cast(questions[each.question_id], each))
            for each in ballots
        ]
    except AnswerRefused as error:
        error.hint = error.hint or open_now(await open_questions(connection, thread_id))
        raise


def open_now(questions: Sequence[OpenQuestion]) -> str:
    """Return the sentence that says which questions of a thread can be answered."""
    names = [each.id for each in questions if not each.expired]
    return f"Open now: {', '.join(names)}." if names else "No question of this thread is open."


async def _go_on(
    connection: Connection,
    thread_id: str,
    outcomes: Sequence[tuple[OpenQuestion, Outcome]],
    enqueue: bool,
    options: Options | None = None,
    driving: Driving | None = None,
) -> str | None:
    """Accept the run that goes on with what is settled now, and return its id; `enqueue`: workers take it on."""
    settled = [(question, outcome) for question, outcome in outcomes if outcome.settled]
    if not settled:
        return None
    last = await present_run(connection, thread_id)
    run_id = str(uuid4())
    new = NewRun(
        run_id=run_id,
        thread_id=thread_id,
        graph=last.run.graph,
        kind="resume",
        context=_driven(last.context, driving, run_id),
        base_run_id=last.run.run_id,
        # The gate looks the other answers up, so that none of them can open another gate.
        answers={each.interrupt_id: by.value for each, by in settled if not each.looked_up} or None,
    )
    await add_run(connection, new, options=options)
    if enqueue:
        await hand_over(connection, new.run_id, thread_id, options)
    return new.run_id


def _driven(
    context: Mapping[str, Any], driving: Driving | None, run_id: str
) -> Mapping[str, Any]:  # JSON
    if driving is None:
        return context
    kept = {key: context[key] for key in context if key != DRIVING}
    return kept | driving.after(context).stored(run_id)


async def _write(
    connection: Connection, question: OpenQuestion, outcome: Outcome, run_id: str
) -> None:
    values = decided(outcome) | {"question_id": question.id}
    if outcome.settled:
        statement, more = "settle", {"run_id": run_id, "expired": question.expired}
    else:
        statement, more = "vote", {}
    if not await fetch(connection, SQL[statement], values | more):
        raise AnswerRefused(f"Question {question.id} is not open any more.", hint=LIST)


async def _note(
    connection: Connection, question: OpenQuestion, outcome: Outcome, ballot: Ballot
) -> None:
    said: dict[str, Any] = {"decision": ballot.decision, "message": ballot.message}  # JSON
    if ballot.arguments is not None:
        said["arguments"] = dict(ballot.arguments)
    if question.needed > 1 and ballot.decision in ("approve", "edit"):
        kind = "edited" if ballot.decision == "edit" else "voted"
        await note(connection, question.id, kind, ballot.by, **said)
    if outcome.settled:
        await note(connection, question.id, "answered", outcome.by, **said)


async def _aged(connection: Connection, row: DictRow) -> list[Swept]:
    """Escalate and remind as a question's age asks for."""
    question = question_of(row)
    terms = Terms.from_json(question.terms)
    taken: list[Swept] = []
    if row["escalates"]:
        taken.append(
            await _escalate(connection, question, terms, voting.level_at(terms, row["age"]))
        )
    if row["reminds"]:
        values = {"question_id": question.id, "remind": terms.remind}
        await execute(connection, SQL["remind"], values)
        await note(connection, question.id, "reminded")
        taken.append(_swept(question, "reminded"))
    return taken


async def _escalate(
    connection: Connection, question: OpenQuestion, terms: Terms, level: int
) -> Swept:
    people = voting.escalated(question, terms, level)
    values = {"question_id": question.id, "level": level, "assignees": list(people)}
    await execute(connection, SQL["escalate"], values | {"next": voting.next_level(terms, level)})
    asked = [each for step in voting.levels(terms)[question.level : level] for each in step.who]
    await note(connection, question.id, "escalated", level=level, people=asked)
    return _swept(question, "escalated")


async def _expired(
    connection: Connection, thread_id: str, questions: Sequence[OpenQuestion]
) -> list[Swept]:
    """Answer by their defaults what nobody answered in time, and accept the run that goes on."""
    active = await fetch(connection, SQL["active"], {"thread_id": thread_id})
    if active or not questions:
        return []  # a thread that is being worked on is not given another run; it is due again at once
    outcomes = [
        (each, voting.by_deadline(each, each.deadline)) for each in questions if each.deadline
    ]
    run_id = await _go_on(connection, thread_id, outcomes, enqueue=True)
    for question, outcome in outcomes:
        await _write(connection, question, outcome, run_id or "")
        await note(connection, question.id, "expired", DEADLINE, decision=question.default)
    return [_swept(question, "expired") for question in questions]


def _swept(question: OpenQuestion, step: Any) -> Swept:  # one of the literals of Swept
    return Swept(question_id=question.id, thread_id=question.thread_id, step=step)
