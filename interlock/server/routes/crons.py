"""`/runs/crons`: runs that are submitted again and again, on one thread or each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Response

from interlock.core.cron import Cron
from interlock.crons import CLIENT, OWN
from interlock.errors import NotFound
from interlock.postgres.crons import CronStore, Wanted
from interlock.server.assisting import id_of, resolve
from interlock.server.documents_crons import (
    CronCount,
    CronCreate,
    CronDocument,
    CronPatch,
    CronSearch,
    cron_document,
)
from interlock.server.openapi import problems
from interlock.server.orders import card, own_keys
from interlock.server.requests import RunCreate, prepare
from interlock.server.routes.runs import DEFAULT_MODES
from interlock.server.scope import Reading, Running, Scope
from interlock.server.wire import Wire

router = APIRouter(tags=["Crons"], responses=problems(404))

ONE: dict[int | str, Any] = {200: {"model": CronDocument}}

TIMING = {"schedule", "timezone", "end_time", "enabled", "on_run_completed", "input"}
"""What of a cron is not of its runs, or stands with it elsewhere."""


@router.post("/threads/{thread_id}/runs/crons", responses=ONE)
async def create_for_thread(scope: Running, thread_id: str, request: CronCreate) -> Wire:
    """Make a cron whose runs are all on one thread; it fires at the first of its times."""
    return await _made(scope, thread_id, request)


@router.post("/runs/crons", responses=ONE)
async def create(scope: Running, request: CronCreate) -> Wire:
    """Make a cron each of whose runs has a thread of its own; it fires at the first of its times."""
    return await _made(scope, "", request)


@router.post("/runs/crons/search", responses={200: {"model": list[CronDocument]}})
async def search(scope: Reading, request: CronSearch) -> Wire:
    """Find crons; the header `X-Pagination-Total` says how many there are."""
    wanted = Wanted(
        **_filter(scope, request),
        enabled=request.enabled,
        sort=f"{request.sort_by} {request.sort_order}",
        limit=request.limit,
        offset=request.offset,
    )
    found, total = await _store(scope).search(wanted)
    now = await _store(scope).now()
    headers = {"X-Pagination-Total": str(total)}
    if (after := request.offset + request.limit) < total:
        headers["X-Pagination-Next"] = str(after)
    return Wire([cron_document(each, now, request.select) for each in found], headers=headers)


@router.post("/runs/crons/count", responses={200: {"model": int}})
async def count(scope: Reading, request: CronCount) -> Wire:
    """Count crons."""
    _, total = await _store(scope).search(Wanted(**_filter(scope, request), limit=0))
    return Wire(total)


@router.get("/runs/crons/{cron_id}", responses=ONE)
async def get(scope: Reading, cron_id: str) -> Wire:
    """Return a cron."""
    return await _document(scope, await _cron(scope, cron_id))


@router.patch("/runs/crons/{cron_id}", responses=ONE)
async def update(scope: Running, cron_id: str, request: CronPatch) -> Wire:
    """Change a cron; what is not named stays."""
    cron = await _cron(scope, cron_id)
    changes = request.model_dump(mode="json", exclude_unset=True)
    if not changes:
        raise HTTPException(400, "The request changes nothing.")
    said = cron.context[CLIENT]
    metadata = {**said["metadata"], **(changes.get("metadata") or {})}
    payload = {"input": dict(cron.input), **said["payload"], **changes}
    changed = await _set(scope, cron.name, cron.thread_id, payload, metadata)
    await scope.house.audit.note(scope.caller, "cron.update", cron_id, {"changed": sorted(changes)})
    return await _document(scope, changed)


@router.delete("/runs/crons/{cron_id}", status_code=204)
async def delete(scope: Running, cron_id: str) -> Response:
    """Forget a cron; the runs that it submitted stay."""
    await scope.il.acron_remove((await _cron(scope, cron_id)).name)
    await scope.house.audit.note(scope.caller, "cron.delete", cron_id)
    return Response(status_code=204)


async def _made(scope: Scope, thread_id: str, request: CronCreate) -> Wire:
    payload = request.model_dump(mode="json", exclude_unset=True)
    payload["assistant_id"] = str(id_of(scope, request.assistant_id))
    metadata = request.metadata or {}
    made = await _set(scope, str(uuid4()), thread_id, payload, metadata)
    about = {"schedule": request.schedule, "thread": thread_id}
    await scope.house.audit.note(scope.caller, "cron.create", made.name, about)
    return await _document(scope, made)


async def _set(
    scope: Scope,
    cron_id: str,
    thread_id: str,
    payload: Mapping[str, Any],  # JSON
    metadata: Mapping[str, Any],  # JSON
) -> Cron:
    """Make a cron of what its client said, or change it to that."""
    request = RunCreate.model_validate(_of_runs(payload, cron_id))
    order = await prepare(scope, thread_id or None, request, stream_modes=DEFAULT_MODES)
    assistant = await resolve(scope, request.assistant_id)
    until = payload.get("end_time")
    return await scope.il.acron_set(
        cron_id,
        order.graph,
        payload.get("input") or {},
        payload["schedule"],
        zone=payload.get("timezone") or "UTC",
        thread_id=thread_id,
        model=order.model,
        context=order.context,
        options=replace(order.options, card=card(request, assistant)),
        enabled=payload.get("enabled") is not False,
        driving=replace(order.driving, inherited={}),  # its runs have what their thread says then
        until=None if until is None else datetime.fromisoformat(until),
        client={
            "assistant_id": str(assistant.assistant_id),
            "payload": {key: payload[key] for key in payload if key != "input"},
            "metadata": dict(metadata),
            "user_id": scope.caller.identity,
            OWN: sorted(own_keys(request, assistant)),
        },
    )


def _of_runs(payload: Mapping[str, Any], cron_id: str) -> dict[str, Any]:  # JSON
    """Return the request that each run of a cron is."""
    request = {
        key: payload[key] for key in payload if key not in TIMING and payload[key] is not None
    }
    config = dict(request.get("config") or {})
    config["configurable"] = {**(config.get("configurable") or {}), "cron_id": cron_id}
    kept = {"on_completion": payload.get("on_run_completed") or "delete"}
    return {**request, **kept, "config": config, "input": payload.get("input") or {}}


async def _cron(scope: Scope, cron_id: str) -> Cron:
    found, _ = await _store(scope).search(Wanted(name=cron_id, limit=1))
    if not found:
        raise NotFound(f"There is no cron {cron_id!r}.")
    return found[0]


async def _document(scope: Scope, cron: Cron) -> Wire:
    return Wire(cron_document(cron, await _store(scope).now()))


def _filter(scope: Scope, request: CronCount) -> dict[str, Any]:  # of Wanted
    named = request.assistant_id
    return {
        "assistant_id": None if named is None else str(id_of(scope, named)),
        "thread_id": request.thread_id,
        "metadata": request.metadata or {},
    }


def _store(scope: Scope) -> CronStore:
    return scope.reader.cron_store
