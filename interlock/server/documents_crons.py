"""Crons as JSON, as LangGraph's client asks for them and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from interlock.core.cards import OnCompletion
from interlock.core.cron import Cron
from interlock.core.driving import Durability
from interlock.core.queueing import MultitaskStrategy
from interlock.crons import CLIENT
from interlock.server.requests import AssistantName, Config, Json, Nodes, StreamMode

SortBy = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "next_run_date",
    "end_time",
    "created_at",
    "updated_at",
]
CronField = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "on_run_completed",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "user_id",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
    "now",
]

MOST = 1000


class CronPatch(BaseModel):
    """What of a cron changes; the time of its end is cleared by null."""

    model_config = ConfigDict(extra="ignore")

    schedule: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    end_time: AwareDatetime | None = None
    input: Json | None = None
    metadata: Json | None = None
    config: Config | None = None
    context: Json | None = None
    webhook: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    on_run_completed: OnCompletion | None = None
    multitask_strategy: MultitaskStrategy | None = None
    enabled: bool | None = None
    stream_mode: StreamMode | list[StreamMode] | None = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    durability: Durability | None = None


class CronCreate(CronPatch):
    """A cron that a client asks for."""

    assistant_id: AssistantName
    schedule: Annotated[str, Field(min_length=1, max_length=200)]


class CronCount(BaseModel):
    """Which crons are counted."""

    assistant_id: str | None = None
    thread_id: str | None = None
    metadata: Json | None = None


class CronSearch(CronCount):
    """Which crons are looked for, and which part of them is wanted."""

    enabled: bool | None = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = 10
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0
    sort_by: SortBy = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[CronField] | None = None


class CronDocument(BaseModel):
    """A cron; a part of it where only that was asked for."""

    cron_id: str | None = None
    assistant_id: str | None = None
    thread_id: str | None = None
    on_run_completed: OnCompletion | None = None
    end_time: datetime | None = None
    schedule: str | None = None
    timezone: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    user_id: str | None = None
    payload: Json | None = None
    next_run_date: datetime | None = None
    metadata: Json | None = None
    enabled: bool | None = None
    now: datetime | None = None


def cron_document(
    cron: Cron, now: datetime, select: Sequence[str] | None = None
) -> dict[str, Any]:  # JSON
    """Return a cron as JSON; `select` names the fields that are wanted."""
    said = cron.context.get(CLIENT) or {}
    payload = {**said.get("payload", {}), "input": dict(cron.input)}
    document = {
        "cron_id": cron.name,
        "assistant_id": said.get("assistant_id"),
        "thread_id": cron.thread_id or None,
        "on_run_completed": None if cron.thread_id else payload.get("on_run_completed", "delete"),
        "end_time": cron.until,
        "schedule": cron.schedule,
        "timezone": payload.get("timezone"),
        "created_at": cron.created_at,
        "updated_at": cron.changed_at,
        "user_id": said.get("user_id", ""),
        "payload": payload,
        "next_run_date": cron.next_at,
        "metadata": said.get("metadata", {}),
        "enabled": cron.enabled,
    }
    if select is None:
        return document
    return {key: now if key == "now" else document[key] for key in select}
