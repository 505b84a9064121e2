"""Answers of people: what an interrupt is resumed with, and what is refused before it gets there."""

from __future__ import annotations

from typing import Any

from interlock.core import gate
from interlock.core.runs import AnswerForm, OpenQuestion, Resume
from interlock.errors import AnswerRefused


def answer_value(
    question: OpenQuestion, answer: AnswerForm, user: str
) -> Any:  # what the interrupt resumes with
    """Return what an interrupt is resumed with; raises `AnswerRefused` when the answer does not fit its question."""
    if isinstance(answer, Resume):
        return answer.value
    decision = answer.decision()
    if "edited_action" in decision:
        decision["edited_action"]["name"] = question.action
    value = {"decisions": [decision], "digest": question.digest, "by": answer.by or user}
    if question.digest:
        gate.read_answer(question.payload, value)
    else:
        _check_foreign(question, decision["type"])
    return value


def _check_foreign(question: OpenQuestion, decision: str) -> None:
    """Refuse what would fail inside another application's approval."""
    count = len(question.payload.get("action_requests") or ())
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
    """Return what the interrupt is resumed with; raises `AnswerRefused` when the answer does not fit the question."""
