"""`/threads`: lines of work, wherever they were begun."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Query, Response
from langgraph.types import Command, Send, StateUpdate

from interlock.errors import InterlockError, NotFound, UsageError
from interlock.postgres.thread_cards import ThreadCard, Wanted
from interlock.postgres.thread_storage import storage_of
from interlock.server.documents import thread_document
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Running, Scope
from interlock.server.searching import counted, documents, found, state_of
from interlock.server.thread_requests import (
    Pruned,
    SuperstepRequest,
    ThreadCount,
    ThreadCreate,
    ThreadDocument,
    ThreadId,
    ThreadPatch,
    ThreadPrune,
    ThreadSearch,
    ThreadStorageDocument,
    UpdateRequest,
)
from interlock.server.wire import Wire
from interlock.threads import ThreadTaken

router = APIRouter(prefix="/threads", tags=["Threads"])

ONE = {200: {"model": ThreadDocument}, **problems(404)}
MADE = {200: {"model": ThreadDocument}, **problems(404, 409)}
PATCHED = {**ONE, 204: {"description": "It was changed, and nothing is to be said."}}


@router.post("", responses=MADE)
async def create(scope: Running, request: ThreadCreate) -> Wire:
    """Make a thread, with a state if one is given."""
    ttl = request.ttl.said if request.ttl else None
    try:
        made = await scope.il.acreate_thread(request.thread_id, metadata=request.metadata, ttl=ttl)
    except ThreadTaken as taken:
        return Wire(await _existing(scope, request, taken))
    if request.supersteps:
        return await _written(scope, made, request.supersteps)
    return Wire(await _document(scope, made))


@router.post("/search", responses={200: {"model": list[ThreadDocument]}})
async def search(scope: Reading, request: ThreadSearch) -> Wire:
    """Find threads; the header `X-Pagination-Next` is the next offset."""
    sort = (request.sort_by or "updated_at", request.sort_order or "desc")
    page = slice(request.offset, request.offset + request.limit + 1)
    threads = await found(scope.reader, _wanted(request), request.values, sort, page)
    headers = {"X-Pagination-Total": str(request.offset + len(threads))}
    if len(threads) > request.limit:
        headers["X-Pagination-Next"] = str(request.offset + request.limit)
    shown = threads[: request.limit]
    answer = await documents(scope.reader, shown, request.select, request.extract)
    return Wire(answer, headers=headers)


@router.post("/count", responses={200: {"model": int}})
async def count(scope: Reading, request: ThreadCount) -> Wire:
    """Count threads."""
    return Wire(await counted(scope.reader, _wanted(request), request.values))


@router.post("/prune", responses={200: {"model": Pruned}})
async def prune(scope: Running, request: ThreadPrune) -> Wire:
    """Delete threads, or fold each to what it is now; those that are not there, or cannot be pruned now, are left."""
    seen = await scope.reader.asearch_threads(
        Wanted(ids=request.thread_ids), limit=len(request.thread_ids)
    )
    done = await scope.il.aprune_threads([each.thread_id for each in seen], request.strategy)
    about = {"threads": [each.thread_id for each in seen], "strategy": request.strategy}
    await scope.house.audit.note(scope.caller, "thread.prune", "", {**about, "pruned": done})
    return Wire({"pruned_count": done})


@router.get("/{thread_id}", responses=ONE)
async def get(
    scope: Reading, thread_id: ThreadId, include: Annotated[str, Query(max_length=100)] = ""
) -> Wire:
    """Return a thread; `include=ttl` also says when it expires."""
    card = await scope.reader.athread(thread_id)
    return Wire(await _document(scope, card, ttl="ttl" in include.split(",")))


@router.patch("/{thread_id}", responses=PATCHED)
async def update(
    scope: Running,
    thread_id: ThreadId,
    request: ThreadPatch,
    prefer: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Merge into a thread's metadata, and say how long it is kept."""
    await scope.reader.athread(thread_id)
    ttl = request.ttl.said if request.ttl else None
    card = await scope.il.aupdate_thread(thread_id, metadata=request.metadata, ttl=ttl)
    scope.house.thread_metadata.forget(thread_id)
    await scope.house.audit.note(scope.caller, "thread.update", thread_id)
    if prefer == "return=minimal":
        return Response(status_code=204, headers={"Preference-Applied": prefer})
    return Wire(await _document(scope, card))


@router.delete("/{thread_id}", status_code=204, responses=problems(404, 409))
async def delete(scope: Running, thread_id: ThreadId) -> Response:
    """Cancel the runs of a thread, and delete it; what it did to the world stays in the ledger."""
    await scope.reader.athread(thread_id)
    await scope.il.adelete_thread(thread_id, by=scope.caller.identity)
    await scope.house.audit.note(scope.caller, "thread.delete", thread_id)
    return Response(status_code=204)


@router.post("/{thread_id}/copy", responses={**ONE, **problems(409)})
async def copy(scope: Running, thread_id: ThreadId) -> Wire:
    """Make a thread that goes on where this one stands."""
    await scope.reader.athread(thread_id)
    made = await scope.il.acopy_thread(thread_id)
    await scope.house.audit.note(scope.caller, "thread.copy", thread_id, {"copy": made.thread_id})
    return Wire(await _document(scope, made))


@router.get("/{thread_id}/storage", responses=problems(404))
async def storage(scope: Reading, thread_id: ThreadId) -> ThreadStorageDocument:
    """Return what a thread's checkpoints, values and writes take in the database."""
    await scope.reader.athread(thread_id)
    return ThreadStorageDocument.of(thread_id, await storage_of(scope.reader.pool, thread_id))


async def _document(scope: Scope, card: ThreadCard, *, ttl: bool = False) -> dict[str, Any]:
    # Not through the reader: whoever gets here has seen the thread, and a tenant's own connections are few.
    return thread_document(card, await state_of(scope.reader, card), ttl=ttl)


async def _existing(scope: Scope, request: ThreadCreate, taken: ThreadTaken) -> dict[str, Any]:
    """Return the thread that there is; that of another tenant is not told from one that may not be made."""
    if request.if_exists == "do_nothing" and request.thread_id:
        try:
            return await _document(scope, await scope.reader.athread(request.thread_id))
        except NotFound:
            pass
    raise HTTPException(409, str(taken))


async def _written(scope: Scope, made: ThreadCard, supersteps: list[SuperstepRequest]) -> Wire:
    """Write the state of a thread that was just made; where that is refused there is no thread."""
    try:
        steps = [[_update(each) for each in step.updates] for step in supersteps]
        await scope.il.aupdate_states(made.thread_id, steps)
    except InterlockError:
        await scope.il.adelete_thread(made.thread_id, by=scope.caller.identity)
        raise
    return Wire(await _document(scope, await scope.il.athread(made.thread_id)))


def _update(request: UpdateRequest) -> StateUpdate:
    values: Any = request.values if request.command is None else _command(request.command)
    return StateUpdate(values, request.as_node)


def _command(said: dict[str, Any]) -> Command[Any]:
    """Return LangGraph's command of its JSON form; raises `UsageError`."""
    goto = said.get("goto")
    try:
        return Command(
            update=said.get("update"),
            resume=said.get("resume"),
            goto=[_send(each) for each in (goto if isinstance(goto, list) else [goto]) if each],
        )
    except (TypeError, KeyError) as error:
        raise UsageError(f"This is no command: {error}.") from error


def _send(target: Any) -> str | Send:  # JSON
    return Send(target["node"], target.get("input")) if isinstance(target, dict) else str(target)


def _wanted(request: ThreadCount) -> Wanted:
    ids = request.ids if isinstance(request, ThreadSearch) else None
    return Wanted(ids=ids, metadata=request.metadata or {}, status=request.status)
