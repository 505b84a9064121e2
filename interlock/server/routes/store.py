"""`/store`: what graphs remember across threads, by namespace and key."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Response
from langgraph.store.base import BaseStore, GetOp, Item, SearchItem
from pydantic import AfterValidator, BaseModel, Field

from interlock.errors import InterlockError
from interlock.postgres.items import MOST_MINUTES
from interlock.server.scope import Reading, Running, Scope
from interlock.server.wire import Wire

router = APIRouter(prefix="/store", tags=["Store"])

Json = dict[str, Any]


def _label(label: str) -> str:
    if not label or "." in label or "\0" in label:
        raise ValueError(f"{label!r} is no label: labels are not empty, and hold no periods")
    return label


Label = Annotated[str, Field(max_length=255), AfterValidator(_label)]
Namespace = Annotated[list[Label], Field(max_length=100)]
Key = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Offset = Annotated[int, Field(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Field(ge=1, le=1000)]


class ItemPut(BaseModel):
    """An item to be stored."""

    namespace: Namespace
    key: Key
    value: Json
    index: Literal[False] | list[str] | None = None
    ttl: Annotated[float, Field(gt=0, le=MOST_MINUTES)] | None = None


class ItemDelete(BaseModel):
    """An item to be forgotten."""

    namespace: Namespace = []
    key: Key


class ItemSearch(BaseModel):
    """Which items are wanted."""

    namespace_prefix: Namespace | None = None
    filter: dict[Key, Any] | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = None
    refresh_ttl: bool | None = None


class NamespaceSearch(BaseModel):
    """Which namespaces are wanted; `*` stands for any label."""

    prefix: Namespace | None = None
    suffix: Namespace | None = None
    max_depth: Annotated[int, Field(ge=1, le=100)] | None = None
    limit: Limit = 100
    offset: Offset = 0


class ItemDocument(BaseModel):
    """An item."""

    namespace: list[str]
    key: str
    value: Json
    created_at: datetime
    updated_at: datetime


class FoundDocument(ItemDocument):
    """An item that was found, and how near it is to what was searched for by meaning."""

    score: float | None = None


class ItemsDocument(BaseModel):
    """Items that were found."""

    items: list[FoundDocument]


class NamespacesDocument(BaseModel):
    """Namespaces that were found."""

    namespaces: list[list[str]]


@router.put("/items", status_code=204)
async def put(scope: Running, request: ItemPut) -> Response:
    """Store an item, or take the place of the one that there is."""
    namespace = _writable(request.namespace)
    items = scope.il.items()
    ttl = request.ttl if request.ttl is not None else (items.ttl_config or {}).get("default_ttl")
    await items.aput(namespace, request.key, request.value, index=request.index, ttl=ttl)
    await _note(scope, "store.put", namespace, request.key)
    return Response(status_code=204)


@router.delete("/items", status_code=204)
async def delete(scope: Running, request: ItemDelete) -> Response:
    """Forget an item; it need not be there."""
    namespace = _writable(request.namespace)
    await scope.il.items().adelete(namespace, request.key)
    await _note(scope, "store.delete", namespace, request.key)
    return Response(status_code=204)


@router.get("/items", responses={200: {"model": ItemDocument | None}})
async def get(
    scope: Reading,
    key: Annotated[str, Query(max_length=1000, pattern=r"^[^\x00]*$")],
    namespace: Annotated[list[str] | None, Query(max_length=100)] = None,
    refresh_ttl: bool | None = None,
) -> Wire:
    """Return an item, or null; the labels of its namespace are joined by periods."""
    labels = tuple(_asked(".".join(namespace or ())))
    found = await scope.reader.items().aget(labels, key, refresh_ttl=False)
    if found is not None and _refreshes(scope.il.items(), refresh_ttl):
        await scope.il.items().aget(labels, key, refresh_ttl=True)
    return Wire(None if found is None else _document(found))


@router.post("/items/search", responses={200: {"model": ItemsDocument}})
async def search(scope: Reading, request: ItemSearch) -> Wire:
    """Find items under a namespace, those that were changed last first."""
    prefix = tuple(request.namespace_prefix or ())
    found = await _searched(scope.reader.items(), prefix, request)
    if found and _refreshes(items := scope.il.items(), request.refresh_ttl):
        await items.abatch([GetOp(each.namespace, each.key, refresh_ttl=True) for each in found])
    return Wire({"items": [{**_document(each), "score": each.score} for each in found]})


@router.post("/namespaces", responses={200: {"model": NamespacesDocument}})
async def namespaces(scope: Reading, request: NamespaceSearch) -> Wire:
    """Return the namespaces that hold items."""
    found = await scope.reader.items().alist_namespaces(
        prefix=tuple(request.prefix) if request.prefix else None,
        suffix=tuple(request.suffix) if request.suffix else None,
        max_depth=request.max_depth,
        limit=request.limit,
        offset=request.offset,
    )
    return Wire({"namespaces": found})


async def _note(scope: Scope, act: str, namespace: tuple[str, ...], key: str) -> None:
    await scope.house.audit.note(scope.caller, act, key, {"namespace": list(namespace)})


async def _searched(
    items: BaseStore, prefix: tuple[str, ...], asked: ItemSearch
) -> list[SearchItem]:
    try:
        return await items.asearch(
            prefix,
            query=asked.query,
            filter=asked.filter,
            limit=asked.limit,
            offset=asked.offset,
            refresh_ttl=False,
        )
    except InterlockError:
        raise
    except (
        TypeError,
        ValueError,
    ) as error:  # an operator that there is not, a number that is no JSON
        raise HTTPException(400, str(error)) from error


def _writable(namespace: list[str]) -> tuple[str, ...]:
    """Return a namespace that items may be stored in; LangGraph keeps one root for itself."""
    if not namespace:
        raise HTTPException(400, "Namespace cannot be empty.")
    if namespace[0] == "langgraph":
        raise HTTPException(400, 'The root label of a namespace cannot be "langgraph".')
    return tuple(namespace)


def _asked(namespace: str) -> list[str]:
    try:
        return [_label(each) for each in namespace.split(".")]
    except ValueError as error:
        raise HTTPException(422, f"namespace: {error}.") from error


def _refreshes(items: BaseStore, asked: bool | None) -> bool:
    """Say whether what was read lives longer for it; the reader's own connection may not write that."""
    return (items.ttl_config or {}).get("refresh_on_read", True) if asked is None else asked


def _document(item: Item) -> Json:
    return {
        "namespace": list(item.namespace),
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }
