"""How answers close a question: who may answer, who has agreed, and when it is settled. Pure decisions."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from interlock.core.questions import OpenQuestion, Vote
from interlock.core.verdict import Escalation, Terms
from interlock.errors import AnswerRefused

DEADLINE = "deadline"
"""Who answers where nobody did; no person may answer under this name."""

PREFIX_LENGTH = 8
"""Characters of a digest that are enough to name the arguments that were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One person's answer to one question.

    Attributes:
        decision: `approve`, `edit`, `reject` or `respond`; empty for a plain value.
        value: what an interrupt is resumed with, if this answer settles the question.
        by: who answers.
        named: the `request` that the person says to have read, or its first characters; may be empty.
        arguments: for an edit, all arguments after it, as JSON.
    """

    question_id: str
    decision: str
    value: Any  # JSON
    by: str = ""
    message: str = ""
    named: str = ""
    arguments: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a question stands after an answer.

    Attributes:
        settled: whether it is answered; if not, more people must agree.
        value: the stored answer, once it is settled.
        by: everybody who decided it.
        granted: SHA-256 of the action with the arguments that may now be used; empty where nothing was permitted.
    """

    settled: bool
    value: Any = None  # JSON
    by: str = ""
    granted: str = ""
    votes: tuple[Vote, ...] = ()
    proposed: Mapping[str, Any] | None = None


def person(name: str) -> str:
    """Return the form in which two spellings of one person's name are equal."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def cast(question: OpenQuestion, ballot: Ballot) -> Outcome:
    """Return how a question stands after an answer; raises `AnswerRefused` that says why it does not count."""
    check_open(question)
    _check_person(question, ballot)
    _check_named(question, ballot)
    if ballot.decision in ("approve", "edit") and question.digest:
        return _agreed(question, ballot)
    return Outcome(
        settled=True,
        value=ballot.value,
        by=ballot.by,
        votes=question.votes,
        proposed=question.proposed,
    )


def by_deadline(question: OpenQuestion, deadline: datetime) -> Outcome:
    """Return the answer of a question that nobody settled in time.

    What somebody changed and not enough others agreed to is not approved by a clock, whatever the default is.
    """
    decision = question.default if question.proposed is None else "reject"
    passive = "approved" if decision == "approve" else "rejected"
    message = f"Nobody settled this by {deadline:%Y-%m-%d %H:%M:%S %Z}, so it was {passive} by its deadline."
    ballot = Ballot(
        question_id=question.id,
        decision=decision,
        value=_value(question, {"type": decision, "message": message}, DEADLINE),
        by=DEADLINE,
        message=message,
    )
    outcome = Outcome(settled=True, value=ballot.value, by=DEADLINE, proposed=question.proposed)
    if decision == "approve":
        outcome = _settled(question, ballot, (), None, question.request)
    return replace(outcome, votes=question.votes)


def escalated(question: OpenQuestion, terms: Terms, level: int) -> tuple[str, ...]:
    """Return who may answer from a level on; where anybody may, anybody still may."""
    if not question.assignees:
        return ()
    people = [*question.assignees, *(each for step in levels(terms)[:level] for each in step.who)]
    return tuple(dict.fromkeys(people))


def levels(terms: Terms) -> list[Escalation]:
    """Return the steps of a chain in the order in which they are reached."""
    return sorted(terms.chain, key=lambda step: step.after)


def level_at(terms: Terms, age: float) -> int:
    """Return how many levels a question that was asked so many seconds ago has reached."""
    return sum(step.after <= age for step in terms.chain)


def next_level(terms: Terms, level: int) -> float | None:
    """Return how long after the question was asked the next level is reached; None after the last."""
    steps = levels(terms)
    return steps[level].after if level < len(steps) else None


def check_open(question: OpenQuestion) -> None:
    """Raise `AnswerRefused` when a question is closed or its deadline has passed."""
    if question.status != "open":
        by = f" by {question.answered_by}" if question.answered_by else ""
        raise AnswerRefused(f"Question {question.id} is {question.status}{by}.")
    if question.expired:
        raise AnswerRefused(
            f"The deadline of question {question.id} has passed ({question.deadline:%Y-%m-%d %H:%M:%S %Z})."
        )


def _check_person(question: OpenQuestion, ballot: Ballot) -> None:
    named, allowed = person(ballot.by), [person(each) for each in question.assignees]
    if named == DEADLINE:
        raise AnswerRefused(f"{ballot.by!r} is no person; say who answers.")
    if allowed and named not in allowed:
        who = f"{ballot.by!r}" if named else "Somebody unnamed"
        raise AnswerRefused(
            f"{who} may not answer question {question.id}; {', '.join(question.assignees)} may."
        )
    if question.needed > 1 and not named:
        raise AnswerRefused(
            f"Question {question.id} needs {question.needed} different people: say who answers."
        )


def _check_named(question: OpenQuestion, ballot: Ballot) -> None:
    consents = ballot.decision in ("approve", "edit")
    wrong = ballot.named and not (
        len(ballot.named) >= PREFIX_LENGTH and question.request.startswith(ballot.named)
    )
    if wrong:
        raise AnswerRefused(
            f"The answer is to other arguments than question {question.id} is about now "
            f"({question.request[:PREFIX_LENGTH]})."
        )
    if consents and question.proposed is not None and not ballot.named:
        editor = next((each.by for each in question.votes if each.decision == "edit"), "somebody")
        raise AnswerRefused(
            f"The arguments of question {question.id} were changed by {editor}; say that you read them: "
            f"name their digest, {question.request[:PREFIX_LENGTH]}."
        )


def _agreed(question: OpenQuestion, ballot: Ballot) -> Outcome:
    edits = ballot.decision == "edit"
    proposed = ballot.arguments if edits else question.proposed
    before = () if edits else question.votes
    if any(person(each.by) == person(ballot.by) for each in before) and question.needed > 1:
        raise AnswerRefused(
            f"{ballot.by} has agreed to question {question.id} before; "
            f"it needs {question.needed} different people."
        )
    vote = Vote(by=ballot.by, decision="edit" if edits else "approve", message=ballot.message)
    votes = (*before, vote)
    if len(votes) < question.needed:
        return Outcome(settled=False, votes=votes, proposed=proposed)
    granted = replace(question, proposed=proposed).request
    return _settled(question, ballot, votes, proposed, granted)


def _settled(
    question: OpenQuestion,
    ballot: Ballot,
    votes: tuple[Vote, ...],
    proposed: Mapping[str, Any] | None,
    granted: str,
) -> Outcome:
    by = ", ".join(each.by for each in votes) or ballot.by
    value = ballot.value
    if question.needed > 1 or not votes:
        value = _value(question, _decision(question, ballot, votes, proposed), by)
    return Outcome(
        settled=True, value=value, by=by, granted=granted, votes=votes, proposed=proposed
    )


def _decision(
    question: OpenQuestion,
    ballot: Ballot,
    votes: Sequence[Vote],
    proposed: Mapping[str, Any] | None,
) -> dict[str, Any]:  # one decision of a HITLResponse
    message = "; ".join(each.message for each in votes if each.message) or ballot.message
    if proposed is None:
        return {"type": "approve", "message": message}
    edited = {"name": question.action, "args": dict(proposed)}
    return {"type": "edit", "edited_action": edited, "message": message}


def _value(question: OpenQuestion, decision: Mapping[str, Any], by: str) -> dict[str, Any]:  # JSON
    return {"decisions": [dict(decision)], "digest": question.digest, "by": by}
