"""Answers of people: checked against their questions, judged again where they change what is done, and handed in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.core import gate, voting
from interlock.core.actions import find
from interlock.core.answers import AnswerForm, Approve, Edit, Reject, Respond, Resume
from interlock.core.driving import Driving
from interlock.core.questions import OpenQuestion
from interlock.core.queueing import Options
from interlock.core.voting import Ballot
from interlock.errors import ActionRefused, AnswerRefused, UsageError
from interlock.postgres.approvals import PostgresApprovals, open_now

Rejudge = Callable[[OpenQuestion, Mapping[str, Any]], Awaitable[str | None]]
"""Returns why a policy refuses a question's act with edited arguments (JSON), or None when it does not."""


async def never(question: OpenQuestion, arguments: Mapping[str, Any]) -> str | None:  # JSON
    """Refuse no edit: the judgement where there is no policy."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Takes answers to the questions of a thread.

    Attributes:
        user: who answers where nobody is named.
    """

    approvals: PostgresApprovals
    rejudge: Rejudge = never
    user: str = ""

    async def take(
        self,
        thread_id: str,
        answers: Sequence[AnswerForm],
        *,
        enqueue: bool = False,
        options: Options | None = None,
        driving: Driving | None = None,
    ) -> str | None:
        """Take answers, all or none; return the run that goes on with them, None while more people must agree.

        The thread's graph must have been imported: that declares the actions which edits are checked against. The run
        is driven as the one that asked, unless it is said how.

        Raises:
            NotFound: there is no such question.
            UsageError: no answer, or two to one question.
            AnswerRefused: one of them does not fit its question, which is named with what is open now.
            ThreadBusy: the thread has a run that has not ended.
        """
        try:
            ballots = [await self._ballot(thread_id, each) for each in answers]
        except AnswerRefused as error:
            error.hint = error.hint or open_now(await self.approvals.open_questions(thread_id))
            raise
        _check_distinct(ballots)
        return await self.approvals.take(
            thread_id, ballots, enqueue=enqueue, options=options, driving=driving
        )

    async def _ballot(self, thread_id: str, answer: AnswerForm) -> Ballot:
        full = await self.approvals.full_question_id(answer.question_id)
        question = await self.approvals.question(full)
        if question.thread_id != thread_id:
            raise AnswerRefused(
                f"Question {question.id} belongs to thread {question.thread_id}, not to {thread_id}.",
                hint="`interlock approvals` lists what is open where.",
            )
        voting.check_open(question)
        ballot = ballot_of(question, answer, self.user)
        if ballot.arguments is not None:
            await self._judge(question, ballot.arguments)
        return ballot

    async def _judge(self, question: OpenQuestion, arguments: Mapping[str, Any]) -> None:
        if reason := await self.rejudge(question, arguments):
            raise AnswerRefused(
                f"The policy refuses {question.action} with these arguments: {reason}."
            )


def ballot_of(question: OpenQuestion, answer: AnswerForm, user: str = "") -> Ballot:
    """Return an answer as it is counted; raises `AnswerRefused` when it does not fit its question."""
    by = answer.by or user
    if isinstance(answer, Resume):
        return _plain(question, answer, by)
    decision = answer.decision()
    arguments = _edited(question, answer) if isinstance(answer, Edit) else None
    if isinstance(answer, Edit):
        args = decision["edited_action"]["args"] if arguments is None else arguments
        decision["edited_action"] = {"name": question.action, "args": dict(args)}
    value = {"decisions": [decision], "digest": question.digest, "by": by}
    if question.digest:
        gate.read_answer(question.payload, value)
    else:
        _check_foreign(question, decision["type"])
    return Ballot(
        question_id=question.id,
        decision=decision["type"],
        value=value,
        by=by,
        message=answer.message,
        named=answer.digest,
        arguments=arguments,
    )


def answer_form(question: OpenQuestion, value: object, by: str = "") -> AnswerForm:
    """Return the answer that another client's value means: a `HITLResponse`, or the older list of `HumanInterrupt`.

    Raises:
        AnswerRefused: an approval was given something else.
    """
    if not question.digest:
        return Resume(question.id, value, by)
    answer = gate.read_answer(question.payload, value)
    decision, who = answer.decisions[0], answer.by or by
    match decision.type:
        case "approve":
            return Approve(question.id, who, decision.message)
        case "reject":
            return Reject(question.id, decision.message, who)
        case "respond":
            return Respond(question.id, decision.message, who)
        case "edit":
            arguments = (decision.edited_action or {})["args"]
            return Edit(question.id, arguments, who, decision.message)


def forms_of(
    thread_id: str, questions: Sequence[OpenQuestion], resume: object, by: str = ""
) -> list[AnswerForm]:
    """Return the answers that a client's `command.resume` means: one value, or one for each interrupt by its id.

    Which question a bare value is for is settled here, when it is submitted: later it might meet the next one.

    Raises:
        AnswerRefused: no question is open, it names one that is not, or it does not say which of several it is for.
    """
    named = {each.interrupt_id: each for each in questions} | {each.id: each for each in questions}
    if isinstance(resume, Mapping) and resume and all(_is_name(each) for each in resume):
        if unknown := sorted(resume.keys() - named.keys()):
            raise AnswerRefused(
                f"Thread {thread_id} has no open question with the interrupt {', '.join(unknown)}.",
                hint=_open(questions),
            )
        return [answer_form(named[each], resume[each], by) for each in resume]
    if len(questions) != 1:
        what = "several answers; say which this is" if questions else "no answer"
        raise AnswerRefused(f"Thread {thread_id} waits for {what}.", hint=_open(questions))
    return [answer_form(questions[0], resume, by)]


def _is_name(key: object) -> bool:
    """Say whether a key may be the id of an interrupt, as LangGraph tells it from other objects, or a question's."""
    return isinstance(key, str) and re.fullmatch("[0-9a-f]{16}|[0-9a-f]{32}", key) is not None


def _open(questions: Sequence[OpenQuestion]) -> str:
    names = ", ".join(each.interrupt_id for each in questions)
    return f"Open now, by their interrupts: {names}." if names else "Nothing was changed."


def _plain(question: OpenQuestion, answer: Resume, by: str) -> Ballot:
    if question.digest:
        raise AnswerRefused(
            f"Question {question.id} is an approval, which no plain value answers.",
            hint=f"Answer it with {', '.join(question.decisions)}.",
        )
    return Ballot(question_id=question.id, decision="", value=answer.value, by=by)


def _edited(question: OpenQuestion, answer: Edit) -> dict[str, Any] | None:  # JSON
    """Return all arguments after an edit in their stored form; None for another application's action."""
    if not question.digest:
        return None
    try:
        return find(question.action).validate_arguments({**question.arguments, **answer.arguments})
    except ActionRefused as error:
        raise AnswerRefused(f"The answer does not fit the question: {error}") from error


def _check_distinct(ballots: Sequence[Ballot]) -> None:
    if not ballots:
        raise UsageError("There is no answer to take.")
    names = [each.question_id for each in ballots]
    if len(set(names)) < len(names):
        raise UsageError("Two answers are to one question.", hint="Give one answer a question.")


def _check_foreign(question: OpenQuestion, decision: str) -> None:
    """Refuse what would fail inside another application's approval."""
    count = len(question.payload.get("action_requests") or ())
    if count == 0:
        raise AnswerRefused(
            f"Question {question.id} is no approval.",
            hint=f"Answer it with a value: `interlock approvals answer {question.id[:8]} --value …`, "
            "or Resume(question_id, value).",
        )
    if count > 1:
        raise AnswerRefused(
            f"Question {question.id} asks about {count} actions at once.",
            hint='Answer all of them: Resume(question_id, {"decisions": [...]}).',
        )
    if question.decisions and decision not in question.decisions:
        offered = ", ".join(question.decisions)
        raise AnswerRefused(
            f"Question {question.id} does not offer {decision!r}.", hint=f"It offers {offered}."
        )
