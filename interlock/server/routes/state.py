"""`/threads/{thread_id}/state` and `/history`: what a thread knows, knew, and is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from langgraph.types import StateSnapshot

from interlock.server.documents import Document, state_document
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Running
from interlock.server.thread_requests import (
    CheckpointId,
    CheckpointRequest,
    HistoryRequest,
    Name,
    Select,
    StateAtRequest,
    StateDocument,
    StateUpdateRequest,
    ThreadId,
    WrittenDocument,
)
from interlock.server.wire import Wire

router = APIRouter(prefix="/threads/{thread_id}", tags=["Threads"], responses=problems(404))

Responses = dict[int | str, dict[str, Any]]  # as FastAPI takes them

STATE: Responses = {200: {"model": StateDocument}}
STATES: Responses = {200: {"model": list[StateDocument]}}
WRITTEN: Responses = {200: {"model": WrittenDocument}, **problems(409)}


@router.get("/state", responses=STATE)
async def get(
    scope: Reading, thread_id: ThreadId, subgraphs: bool = False, select: Select = None
) -> Wire:
    """Return a thread's latest state."""
    state = await scope.reader.astate(thread_id, subgraphs=subgraphs)
    return Wire(selected(state, select))


@router.post("/state", responses=WRITTEN)
async def update(scope: Running, thread_id: ThreadId, request: StateUpdateRequest) -> Wire:
    """Write a thread's state as if a node had; a question that waits for an answer is withdrawn."""
    await scope.reader.athread(thread_id)
    place = await scope.il.aupdate_state(
        thread_id, request.values, as_node=request.as_node, checkpoint=request.place
    )
    about = {"checkpoint_id": place.get("checkpoint_id"), "as_node": request.as_node}
    await scope.house.audit.note(scope.caller, "thread.write", thread_id, about)
    known = {"checkpoint": place, "configurable": place}
    return Wire({**known, "checkpoint_id": place.get("checkpoint_id")})


@router.post("/state/checkpoint", responses=STATE)
async def get_at(scope: Reading, thread_id: ThreadId, request: StateAtRequest) -> Wire:
    """Return a thread's state at a checkpoint; its latest one where no `checkpoint_id` is given."""
    place, subgraphs = request.checkpoint.place, bool(request.subgraphs)
    state = await scope.reader.astate(thread_id, place, subgraphs=subgraphs)
    return Wire(selected(state, request.select))


@router.get("/state/{checkpoint_id}", responses=STATE)
async def get_by_id(
    scope: Reading,
    thread_id: ThreadId,
    checkpoint_id: CheckpointId,
    subgraphs: bool = False,
    select: Select = None,
) -> Wire:
    """Return a thread's state at a checkpoint of its own graph."""
    place = {"checkpoint_id": checkpoint_id}
    state = await scope.reader.astate(thread_id, place, subgraphs=subgraphs)
    return Wire(selected(state, select))


@router.get("/history", responses=STATES)
async def history(
    scope: Reading,
    thread_id: ThreadId,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    before: Name | None = None,
) -> Wire:
    """Return a thread's states, newest first."""
    return await search(scope, thread_id, HistoryRequest(limit=limit, before=before))


@router.post("/history", responses=STATES)
async def search(scope: Reading, thread_id: ThreadId, request: HistoryRequest) -> Wire:
    """Return those of a thread's states, or of its subgraph's, that fit, newest first."""
    before = request.before
    if isinstance(before, str):
        before = CheckpointRequest(checkpoint_id=before)
    states = await scope.reader.astates(
        thread_id,
        limit=request.limit,
        before=before.place if before and before.checkpoint_id else None,
        metadata=request.metadata,
        checkpoint=request.checkpoint.place if request.checkpoint else None,
    )
    return Wire([selected(each, request.select) for each in states])


def selected(state: StateSnapshot, select: Sequence[str] | None) -> Document:
    """Return a state, or what a client wants of it; `values.<key>` is a single value."""
    document = state_document(state)
    if not select:
        return document
    shown = {key: document[key] for key in document if key in select}
    keys = {each.removeprefix("values.") for each in select if each.startswith("values.")}
    if keys and "values" not in shown:
        values = document["values"]
        shown["values"] = {key: values[key] for key in keys if key in values}
    return shown
