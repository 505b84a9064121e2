"""`/assistants`: graphs with a configuration, a context and a name."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from interlock.postgres.assistants import Assistant
from interlock.server.assisting import resolve
from interlock.server.scope import Reading
from interlock.server.wire import Wire

router = APIRouter(prefix="/assistants", tags=["Assistants"])


@router.get("/{assistant_id}")
async def get(scope: Reading, assistant_id: str) -> Wire:
    """Return an assistant, by its id or its graph's name."""
    return Wire(_document(await resolve(scope, assistant_id)))


def _document(assistant: Assistant) -> dict[str, Any]:  # JSON
    return {
        "assistant_id": assistant.assistant_id,
        "graph_id": assistant.graph,
        "config": assistant.config,
        "context": assistant.context,
        "metadata": assistant.metadata,
        "name": assistant.name,
        "description": assistant.description,
        "version": assistant.version,
        "created_at": assistant.created_at,
        "updated_at": assistant.updated_at,
    }
