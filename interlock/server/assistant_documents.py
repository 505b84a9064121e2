"""Assistants as JSON: what a client sends, and what it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from interlock.postgres.assistants import Assistant, SortBy

Json = dict[str, Any]  # JSON

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]

Number = Annotated[int, Field(ge=0, le=2**31 - 1)]


class AssistantConfig(BaseModel, extra="allow"):
    """What LangGraph is told of each run of an assistant."""

    tags: list[str] | None = None
    recursion_limit: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    configurable: Json | None = None


class AssistantPatch(BaseModel):
    """What is to change of an assistant; metadata is merged."""

    graph_id: str | None = None
    config: AssistantConfig | None = None
    context: Json | None = None
    metadata: Json | None = None
    name: str | None = None
    description: str | None = None


class AssistantCreate(AssistantPatch):
    """A new assistant."""

    graph_id: str
    assistant_id: UUID | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None


class AssistantCount(BaseModel):
    """Which assistants are counted."""

    metadata: Json | None = None
    graph_id: str | None = None
    name: str | None = None


class AssistantSearch(AssistantCount):
    """Which assistants are wanted, and what of them."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 10
    offset: Number = 0
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[AssistantField] | None = None


class VersionsSearch(BaseModel):
    """Which versions are wanted."""

    metadata: Json | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 10
    offset: Number = 0


class VersionChoice(BaseModel):
    """The version that an assistant is to be."""

    version: Number


class VersionDocument(BaseModel):
    """What an assistant was."""

    assistant_id: UUID
    graph_id: str
    config: Json
    context: Json
    metadata: Json
    name: str
    description: str | None
    version: int
    created_at: datetime


class AssistantDocument(VersionDocument):
    """An assistant."""

    updated_at: datetime


class GraphPicture(BaseModel):
    """A graph's nodes and edges."""

    nodes: list[Json]
    edges: list[Json]


class Schemas(BaseModel):
    """The JSON schemas of a graph; null where there is none."""

    input_schema: Json | None
    output_schema: Json | None
    state_schema: Json | None
    config_schema: Json | None
    context_schema: Json | None


class GraphSchemas(Schemas):
    """The JSON schemas of an assistant's graph."""

    graph_id: str


def assistant_document(assistant: Assistant, select: Sequence[str] | None = None) -> Json:
    """Return an assistant as JSON, or some fields of it."""
    whole: Mapping[str, Any] = {  # JSON
        "assistant_id": assistant.assistant_id,
        "graph_id": assistant.graph,
        "config": assistant.config,
        "context": assistant.context,
        "metadata": assistant.metadata,
        "name": assistant.name,
        "created_at": assistant.created_at,
        "updated_at": assistant.updated_at,
        "version": assistant.version,
        "description": assistant.description,
    }
    return {name: whole[name] for name in select or whole}


def version_document(assistant: Assistant) -> Json:
    """Return a version of an assistant as JSON."""
    return assistant_document(assistant, tuple(VersionDocument.model_fields))
