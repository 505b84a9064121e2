"""`/approvals`: what waits for a person, and the answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from interlock.core.answers import AnswerForm, Approve, Edit, Reject, Respond, Resume
from interlock.core.questions import OpenQuestion
from interlock.documents.runs import event_document, question_document, run_document
from interlock.errors import UsageError
from interlock.postgres.inbox import InboxStore, Wanted, fitting
from interlock.server.answering import Taken, take, take_several
from interlock.server.openapi import problems
from interlock.server.scope import Answering, Reading
from interlock.server.wire import Wire

router = APIRouter(prefix="/approvals", tags=["Approvals"])

MOST_AT_ONCE = 100
Word = Annotated[str, Field(max_length=10_000)]
Digest = Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]*$")]


class Answer(BaseModel):
    """What a person says: each kind of answer takes the fields that it needs.

    `digest` is the question's as it was read: an answer to anything else is refused.
    """

    type: Literal["approve", "edit", "reject", "respond", "resume"]
    message: Word = ""
    arguments: dict[str, Any] | None = None  # JSON
    value: Any = None  # JSON
    digest: Digest = ""


class NamedAnswer(Answer):
    """An answer with the question that it answers."""

    question_id: Annotated[str, Field(min_length=1, max_length=64)]


class Answers(BaseModel):
    """Answers to several questions: those of one thread are taken together or not at all."""

    answers: Annotated[list[NamedAnswer], Field(min_length=1, max_length=MOST_AT_ONCE)]


@router.get("")
async def search(
    scope: Reading,
    thread_id: Annotated[str | None, Query(max_length=255)] = None,
    graph: Annotated[str | None, Query(max_length=255)] = None,
    action: Annotated[str | None, Query(max_length=255)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Wire:
    """List what waits for a person, the oldest first; the header `X-Pagination-Next` is the next offset."""
    wanted = Wanted(thread_id=thread_id, graph=graph or "", action=action or "")
    store = InboxStore(scope.reader.pool)
    found = await store.page(wanted, offset=offset, limit=limit + 1)
    headers = {"X-Pagination-Total": str(fitting(await store.kinds(wanted), wanted))}
    if len(found) > limit:
        headers["X-Pagination-Next"] = str(offset + limit)
    return Wire([question_document(each) for each in found[:limit]], headers=headers)


@router.post("/answers", responses={200: {"model": list[Taken]}, **problems(404)})
async def answer_several(scope: Answering, request: Answers) -> Wire:
    """Answer several questions; what is refused on one thread hinders no other."""
    by = scope.caller.identity
    found = [
        (each, (await scope.reader.aquestion(each.question_id))[0]) for each in request.answers
    ]
    given = [(question, _form(answer, question, by)) for answer, question in found]
    return Wire(await take_several(scope, given))


@router.get("/{question_id}", responses=problems(404))
async def get(scope: Reading, question_id: str) -> Wire:
    """Return a question, open or not, with everything that happened to it."""
    question, events = await scope.reader.aquestion(question_id)
    history = [event_document(each) for each in events]
    return Wire(question_document(question) | {"history": history})


@router.post("/{question_id}/answer", responses=problems(404, 409))
async def answer(scope: Answering, question_id: str, request: Answer) -> Wire:
    """Answer a question; workers go on with its thread, unless more people must agree."""
    question, _ = await scope.reader.aquestion(question_id)
    await take(scope, [(question, _form(request, question, scope.caller.identity))])
    return Wire(run_document(await scope.reader.arun(question.thread_id)))


def _form(answer: Answer, question: OpenQuestion, by: str) -> AnswerForm:
    """Return an answer as the runtime takes it; raises `UsageError` for one that lacks what its kind needs."""
    match answer.type:
        case "approve":
            return Approve(question.id, by, answer.message, answer.digest)
        case "edit":
            if answer.arguments is None:
                raise UsageError(
                    "An edit names no arguments.", hint="Send `arguments`, or approve."
                )
            return Edit(question.id, answer.arguments, by, answer.message, answer.digest)
        case "reject":
            return Reject(question.id, answer.message, by, answer.digest)
        case "respond":
            return Respond(question.id, answer.message, by, answer.digest)
        case "resume":
            return Resume(question.id, answer.value, by)
