"""`/assistants`: graphs with a configuration, a context and a name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import Field

from interlock.application import Graph
from interlock.errors import Forbidden
from interlock.postgres.assistants import Assistant, AssistantStore, Filter, Page
from interlock.postgres.thread_cards import Wanted
from interlock.server.assistant_documents import (
    AssistantConfig,
    AssistantCount,
    AssistantCreate,
    AssistantDocument,
    AssistantPatch,
    AssistantSearch,
    GraphPicture,
    GraphSchemas,
    Json,
    Schemas,
    VersionChoice,
    VersionDocument,
    VersionsSearch,
    assistant_document,
    version_document,
)
from interlock.server.assisting import check_graph, resolve
from interlock.server.graph_documents import picture, schemas, subgraphs
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Running, Scope
from interlock.server.wire import Wire

router = APIRouter(prefix="/assistants", tags=["Assistants"], responses=problems(404))

Xray = Annotated[Annotated[int, Field(ge=1, le=100)] | bool, Query(union_mode="left_to_right")]
"""How deep a graph is drawn."""

PAGE = 100
"""How many threads are looked up at once to be deleted."""


@router.post("", responses={200: {"model": AssistantDocument}, **problems(409)})
async def create(scope: Running, request: AssistantCreate) -> Wire:
    """Make an assistant."""
    check_graph(scope, request.graph_id)
    new = Assistant(
        assistant_id=request.assistant_id or uuid4(),
        graph=request.graph_id,
        tenant=scope.il.settings.tenant,
    )
    made = await AssistantStore(scope.il.pool).add(_changed(new, request))
    if made is None:
        return Wire(assistant_document(await _existing(scope, request, new)))
    await scope.house.audit.note(scope.caller, "assistant.create", str(made.assistant_id))
    return Wire(assistant_document(made))


@router.post("/search", responses={200: {"model": list[AssistantDocument]}})
async def search(scope: Reading, request: AssistantSearch) -> Wire:
    """Find assistants; the header `X-Pagination-Next` is the next offset."""
    store, wanted = AssistantStore(scope.reader.pool), _filter(scope, request)
    page = Page(
        limit=request.limit,
        offset=request.offset,
        sort_by=request.sort_by or "created_at",
        ascending=request.sort_order == "asc",
    )
    found, total = await store.search(wanted, page), await store.count(wanted)
    headers = {"X-Pagination-Total": str(total)}
    if (after := page.offset + page.limit) < total:
        headers["X-Pagination-Next"] = str(after)
    return Wire([assistant_document(each, request.select) for each in found], headers=headers)


@router.post("/count", responses={200: {"model": int}})
async def count(scope: Reading, request: AssistantCount) -> Wire:
    """Count assistants."""
    return Wire(await AssistantStore(scope.reader.pool).count(_filter(scope, request)))


@router.get("/{assistant_id}", responses={200: {"model": AssistantDocument}})
async def get(scope: Reading, assistant_id: str) -> Wire:
    """Return an assistant, by its id or its graph's name."""
    return Wire(assistant_document(await resolve(scope, assistant_id)))


@router.patch("/{assistant_id}", responses={200: {"model": AssistantDocument}})
async def update(scope: Running, assistant_id: str, request: AssistantPatch) -> Wire:
    """Give an assistant its next version."""
    found = await _own(scope, assistant_id)
    if request.graph_id:
        check_graph(scope, request.graph_id)
    store = AssistantStore(scope.il.pool)
    changed = await store.change(found.assistant_id, lambda latest: _changed(latest, request))
    scope.house.assistants.forget(found.assistant_id)
    await _note(scope, "assistant.update", changed)
    return Wire(assistant_document(changed))


@router.delete("/{assistant_id}", status_code=204, responses=problems(409))
async def delete(scope: Running, assistant_id: str, delete_threads: bool = False) -> Response:
    """Forget an assistant with its versions, and with `delete_threads` the threads whose latest run was its."""
    found = await _own(scope, assistant_id)
    if delete_threads:
        await _delete_threads(scope, found)
    await AssistantStore(scope.il.pool).remove(found.assistant_id)
    scope.house.assistants.forget(found.assistant_id)
    await scope.house.audit.note(scope.caller, "assistant.delete", str(found.assistant_id))
    return Response(status_code=204)


@router.post("/{assistant_id}/versions", responses={200: {"model": list[VersionDocument]}})
async def versions(scope: Reading, assistant_id: str, request: VersionsSearch) -> Wire:
    """Return what an assistant was, the newest first."""
    found = await resolve(scope, assistant_id)
    page = Page(limit=request.limit, offset=request.offset)
    store = AssistantStore(scope.reader.pool)
    past = await store.versions(found.assistant_id, request.metadata or {}, page)
    return Wire([version_document(each) for each in past])


@router.post("/{assistant_id}/latest", responses={200: {"model": AssistantDocument}})
async def set_latest(scope: Running, assistant_id: str, request: VersionChoice) -> Wire:
    """Make an assistant what it was at a version."""
    found = await _own(scope, assistant_id)
    restored = await AssistantStore(scope.il.pool).restore(found.assistant_id, request.version)
    scope.house.assistants.forget(found.assistant_id)
    await _note(scope, "assistant.latest", restored)
    return Wire(assistant_document(restored))


@router.get("/{assistant_id}/graph", responses={200: {"model": GraphPicture}})
async def get_graph(scope: Reading, assistant_id: str, xray: Xray = False) -> Wire:
    """Return an assistant's graph as nodes and edges; `xray` shows what is inside subgraphs, and how deep."""
    _, graph = await _graph(scope, assistant_id)
    return Wire(await asyncio.to_thread(picture, graph, xray))


@router.get("/{assistant_id}/schemas", responses={200: {"model": GraphSchemas}})
async def get_schemas(scope: Reading, assistant_id: str) -> Wire:
    """Return the JSON schemas of an assistant's graph."""
    name, graph = await _graph(scope, assistant_id)
    return Wire({"graph_id": name, **await asyncio.to_thread(schemas, graph, name)})


@router.get("/{assistant_id}/subgraphs", responses={200: {"model": dict[str, Schemas]}})
async def get_subgraphs(scope: Reading, assistant_id: str, recurse: bool = False) -> Wire:
    """Return the JSON schemas of the subgraphs of an assistant's graph."""
    _, graph = await _graph(scope, assistant_id)
    return Wire(await asyncio.to_thread(subgraphs, graph, None, recurse=recurse))


@router.get("/{assistant_id}/subgraphs/{namespace}", responses={200: {"model": dict[str, Schemas]}})
async def get_subgraph(
    scope: Reading, assistant_id: str, namespace: str, recurse: bool = False
) -> Wire:
    """Return the JSON schemas of one subgraph of an assistant's graph."""
    _, graph = await _graph(scope, assistant_id)
    return Wire(await asyncio.to_thread(subgraphs, graph, namespace, recurse=recurse))


async def _note(scope: Scope, act: str, assistant: Assistant) -> None:
    about = {"version": assistant.version}
    await scope.house.audit.note(scope.caller, act, str(assistant.assistant_id), about)


async def _graph(scope: Scope, assistant_id: str) -> tuple[str, Graph]:
    """Return an assistant's graph; its module may still have to be imported, which takes its time."""
    name = (await resolve(scope, assistant_id)).graph
    return name, await asyncio.to_thread(scope.il.graph, name)


async def _own(scope: Scope, assistant_id: str) -> Assistant:
    """Return an assistant that the caller may change; raises `NotFound`, `Forbidden`."""
    found = await resolve(scope, assistant_id)
    if scope.caller.tenant is not None and found.tenant != scope.il.settings.tenant:
        raise Forbidden(
            f"The assistant {found.name!r} is everybody's.",
            hint="Make one of your own with POST /assistants.",
        )
    return found


async def _delete_threads(scope: Scope, assistant: Assistant) -> None:
    """Delete an assistant's threads, as far as the caller sees them; it goes last, so that it can be tried again."""
    wanted = Wanted(metadata={"assistant_id": str(assistant.assistant_id)})
    while cards := await scope.reader.asearch_threads(wanted, limit=PAGE):
        for card in cards:
            await scope.il.adelete_thread(card.thread_id, by=scope.caller.identity)


async def _existing(scope: Scope, request: AssistantCreate, new: Assistant) -> Assistant:
    if request.if_exists == "do_nothing":
        return await AssistantStore(scope.reader.pool).get(new.assistant_id)
    raise HTTPException(409, f"There is an assistant {new.assistant_id} already.")


def _changed(assistant: Assistant, request: AssistantPatch) -> Assistant:
    """Return an assistant as a request wants it; what is not said stays."""
    config, context = _settled(assistant, request.config, request.context)
    return replace(
        assistant,
        graph=request.graph_id or assistant.graph,
        config=config,
        context=context,
        metadata={**assistant.metadata, **(request.metadata or {})},
        name=request.name or assistant.name,
        description=assistant.description if request.description is None else request.description,
    )


def _settled(
    assistant: Assistant, config: AssistantConfig | None, context: Json | None
) -> tuple[Json, Json]:
    """Return a configuration and a context; `configurable` is the context's older name, and they say the same."""
    given = config.model_dump(exclude_none=True) if config else {}
    if given.get("configurable") and context:
        raise HTTPException(
            400, "Give `context` or `config.configurable`: they are two names of one thing."
        )
    settled = given or dict(assistant.config)
    if context is None:
        return settled, dict(given.get("configurable") or assistant.context)
    return (settled | {"configurable": context} if context else settled), context


def _filter(scope: Scope, request: AssistantCount) -> Filter:
    if request.graph_id:
        check_graph(scope, request.graph_id)
    return Filter(
        graphs=tuple(scope.il.application.targets),
        graph=request.graph_id or None,
        name=request.name or None,
        metadata=request.metadata or {},
    )
