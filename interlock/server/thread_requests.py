"""What clients say of threads and their states, and what they are shown of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Path, Query
from pydantic import BaseModel, Field

from interlock.postgres.thread_cards import SortBy, SortOrder, ThreadStatus, Ttl, TtlStrategy
from interlock.postgres.thread_storage import ThreadStorage
from interlock.threads import IfExists

Json = dict[str, Any]  # JSON

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Of a thread or a checkpoint: printable."""

ThreadId = Annotated[str, Path(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
CheckpointId = ThreadId

Fields = Annotated[list[str], Field(max_length=100)]
ThreadField = Literal[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "status",
    "config",
    "values",
    "error",
    "interrupts",
    "context",  # LangGraph's client may ask for it; there is none
]
Select = Annotated[list[str] | None, Query(max_length=100)]

MOST_MINUTES = 100 * 365 * 24 * 60


class TtlRequest(BaseModel):
    """How long a thread is kept."""

    ttl: Annotated[float, Field(gt=0, le=MOST_MINUTES)]
    strategy: TtlStrategy = "delete"

    @property
    def said(self) -> Ttl:
        """The same for the runtime."""
        return Ttl(minutes=self.ttl, strategy=self.strategy)


class UpdateRequest(BaseModel):
    """What a node wrote, or would have."""

    values: list[Any] | Json | None = None
    command: Json | None = None
    as_node: str | None = None


class SuperstepRequest(BaseModel):
    """What the nodes of one superstep wrote."""

    updates: Annotated[list[UpdateRequest], Field(min_length=1, max_length=1000)]


class ThreadCreate(BaseModel):
    """A new thread."""

    thread_id: Name | None = None
    metadata: Json | None = None
    if_exists: IfExists | None = None
    ttl: TtlRequest | None = None
    supersteps: Annotated[list[SuperstepRequest], Field(max_length=1000)] | None = None


class ThreadPatch(BaseModel):
    """What is to change of a thread; metadata is merged."""

    metadata: Json | None = None
    ttl: TtlRequest | None = None


class ThreadCount(BaseModel):
    """Which threads are counted."""

    metadata: Json | None = None
    values: Json | None = None
    status: ThreadStatus | None = None


class ThreadSearch(ThreadCount):
    """Which threads are wanted, in which order, and what of them."""

    ids: Annotated[list[Name], Field(max_length=1000)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 10
    offset: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    sort_by: SortBy | None = None
    sort_order: SortOrder | None = None
    select: Annotated[list[ThreadField], Field(max_length=100)] | None = None
    extract: Annotated[dict[str, str], Field(max_length=10)] | None = None


class ThreadPrune(BaseModel):
    """Which threads are deleted, or folded to what they are now."""

    thread_ids: Annotated[list[Name], Field(max_length=1000)]
    strategy: TtlStrategy = "delete"


class Pruned(BaseModel):
    """How many threads were pruned."""

    pruned_count: int


class CheckpointRequest(BaseModel):
    """Where a checkpoint stands."""

    checkpoint_ns: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] | None = None
    checkpoint_id: Name | None = None
    checkpoint_map: dict[str, Name] | None = None

    @property
    def place(self) -> Json:
        """The same for the runtime; whose thread it is says the path."""
        return self.model_dump(exclude_none=True)


class StateAtRequest(BaseModel):
    """Which state of a thread is wanted."""

    checkpoint: CheckpointRequest
    subgraphs: bool | None = None
    select: Fields | None = None


class StateUpdateRequest(BaseModel):
    """What is written to a thread's state."""

    values: list[Any] | Json | None = None
    as_node: str | None = None
    checkpoint: CheckpointRequest | None = None
    checkpoint_id: Name | None = None

    @property
    def place(self) -> Json | None:
        """The checkpoint that it goes on from; None for the latest."""
        named = self.checkpoint.place if self.checkpoint else {}
        if self.checkpoint_id:
            named.setdefault("checkpoint_id", self.checkpoint_id)
        return named or None


class HistoryRequest(BaseModel):
    """Which states of a thread are wanted."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 1
    before: CheckpointRequest | Name | None = None
    metadata: Json | None = None
    checkpoint: CheckpointRequest | None = None
    select: Fields | None = None


class ThreadDocument(BaseModel):
    """A thread; `select` leaves some of it out."""

    thread_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    state_updated_at: datetime | None = None
    metadata: Json | None = None
    status: ThreadStatus | None = None
    config: Json | None = None
    values: Any = None
    error: Json | None = None
    interrupts: dict[str, list[Json]] | None = None
    ttl: Json | None = None
    extracted: Json | None = None


class StateDocument(BaseModel):
    """A thread's state; `select` leaves some of it out."""

    values: Any = None
    next: list[str] | None = None
    tasks: list[Json] | None = None
    metadata: Json | None = None
    created_at: str | None = None
    checkpoint: Json | None = None
    parent_checkpoint: Json | None = None
    interrupts: list[Json] | None = None
    checkpoint_id: str | None = None
    parent_checkpoint_id: str | None = None


class WrittenDocument(BaseModel):
    """Where the checkpoint of a written state stands."""

    checkpoint: Json
    configurable: Json
    checkpoint_id: str | None


class Stored(BaseModel):
    """How many rows there are of something, and the bytes that they take."""

    count: int
    bytes: int


class StoredVersions(BaseModel):
    """How many versions of a channel's value there are, and the bytes that they take."""

    versions: int
    bytes: int


class StoredValues(Stored):
    """The values of a thread's channels, one row for each version."""

    by_channel: dict[str, StoredVersions]


class ThreadStorageDocument(BaseModel):
    """What a thread takes in the database; what it shares with other threads counts for each of them."""

    thread_id: str
    total_bytes: int
    checkpoints: Stored
    channel_values: StoredValues
    pending_writes: Stored

    @classmethod
    def of(cls, thread_id: str, found: ThreadStorage) -> Self:
        """Return it as LangGraph's protocol has it."""
        channels = {
            name: StoredVersions(versions=each.count, bytes=each.bytes)
            for name, each in found.channels.items()
        }
        values = StoredValues(**asdict(found.values), by_channel=channels)
        return cls(
            thread_id=thread_id,
            total_bytes=found.bytes,
            checkpoints=Stored(**asdict(found.checkpoints)),
            channel_values=values,
            pending_writes=Stored(**asdict(found.writes)),
        )
