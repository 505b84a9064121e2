"""Agents and their runs as JSON, as Agent Protocol has them (https://github.com/langchain-ai/agent-protocol)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import BaseModel, Field

from interlock.application import Graph
from interlock.postgres.assistants import Assistant
from interlock.postgres.run_cards import ClientRun, ClientStatus
from interlock.server.documents_runs import RunDocument, run_document
from interlock.server.serializing import serializer_of
from interlock.settings import Settings

Json = dict[str, Any]

MESSAGES = "messages"


class AgentSearch(BaseModel):
    """Which agents are looked for."""

    name: str | None = None
    metadata: Json | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 10
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0


class AgentDocument(BaseModel):
    """An agent: an assistant by another name."""

    agent_id: str
    name: str
    description: str | None = None
    metadata: Json
    capabilities: dict[str, bool]


class AgentSchemas(BaseModel):
    """What goes in and comes out of an agent, as JSON Schema."""

    agent_id: str
    input_schema: Json | None = None
    output_schema: Json | None = None
    state_schema: Json | None = None
    config_schema: Json | None = None


class RunSearch(BaseModel):
    """Which runs are looked for."""

    thread_id: str | None = None
    agent_id: str | None = None
    status: ClientStatus | None = None
    metadata: Json | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 10
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0


class AgentRun(RunDocument):
    """A run of an agent."""

    agent_id: str | None = None


class AgentOutcome(BaseModel):
    """What came of a run of an agent."""

    run: AgentRun
    values: Json | None = None
    messages: list[Json] | None = None


def agent_document(assistant: Assistant, graph: Graph) -> Json:
    """Return an assistant as an agent."""
    return {
        "agent_id": str(assistant.assistant_id),
        "name": assistant.name,
        "description": assistant.description,
        "metadata": dict(assistant.metadata),
        "capabilities": {"ap.io.messages": MESSAGES in graph.channels, "ap.io.streaming": True},
    }


def agent_run(run: ClientRun, settings: Settings) -> Json:
    """Return a run as one of an agent."""
    document = run_document(run, serializer_of(settings))
    return {**document, "agent_id": run.assistant_id}


def agent_outcome(run: ClientRun, output: Any, settings: Settings) -> Json:
    """Return what came of a run, as somebody is told who waited for it; `output` is what the runtime tells."""
    values = dict(output) if isinstance(output, Mapping) else {"output": output}
    said = values.get(MESSAGES)
    messages = _messages(said) if isinstance(said, Sequence) else None
    return {"run": agent_run(run, settings), "values": values, "messages": messages}


def _messages(said: Sequence[Any]) -> list[Json] | None:
    """Return messages as role and content; None for what are none."""
    if not all(isinstance(each, BaseMessage) for each in said):
        return None
    found = convert_to_openai_messages(list(said), include_id=True)
    return [dict(each) for each in found]
