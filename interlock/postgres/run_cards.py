"""Runs as clients of the server know them, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.rows import DictRow

from interlock.core.queueing import MultitaskStrategy
from interlock.errors import NotFound
from interlock.postgres.assistants import default_id
from interlock.postgres.plain import jsonb
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("run_cards")

ClientStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRun:
    """A run as its client sees it.

    Attributes:
        packed: the serializer's type and bytes of the input.
        answers: interrupt id -> answer, of a run that goes on with answers.
        updated_at: when it began or ended.
        error: what it failed with, and of which kind that was; empty unless it has failed.
        kwargs: how it was asked for, without the input.
    """

    run_id: str
    thread_id: str
    graph: str
    assistant_id: str
    status: ClientStatus
    created_at: datetime
    updated_at: datetime
    multitask_strategy: MultitaskStrategy
    packed: tuple[str, bytes] = ("null", b"")
    answers: Mapping[str, Any] | None = None  # JSON
    error: tuple[str, str] = ("", "")
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # JSON

    def input(self, serde: SerializerProtocol) -> Any:  # the graph's input schema
        """Return the input, restored."""
        return serde.loads_typed(self.packed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands, or what goes on with it since it slept.

    Attributes:
        sleeps: it goes on of its own accord later.
        checkpoint_id: the last checkpoint that it made; None while it is at work, and when there is none.
    """

    run_id: str
    thread_id: str
    graph: str
    status: str
    error: str
    error_kind: str
    sleeps: bool
    checkpoint_id: str | None

    @property
    def has_ended(self) -> bool:
        """Whether its client has nothing to wait for any more; a run that asked people has not."""
        return self.status not in ("queued", "running") and not self.sleeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs are looked for; what is left out says nothing."""

    thread_id: str | None = None
    status: str | None = None
    assistant_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON
    limit: int = 10
    offset: int = 0

    def values(self) -> dict[str, Any]:  # SQL values
        """Return them as parameters."""
        return {
            "thread_id": self.thread_id,
            "status": self.status,
            "assistant_id": self.assistant_id,
            "metadata": jsonb(self.metadata),
            "limit": self.limit,
            "offset": self.offset,
        }


class RunCards:
    """Every statement about runs as clients of the server know them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, run_id: str, thread_id: str | None = None) -> ClientRun:
        """Return a run; raises `NotFound`, also for one that was rolled back, or is of another thread."""
        rows = await self._fetch("run", run_id=run_id, thread_id=thread_id)
        if not rows:
            raise NotFound(f"There is no run {run_id!r}.")
        return _run(rows[0])

    async def runs(self, wanted: Wanted) -> list[ClientRun]:
        """Return runs of a thread, newest first."""
        return [_run(row) for row in await self._fetch("runs", **wanted.values())]

    async def search(self, wanted: Wanted) -> list[ClientRun]:
        """Return runs of all threads that clients asked for, newest first."""
        return [_run(row) for row in await self._fetch("search", **wanted.values())]

    async def stands(self, run_id: str) -> Standing:
        """Return how a run stands; raises `NotFound`."""
        rows = await self._fetch("standing", run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id!r}.")
        return Standing(**rows[0])

    async def unended(
        self, *, thread_id: str | None = None, run_ids: Sequence[str] | None = None
    ) -> list[tuple[str, ClientStatus]]:
        """Return runs that can be stopped, and how they stand."""
        ids = None if run_ids is None else list(run_ids)
        rows = await self._fetch("to_stop", thread_id=thread_id, run_ids=ids)
        return [(row["run_id"], row["status"]) for row in rows]

    async def remove(self, run_id: str) -> bool:
        """Forget a run that has ended; False where there is none, or it is at work."""
        return bool(await self._fetch("remove", run_id=run_id))

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


def _run(row: DictRow) -> ClientRun:
    failed = row["status"] == "error"
    return ClientRun(
        run_id=row["run_id"],
        thread_id=row["thread_id"],
        graph=row["graph"],
        assistant_id=row["assistant_id"] or str(default_id(row["graph"])),
        status=row["status"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        multitask_strategy=row["multitask_strategy"],
        packed=(row["input_type"] or "null", row["input"] or b""),
        answers=row["answers"],
        error=(row["error"], row["error_kind"]) if failed else ("", ""),
        metadata=row["metadata"] or {},
        kwargs=row["kwargs"] or {},
    )
