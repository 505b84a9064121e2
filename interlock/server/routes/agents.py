"""Agent Protocol's own paths: agents are assistants, and runs are found by their ids alone."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from interlock.postgres.assistants import AssistantStore, Filter, Page
from interlock.postgres.run_cards import RunCards, Wanted
from interlock.server import waiting
from interlock.server.assisting import id_of, resolve
from interlock.server.documents_agents import (
    AgentDocument,
    AgentOutcome,
    AgentRun,
    AgentSchemas,
    AgentSearch,
    RunSearch,
    agent_document,
    agent_run,
)
from interlock.server.graph_documents import schemas
from interlock.server.openapi import problems
from interlock.server.routes.runs import STOPPED, Action, Waits, kind_of, remove, shown, stopped
from interlock.server.scope import Reading, Running
from interlock.server.wire import Wire

router = APIRouter(tags=["Agent Protocol"], responses=problems(404))

ONE: dict[int | str, Any] = {200: {"model": AgentRun}}


@router.post("/agents/search", responses={200: {"model": list[AgentDocument]}})
async def search_agents(scope: Reading, request: AgentSearch) -> Wire:
    """Find agents."""
    wanted = Filter(
        graphs=tuple(scope.il.application.targets),
        name=request.name,
        metadata=request.metadata or {},
    )
    page = Page(limit=request.limit, offset=request.offset)
    found = await AssistantStore(scope.reader.pool).search(wanted, page)
    graphs = [await asyncio.to_thread(scope.il.graph, each.graph) for each in found]
    return Wire([agent_document(*each) for each in zip(found, graphs, strict=True)])


@router.get("/agents/{agent_id}", responses={200: {"model": AgentDocument}})
async def get_agent(scope: Reading, agent_id: str) -> Wire:
    """Return an agent."""
    found = await resolve(scope, agent_id)
    return Wire(agent_document(found, await asyncio.to_thread(scope.il.graph, found.graph)))


@router.get("/agents/{agent_id}/schemas", responses={200: {"model": AgentSchemas}})
async def get_schemas(scope: Reading, agent_id: str) -> Wire:
    """Return what goes in and comes out of an agent."""
    found = await resolve(scope, agent_id)
    graph = await asyncio.to_thread(scope.il.graph, found.graph)
    described = await asyncio.to_thread(schemas, graph, found.graph)
    return Wire({"agent_id": str(found.assistant_id), **described})


@router.post("/runs/search", responses={200: {"model": list[AgentRun]}})
async def search_runs(scope: Reading, request: RunSearch) -> Wire:
    """Find runs of all threads."""
    agent = None if request.agent_id is None else str(id_of(scope, request.agent_id))
    wanted = Wanted(
        thread_id=request.thread_id,
        status=request.status,
        assistant_id=agent,
        metadata=request.metadata or {},
        limit=request.limit,
        offset=request.offset,
    )
    found = await RunCards(scope.reader.pool).search(wanted)
    return Wire([agent_run(each, scope.il.settings) for each in found])


@router.get("/runs/{run_id}", responses=ONE)
async def get_run(scope: Reading, run_id: str) -> Wire:
    """Return a run."""
    return Wire(agent_run(await RunCards(scope.reader.pool).run(run_id), scope.il.settings))


@router.delete("/runs/{run_id}", status_code=204)
async def delete_run(scope: Running, run_id: str) -> Response:
    """Forget a run; one that is at work is stopped before. What it did stays."""
    await remove(scope, await RunCards(scope.reader.pool).run(run_id))
    return Response(status_code=204)


@router.get("/runs/{run_id}/wait", responses={200: {"model": AgentOutcome}})
async def wait_for_run(scope: Reading, run_id: str) -> Response:
    """Wait for a run, and answer with what came of it."""
    run = await RunCards(scope.reader.pool).run(run_id)
    return waiting.waited(scope, run.thread_id, run_id, show=shown(scope, run_id))


@router.post("/runs/{run_id}/cancel", responses=STOPPED)
async def cancel_run(
    scope: Running, run_id: str, wait: Waits = False, action: Action = "interrupt"
) -> Response:
    """Stop a run; a rollback also undoes what it did to its thread."""
    run = await RunCards(scope.reader.pool).run(run_id)
    return await stopped(scope, run, kind_of(action), wait=wait)
