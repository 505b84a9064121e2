"""What people do with a run: cancel, resume, kill, answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Form, Request, Response

from interlock.core.answers import AnswerForm, Approve, Edit, Reject, Respond, Resume
from interlock.core.driving import Driving
from interlock.core.questions import OpenQuestion
from interlock.core.queueing import Options
from interlock.errors import NotFound, UsageError
from interlock.server.asking import driven_for, going_on
from interlock.server.dashboard.forms import read_json, read_loosely
from interlock.server.dashboard.pages.threads import ThreadName
from interlock.server.dashboard.routing import pages, see, texts_of
from interlock.server.dashboard.seen import see as look
from interlock.server.dashboard.words import segment
from interlock.server.scope import Answering, Governing, Running, Scope

router = pages()

STREAMED = ("messages-tuple", "custom")
"""What runs that are begun here tell while they run, so that their page can show it."""


@router.post("/ui/threads/{thread_id}/cancel")
async def cancel(scope: Running, name: ThreadName) -> Response:
    """Cancel the run that a thread is at."""
    thread_id = await scope.reader.store.full_thread_id(name)
    at = await scope.reader.endings.named(thread_id)  # a thread may be called as somebody's run is
    run = await scope.il.acancel(at, reason="cancelled on the dashboard", by=_who(scope))
    await scope.house.audit.note(scope.caller, "cancel", thread_id, {"run": run.run_id})
    said = "Cancelled" if run.status == "cancelled" else f"The run is {run.status}"
    return see(address(thread_id), said)


@router.post("/ui/threads/{thread_id}/resume")
async def resume(scope: Running, name: ThreadName) -> Response:
    """Hand a run that was stopped to the workers again, from its last checkpoint."""
    seen = await look(scope.reader, name)
    if seen.run is None:
        raise UsageError("This thread has no run that could go on.")
    if seen.letter:
        await scope.il.aletter_replay(
            seen.letter, reason="resumed on the dashboard", by=_who(scope)
        )
    else:
        await scope.il.asubmit(
            seen.run.graph,
            None,
            thread_id=seen.thread_id,
            options=Options(multitask_strategy="enqueue"),
            driving=await _driving_on(scope, seen.thread_id),
        )
    await scope.house.audit.note(scope.caller, "resume", seen.thread_id)
    return see(address(seen.thread_id), "Handed to the workers")


@router.post("/ui/threads/{thread_id}/kill")
async def kill(
    scope: Governing, name: ThreadName, reason: Annotated[str, Form(max_length=1000)] = ""
) -> Response:
    """Throw the kill switch over a thread."""
    thread_id = await scope.reader.store.full_thread_id(name)
    await scope.il.akill("thread", thread_id, reason=reason, by=_who(scope))
    await scope.house.audit.note(scope.caller, "kill", f"thread {thread_id}", {"reason": reason})
    return see(address(thread_id), "Killed: the switch stands until it is lifted")


@router.post("/ui/threads/{thread_id}/answer")
async def answer(request: Request, scope: Answering, name: ThreadName) -> Response:
    """Answer a question of a thread; workers go on with it."""
    thread_id = await scope.reader.store.full_thread_id(name)
    form = await texts_of(request)
    question = await _question(scope, thread_id, form.get("question", ""))
    said = answer_of(question, form, _who(scope))
    driving = await going_on(scope, thread_id)
    run = await scope.il.asubmit_answers(thread_id, [said], driving=driving)
    detail = {"thread_id": thread_id, "decision": form.get("decision", "")}
    await scope.house.audit.note(scope.caller, "answer", question.id, detail)
    told = "Answered; more people must agree" if run.status == "waiting" else "Answered"
    return see(address(thread_id), told)


def answer_of(question: OpenQuestion, form: Mapping[str, str], by: str) -> AnswerForm:
    """Return the answer that a form gives; raises `UsageError` for what is none."""
    message, digest = form.get("message", "").strip(), form.get("digest", "")
    match form.get("decision", ""):
        case "approve":
            return Approve(question.id, by, message, digest)
        case "reject":
            return Reject(question.id, message, by, digest)
        case "respond":
            return Respond(question.id, message, by, digest)
        case "edit":
            arguments: Any = read_json(form.get("arguments", ""), "The arguments")  # JSON
            if not isinstance(arguments, dict):
                raise UsageError("The arguments are a JSON object: names with values.")
            return Edit(question.id, arguments, by, message, digest)
        case "value":
            return Resume(question.id, read_loosely(form.get("value", "")), by)
        case _:
            raise UsageError("Choose one of the answers that are offered.")


def address(thread_id: str) -> str:
    """Return where a thread's page is."""
    return f"/ui/threads/{segment(thread_id)}"


def begun_here(scope: Scope, graph: str) -> Driving:
    """Return how a run is driven that is begun on the dashboard: for whoever asks, and shown while it runs."""
    return driven_for(scope, graph, Driving(stream_modes=STREAMED, stream_subgraphs=True))


async def _driving_on(scope: Scope, thread_id: str) -> Driving:
    """Return how a run is driven that goes on with a stopped one: as that, from the thread's last checkpoint."""
    before = await going_on(scope, thread_id)
    modes = tuple(dict.fromkeys([*before.stream_modes, *STREAMED]))
    return replace(before, goes_on=True, checkpoint={}, stream_modes=modes)


async def _question(scope: Scope, thread_id: str, question_id: str) -> OpenQuestion:
    for each in await scope.reader.aquestions(thread_id):
        if each.id == question_id:
            return each
    raise NotFound(
        "This question is not open any more.", hint="Load the page again to see what waits."
    )


def _who(scope: Scope) -> str:
    return scope.caller.identity
