"""`/threads/.../runs` and `/runs`: requests on threads, and on threads of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from interlock.core.queueing import StopKind
from interlock.core.runs import Run
from interlock.errors import NotFound, UsageError
from interlock.postgres.run_cards import ClientRun, RunCards, Wanted
from interlock.server import waiting
from interlock.server.documents_agents import agent_outcome, agent_run
from interlock.server.documents_runs import RUN_FIELDS, RunDocument, run_document
from interlock.server.openapi import problems
from interlock.server.requests import (
    RunCreate,
    StatelessCreate,
    accept,
    prepare,
    see_thread,
    submit,
)
from interlock.server.scope import Reading, Running, Scope, Starting
from interlock.server.serializing import serializer_of
from interlock.server.wire import Wire

router = APIRouter(responses=problems(404))

ON_THREAD, STATELESS = "Thread Runs", "Stateless Runs"

DEFAULT_MODES = ("values",)
"""What of a run is kept to be joined unless its client says so; of one that is waited for, nothing."""

Idempotent = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]
"""Two requests under one key are one run."""

Action = Annotated[Literal["interrupt", "rollback"], Query()]
"""Whether what the run did to its thread stays."""

Waits = Annotated[bool, Query(description="Answer when it has stopped.")]
Select = Annotated[list[str] | None, Query(description="Only these fields.")]

ACCEPTED: dict[int | str, Any] = {200: {"model": RunDocument}, **problems(409)}
WAITED: dict[int | str, Any] = {
    200: {"description": "The run's output, or `__error__`.", "content": {"application/json": {}}},
    **problems(409),
}
STOPPED: dict[int | str, Any] = {
    200: {"description": "It has stopped.", "content": {"application/json": {}}},
    202: {"description": "It is being stopped."},
}

MOST = 1000
"""How many runs one request lists, makes or stops."""


class RunsCancel(BaseModel):
    """Which runs are stopped: some of a thread, or all that stand so."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: str | None = None
    run_ids: Annotated[list[str], Field(max_length=MOST)] | None = None


@router.post("/threads/{thread_id}/runs", tags=[ON_THREAD], responses=ACCEPTED)
async def create(
    scope: Starting, thread_id: str, request: RunCreate, idempotency_key: Idempotent = ""
) -> Wire:
    """Accept a run, and answer before it has begun."""
    run = await accept(
        scope, thread_id, request, stream_modes=DEFAULT_MODES, idempotency_key=idempotency_key
    )
    return await _accepted(scope, run)


@router.post("/runs", tags=[STATELESS], responses=ACCEPTED)
async def create_stateless(
    scope: Starting, request: StatelessCreate, idempotency_key: Idempotent = ""
) -> Wire:
    """Accept a run on a thread of its own, and answer before it has begun."""
    run = await accept(
        scope,
        request.thread_id,
        request,
        stream_modes=DEFAULT_MODES,
        idempotency_key=idempotency_key,
    )
    if request.as_agent:
        found = await RunCards(scope.reader.pool).run(run.run_id)
        return Wire(agent_run(found, scope.il.settings))
    return await _accepted(scope, run, stateless=request.thread_id is None)


@router.post("/threads/{thread_id}/runs/wait", tags=[ON_THREAD], responses=WAITED)
async def wait(
    scope: Starting, thread_id: str, request: RunCreate, idempotency_key: Idempotent = ""
) -> Response:
    """Accept a run, and answer with its output."""
    fresh = scope.house.il.endings.hears and not idempotency_key
    run = await accept(scope, thread_id, request, idempotency_key=idempotency_key)
    cancels = request.on_disconnect == "cancel"
    return waiting.waited(scope, run.thread_id, run.run_id, cancels=cancels, fresh=fresh)


@router.post("/runs/wait", tags=[STATELESS], responses=WAITED)
async def wait_stateless(
    scope: Starting, request: StatelessCreate, idempotency_key: Idempotent = ""
) -> Response:
    """Accept a run on a thread of its own, and answer with its output."""
    fresh = scope.house.il.endings.hears and not idempotency_key
    run = await accept(scope, request.thread_id, request, idempotency_key=idempotency_key)
    cancels = request.on_disconnect == "cancel"
    show = shown(scope, run.run_id) if request.as_agent else None
    return waiting.waited(scope, run.thread_id, run.run_id, cancels=cancels, show=show, fresh=fresh)


@router.post(
    "/runs/batch", tags=[STATELESS], responses={**ACCEPTED, 200: {"model": list[RunDocument]}}
)
async def batch(
    scope: Starting, requests: Annotated[list[StatelessCreate], Field(max_length=MOST)]
) -> Wire:
    """Accept several runs; none when one of them means nothing."""
    orders = [
        await prepare(scope, each.thread_id, each, stream_modes=DEFAULT_MODES) for each in requests
    ]
    cards, made = RunCards(scope.reader.pool), []
    for each, order in zip(requests, orders, strict=True):
        run = await submit(scope, each.thread_id, each, order)
        made.append(
            _document(scope, await cards.run(run.run_id))
        )  # the last may take longer than this one stays
    return Wire(made)


@router.post("/runs/cancel", tags=[STATELESS], status_code=204)
async def cancel_many(
    scope: Running, request: RunsCancel, action: Action = "interrupt"
) -> Response:
    """Stop runs; they have to obey by themselves."""
    found = await _to_stop(scope, request)
    if not found:
        raise NotFound("None of these runs can be stopped.", hint="They have ended, or never were.")
    for run_id in found:
        await waiting.stop(scope, run_id, kind_of(action))
    about = {"runs": found, "how": kind_of(action)}
    await scope.house.audit.note(scope.caller, "cancel", request.thread_id or "", about)
    return Response(status_code=204)


@router.get(
    "/threads/{thread_id}/runs", tags=[ON_THREAD], responses={200: {"model": list[RunDocument]}}
)
async def list_runs(
    scope: Reading,
    thread_id: str,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 10,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    status: str | None = None,
    select: Select = None,
) -> Wire:
    """List the runs of a thread, newest first."""
    check_select(select)
    await see_thread(scope, thread_id)
    wanted = Wanted(thread_id=thread_id, status=status, limit=limit, offset=offset)
    found = await RunCards(scope.reader.pool).runs(wanted)
    return Wire([_document(scope, each, select) for each in found])


@router.get(
    "/threads/{thread_id}/runs/{run_id}", tags=[ON_THREAD], responses={200: {"model": RunDocument}}
)
async def get(scope: Reading, thread_id: str, run_id: str) -> Wire:
    """Return a run."""
    return Wire(_document(scope, await RunCards(scope.reader.pool).run(run_id, thread_id)))


@router.delete("/threads/{thread_id}/runs/{run_id}", tags=[ON_THREAD], status_code=204)
async def delete(scope: Running, thread_id: str, run_id: str) -> Response:
    """Forget a run; one that is at work is stopped before. What it did stays."""
    run = await RunCards(scope.reader.pool).run(run_id, thread_id)
    await remove(scope, run)
    return Response(status_code=204)


@router.get("/threads/{thread_id}/runs/{run_id}/join", tags=[ON_THREAD], responses=WAITED)
async def join(scope: Reading, thread_id: str, run_id: str) -> Response:
    """Wait for a run, and answer with its output."""
    run = await RunCards(scope.reader.pool).run(run_id, thread_id)
    return waiting.waited(scope, run.thread_id, run.run_id)


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", tags=[ON_THREAD], responses=STOPPED)
async def cancel(
    scope: Running,
    thread_id: str,
    run_id: str,
    wait: Waits = False,
    action: Action = "interrupt",
) -> Response:
    """Stop a run; a rollback also undoes what it did to its thread."""
    run = await RunCards(scope.reader.pool).run(run_id, thread_id)
    return await stopped(scope, run, kind_of(action), wait=wait)


async def stopped(scope: Scope, run: ClientRun, kind: StopKind, *, wait: bool) -> Response:
    """Stop a run, and answer at once, or with its output when it has stopped; raises `NotFound` when it has ended."""
    cards = RunCards(scope.reader.pool)
    if not await cards.unended(run_ids=[run.run_id]):
        raise NotFound(f"Run {run.run_id} has ended: there is nothing to stop.")
    await waiting.stop(scope, run.run_id, kind)
    await scope.house.audit.note(
        scope.caller, "cancel", run.thread_id, {"run": run.run_id, "how": kind}
    )
    if not wait:
        return Response(status_code=202)
    return waiting.waited(scope, run.thread_id, run.run_id)


async def remove(scope: Scope, run: ClientRun) -> None:
    """Forget a run that the caller sees; it is stopped before if it has not ended."""
    if await RunCards(scope.reader.pool).unended(run_ids=[run.run_id]):
        await waiting.stop(scope, run.run_id, "cancel")
        await waiting.ended(scope, run.run_id)
    await RunCards(scope.il.pool).remove(run.run_id)
    await scope.house.audit.note(scope.caller, "run.delete", run.run_id, {"thread": run.thread_id})


def shown(scope: Scope, run_id: str) -> waiting.Show:
    """Return what makes an outcome one of an agent's."""

    async def show(output: Any) -> Any:  # the graph's output schema -> JSON
        run = await RunCards(scope.reader.pool).run(run_id)
        return agent_outcome(run, output, scope.il.settings)

    return show


def check_select(select: Sequence[str] | None) -> None:
    """Raise `UsageError` for fields that a run does not have."""
    if unknown := sorted(set(select or ()) - set(RUN_FIELDS)):
        raise UsageError(
            f"A run has no {', '.join(unknown)}.", hint=f"It has: {', '.join(RUN_FIELDS)}."
        )


async def _accepted(scope: Scope, run: Run, *, stateless: bool = False) -> Wire:
    found = await RunCards(scope.reader.pool).run(run.run_id)
    at = f"/runs/{run.run_id}"
    where = at if stateless else waiting.run_path(run.thread_id, run.run_id)
    return Wire(_document(scope, found), headers={"Content-Location": where})


async def _to_stop(scope: Scope, request: RunsCancel) -> list[str]:
    if request.status is None and not request.run_ids:
        raise UsageError("Say which runs to stop.", hint="By `status`, or by `run_ids`.")
    if request.thread_id is not None:
        await see_thread(scope, request.thread_id)
    found = await RunCards(scope.reader.pool).unended(
        thread_id=request.thread_id, run_ids=request.run_ids
    )
    if request.run_ids:
        return [run_id for run_id, _ in found]
    wanted = ("pending", "running") if request.status == "all" else (request.status,)
    return [run_id for run_id, status in found if status in wanted]


def kind_of(action: str) -> StopKind:
    """Return how a run is stopped for an action that a client named."""
    return "rollback" if action == "rollback" else "cancel"


def _document(
    scope: Scope, run: ClientRun, select: Sequence[str] | None = None
) -> dict[str, Any]:  # JSON
    return run_document(run, serializer_of(scope.il.settings), select)
