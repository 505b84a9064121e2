"""The inbox: what waits for a person, with all that an answer can be decided by; one by one or several at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form, Query, Request, Response

from interlock.core.actions import find, is_declared
from interlock.core.answers import AnswerForm, Approve, Edit, Reject
from interlock.core.questions import OpenQuestion, QuestionEvent
from interlock.core.voting import person
from interlock.errors import InterlockError, UsageError
from interlock.postgres.inbox import Wanted
from interlock.server.answering import Given, take, take_several
from interlock.server.dashboard.changes import Change, change_of
from interlock.server.dashboard.fields import Field, argument_fields
from interlock.server.dashboard.forms import read
from interlock.server.dashboard.inbox import AT_ONCE, Place, after, listed
from interlock.server.dashboard.pages.steering import answer_of
from interlock.server.dashboard.routing import pages, see, texts_of
from interlock.server.dashboard.templates import page
from interlock.server.failures import status_of
from interlock.server.scope import Answering, Reading, Scope
from interlock.wording import clipped, counted

router = pages()

Name = Annotated[str, Query(max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The question that is looked at.

    Attributes:
        history: what happened to it, oldest first.
        fields: of its arguments, for a form; none where this code does not know its action.
        edited: how somebody changed the arguments that were asked about first; None where nobody did.
        barred: why the caller cannot answer it; empty when nothing is in the way.
    """

    question: OpenQuestion
    history: Sequence[QuestionEvent]
    fields: Sequence[Field] = ()
    edited: Change | None = None
    barred: str = ""


@router.get("/ui/approvals")
async def inbox(
    request: Request,
    scope: Reading,
    graph: Name = "",
    action: Name = "",
    begin: Annotated[str, Query(alias="from", max_length=64)] = "",
    chosen: Annotated[str, Query(alias="open", max_length=64)] = "",
) -> Response:
    """Show what waits, a page of it, and one question in full."""
    return await _inbox(
        request, scope, Place(wanted=Wanted(graph=graph, action=action), begin=begin), chosen
    )


@router.post("/ui/approvals/answers")
async def answer_several(
    request: Request, scope: Answering, decision: Annotated[str, Form(max_length=16)] = ""
) -> Response:
    """Approve or reject what was chosen; what is refused on one thread hinders no other."""
    form = await request.form()
    marks = [each for each in form.getlist("chosen") if isinstance(each, str)]
    if not marks:
        raise UsageError("Nothing was chosen.", hint="Choose questions in the list first.")
    message = str(form.get("message", "")).strip()
    given = [await _given(scope, each, decision, message) for each in marks[:AT_ONCE]]
    taken = await take_several(scope, given)
    refused = [each.detail for each in taken if not each.taken]
    told = f"Answered {counted(sum(len(x.question_ids) for x in taken if x.taken), 'question')}"
    if refused:
        told += f". {counted(len(refused), 'thread')} refused: {clipped(refused[0], 300)}"
    return see(_place(form).address(), told)


@router.get("/ui/approvals/{question_id}")
async def one(scope: Reading, question_id: str) -> Response:
    """Lead to a question in the inbox."""
    question, _ = await scope.reader.aquestion(question_id)
    return see(f"/ui/approvals?open={question.id}")


@router.post("/ui/approvals/{question_id}")
async def answer(request: Request, scope: Answering, question_id: str) -> Response:
    """Answer a question, and go on to the next."""
    question, _ = await scope.reader.aquestion(question_id)
    form = await texts_of(request)
    place = _place(form)
    try:
        answered, fields = _read(scope, question, form)
        if answered is None:
            return await _inbox(request, scope, place, question.id, fields=fields, status=422)
        await take(scope, [(question, answered)])
    except InterlockError as error:
        return await _inbox(
            request, scope, place, question.id, fault=str(error), status=status_of(error)
        )
    stands, _ = await scope.reader.aquestion(question.id)
    told = "Counted; more people must agree" if stands.status == "open" else "Answered"
    return see(place.address(await after(scope, place, question.id)), told)


async def _inbox(
    request: Request,
    scope: Scope,
    place: Place,
    chosen: str,
    *,
    fields: Sequence[Field] = (),
    fault: str = "",
    status: int = 200,
) -> Response:
    found = await listed(scope, place, chosen)
    name = chosen or (found.questions[0].id if found.questions else "")
    shown = await _shown(scope, name, fields) if name else None
    return await page(
        request,
        scope,
        "approvals.html",
        status_code=status,
        listed=found,
        shown=shown,
        picked=bool(chosen),
        fault=fault,
        place=found.place,
        graphs=sorted({each.graph for each in found.kinds}),
        actions=sorted({each.action for each in found.kinds if each.action}),
        arguments_of=_arguments,
    )


def _place(form: Mapping[str, Any]) -> Place:  # of a request
    """Return where somebody was in the inbox when they sent a form."""
    said = {key: str(form.get(f"in:{key}", "")) for key in ("graph", "action", "from")}
    return Place(wanted=Wanted(graph=said["graph"], action=said["action"]), begin=said["from"])


async def _shown(scope: Scope, name: str, given: Sequence[Field]) -> Shown:
    question, history = await scope.reader.aquestion(name)
    asked: Any = question.payload.get("action_requests") or [{}]  # JSON
    first = dict(asked[0].get("args") or {})
    edited = None
    if question.proposed is not None:
        edited = change_of("", first, dict(question.arguments))
    return Shown(
        question=question,
        history=history,
        fields=given or _fields(scope, question),
        edited=edited,
        barred=_barred(scope, question),
    )


def _fields(scope: Scope, question: OpenQuestion) -> list[Field]:
    """Return the fields of what is asked about; none for an action that this code does not declare."""
    if "edit" not in question.decisions:
        return []
    try:
        scope.reader.graph(question.graph)  # which declares its actions
    except InterlockError:
        return []
    if not is_declared(question.action):
        return []
    return argument_fields(find(question.action), question.arguments)


def _arguments(question: OpenQuestion) -> Mapping[str, Any]:  # JSON
    """Return what is asked about, in the order in which its action declares it; JSON in Postgres keeps none."""
    given = question.arguments
    if not is_declared(question.action):
        return given
    names = [each for each in find(question.action).arguments.model_fields if each in given]
    return {each: given[each] for each in (*names, *(x for x in given if x not in names))}


def _barred(scope: Scope, question: OpenQuestion) -> str:
    name = person(scope.caller.identity)
    if "answer" not in scope.caller.rights:
        return "Your role may not answer questions."
    if question.assignees and name not in [person(each) for each in question.assignees]:
        return (
            f"It is for {', '.join(question.assignees)} to answer; you are {scope.caller.identity}."
        )
    if any(person(vote.by) == name for vote in question.votes):
        return "You have agreed; others must, too."
    return ""


def _read(
    scope: Scope, question: OpenQuestion, form: Mapping[str, str]
) -> tuple[AnswerForm | None, Sequence[Field]]:
    """Return the answer that a form gives; None and what is wrong beside each field where arguments do not fit."""
    fields = _fields(scope, question)
    if form.get("decision") != "edit" or "arguments" in form or not fields:
        return answer_of(question, form, scope.caller.identity), fields
    unchanged = {each.name: each.shown for each in fields if each.kind != "flag"}
    values, fields = read(fields, {**unchanged, **form}, changed_only=True)
    if any(each.fault for each in fields):
        return None, fields
    if not values:
        raise UsageError("Nothing was changed.", hint="Approve it, or change an argument.")
    message, digest = form.get("message", "").strip(), form.get("digest", "")
    return Edit(question.id, values, scope.caller.identity, message, digest), fields


async def _given(scope: Scope, mark: str, decision: str, message: str) -> Given:
    """Return the answer to a question that was chosen in the list, by its id and what was read of it."""
    name, _, digest = mark.partition(":")
    question, _ = await scope.reader.aquestion(name)
    by = scope.caller.identity
    if decision == "approve":
        return question, Approve(question.id, by, message, digest)
    if decision == "reject":
        return question, Reject(question.id, message, by, digest)
    raise UsageError("Several questions are approved or rejected.")
