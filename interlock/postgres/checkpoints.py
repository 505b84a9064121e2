"""LangGraph's checkpointer on Postgres, with a strict serializer: no pickle, no classes but the schemas' own."""

from __future__ import annotations

from typing import Any

from langgraph._internal._serde import (
    build_serde_allowlist,
)  # not public by name; versions are pinned and a test holds it
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph.state import CompiledStateGraph

from interlock.postgres.pool import Pool


def saver_for(graph: CompiledStateGraph[Any, Any, Any, Any], pool: Pool) -> AsyncPostgresSaver:
    """Return a checkpointer that restores only types which the graph's schemas name."""
    return AsyncPostgresSaver(pool, serde=strict_serializer(graph))


def strict_serializer(
    graph: CompiledStateGraph[Any, Any, Any, Any] | None = None,
) -> JsonPlusSerializer:
    """Return LangGraph's serializer that restores plain data and the types of a graph's schemas, nothing else."""
    allowed = _schema_types(graph) if graph is not None else None
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=allowed)


def _schema_types(graph: CompiledStateGraph[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    builder = graph.builder
    schemas = [builder.state_schema, builder.input_schema, builder.output_schema]
    schemas += [spec.input_schema for spec in builder.nodes.values()]
    return build_serde_allowlist(schemas=schemas, channels=builder.channels)
