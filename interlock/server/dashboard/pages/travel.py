"""Time travel: edit the state at a step, go on from there as a fork, and compare the branches."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response

from interlock.errors import InterlockError
from interlock.inputs import takes_our_context
from interlock.past import HISTORY_LIMIT
from interlock.server.dashboard.changes import changes_of
from interlock.server.dashboard.fields import filled, input_fields, state_fields
from interlock.server.dashboard.forms import read
from interlock.server.dashboard.pages.steering import address, begun_here
from interlock.server.dashboard.pages.threads import ThreadName
from interlock.server.dashboard.routing import pages, see, texts_of
from interlock.server.dashboard.seen import see as look
from interlock.server.dashboard.templates import page
from interlock.server.failures import status_of
from interlock.server.scope import Reading, Running, Scope

router = pages()

At = Annotated[str, Query(max_length=64)]

COMPARED = 100
"""Of how many steps the way is told at first, of threads that have none in common."""


@router.get("/ui/threads/{thread_id}/fork")
async def edit(request: Request, scope: Running, name: ThreadName, at: At) -> Response:
    """Show the state at a step as a form."""
    return await _form(request, scope, await _begun(scope, name, at))


@router.post("/ui/threads/{thread_id}/fork")
async def fork(request: Request, scope: Running, name: ThreadName, at: At) -> Response:
    """Go on from a step with what the form changed, or show what is wrong with it."""
    begun = await _begun(scope, name, at)
    given = await texts_of(request)
    values, fields = read(begun["fields"], given, changed_only=True)
    begun |= {"fields": fields, "model": given.get("model", "").strip()}
    if any(each.fault for each in fields):
        return await _form(request, scope, begun, status=422)
    try:
        run = await scope.il.asubmit_fork(
            begun["thread_id"],
            at=begun["step"].checkpoint_id,
            values=values,
            model=begun["model"] or None,
            driving=begun_here(scope, begun["row"]["graph"]),
        )
    except InterlockError as error:
        return await _form(request, scope, begun | {"fault": str(error)}, status_of(error))
    detail = {"at": begun["step"].checkpoint_id, "fork": run.thread_id, "changed": sorted(values)}
    await scope.house.audit.note(scope.caller, "fork", begun["thread_id"], detail)
    return see(address(run.thread_id), "Forked: this is the new branch")


@router.get("/ui/compare")
async def compare(
    request: Request,
    scope: Reading,
    a: Annotated[str, Query(max_length=255)] = "",
    b: Annotated[str, Query(max_length=255)] = "",
    whole: bool = False,
) -> Response:
    """Show two threads side by side; of long ones that share nothing the whole way on request."""
    if not (a and b):
        return await page(request, scope, "compare.html", found=None, a=a, b=b)
    found = await scope.reader.adiff(a, b, most=HISTORY_LIMIT if whole else COMPARED)
    one, other = await look(scope.reader, found.a), await look(scope.reader, found.b)
    old = {key: pair[0] for key, pair in found.changed.items()}
    new = {key: pair[1] for key, pair in found.changed.items()}
    return await page(
        request,
        scope,
        "compare.html",
        found=found,
        a=found.a,
        b=found.b,
        sides=(one, other),
        changes=changes_of(old, new, [*found.changed]),
    )


async def _begun(scope: Scope, name: str, at: str) -> dict[str, Any]:  # what the form's page tells
    thread_id = await scope.reader.store.full_thread_id(name)
    step = await scope.reader.astep(thread_id, at)
    graph = await scope.reader.agraph_at(thread_id, step.checkpoint_id)
    is_input = step.source == "input" and not step.inside
    if is_input:  # it was not taken in yet: what is changed is the input
        given = await _input_of(scope, thread_id, step.checkpoint_id)
        fields = [filled(x, given[x.key]) if x.key in given else x for x in input_fields(graph)]
    else:
        fields = state_fields(graph, step.values)
    row = await scope.reader.store.thread(thread_id)
    return {
        "thread_id": thread_id,
        "row": row,
        "step": step,
        "fields": fields,
        "is_input": is_input,
        "takes_model": takes_our_context(graph),
        "model": "",
        "fault": "",
    }


async def _input_of(scope: Scope, thread_id: str, at: str) -> dict[str, Any]:  # a graph's input
    """Return what the step behind the input took in."""
    steps = await scope.reader.ahistory(thread_id)
    place = next((n for n, each in enumerate(steps) if each.checkpoint_id == at), len(steps))
    behind = steps[place + 1 : place + 2]
    return {key: behind[0].values[key] for key in behind[0].changed} if behind else {}


async def _form(
    request: Request, scope: Scope, begun: dict[str, Any], status: int = 200
) -> Response:
    return await page(request, scope, "fork.html", status_code=status, **begun)
