"""Answers to questions as people give them over HTTP: taken thread by thread, and noted in the audit log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pydantic import BaseModel

from interlock.core.answers import AnswerForm
from interlock.core.questions import OpenQuestion
from interlock.errors import InterlockError
from interlock.server.asking import going_on
from interlock.server.scope import Scope

Given = tuple[OpenQuestion, AnswerForm]
"""A question with the answer to it."""


class Taken(BaseModel):
    """What became of the answers to one thread's questions."""

    thread_id: str
    question_ids: list[str]
    taken: bool
    detail: str = ""


async def take(scope: Scope, given: Sequence[Given]) -> None:
    """Take answers to questions of one thread, all or none; raises as `Interlock.asubmit_answers`."""
    thread_id = given[0][0].thread_id
    await scope.il.asubmit_answers(
        thread_id, [answer for _, answer in given], driving=await going_on(scope, thread_id)
    )
    for question, answer in given:
        kind = type(answer).__name__.lower()
        detail = {"type": kind, "thread_id": thread_id, "action": question.action}
        await scope.house.audit.note(scope.caller, "answer", question.id, detail)


async def take_several(scope: Scope, given: Sequence[Given]) -> list[Taken]:
    """Take answers to questions of several threads; what is refused on one thread hinders no other."""
    threads: dict[str, list[Given]] = defaultdict(list)
    for question, answer in given:
        threads[question.thread_id].append((question, answer))
    return [await _taken(scope, each) for each in threads.values()]


async def _taken(scope: Scope, given: Sequence[Given]) -> Taken:
    thread, names = given[0][0].thread_id, [question.id for question, _ in given]
    try:
        await take(scope, given)
    except InterlockError as error:
        return Taken(thread_id=thread, question_ids=names, taken=False, detail=str(error))
    return Taken(thread_id=thread, question_ids=names, taken=True)
