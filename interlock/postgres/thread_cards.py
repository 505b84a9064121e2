"""Threads as clients of the server know them, as rows: metadata, status, times, and when they expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.lineage import Lineage
from interlock.postgres.plain import exact, jsonb
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("thread_cards")

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
TtlStrategy = Literal["delete", "keep_latest"]
SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]
SortOrder = Literal["asc", "desc"]

EXPIRED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ttl:
    """How long a thread is kept, in minutes from when this is said, and what becomes of it then."""

    minutes: float
    strategy: TtlStrategy = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadCard:
    """A thread as clients of the server know it.

    Attributes:
        graph: the graph that it belongs to, or that its metadata names; empty for none yet.
        state_updated_at: when a run of it ended last, or its state was written from outside.
        config: of its latest run.
        run: the run that it is at, and how that stands; empty for none.
        error: what that run failed with, and of which kind that was.
        ttl: None for a thread that is kept until somebody deletes it.
    """

    thread_id: str
    graph: str
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: Mapping[str, Any]  # JSON
    config: Mapping[str, Any]  # JSON
    status: ThreadStatus
    run: tuple[str, str] = ("", "")
    error: tuple[str, str] = ("", "")
    ttl: Ttl | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which threads are wanted; what is left out says nothing."""

    ids: Sequence[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON
    status: ThreadStatus | None = None

    def values(self) -> dict[str, Any]:  # SQL values
        """Return them as parameters: a graph is the thread's own, whoever made it."""
        metadata = dict(self.metadata)
        graph = metadata.pop("graph_id", None)
        return {
            "ids": None if self.ids is None else list(self.ids),
            "metadata": jsonb(metadata),
            "graph": None if graph is None else str(graph),
            "status": self.status,
        }


class ThreadCards:
    """Every statement about threads that clients of the server cause."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, thread_id: str, context: Mapping[str, Any]) -> bool:  # JSON
        """Make a thread without a graph; False where there is one of that name."""
        return bool(await self._fetch("open", thread_id=thread_id, context=jsonb(context)))

    async def write(
        self,
        thread_id: str,
        metadata: Mapping[str, Any],  # JSON
        *,
        config: Mapping[str, Any] | None = None,  # JSON
        ttl: Ttl | None = None,
    ) -> None:
        """Merge into a thread's metadata, and take the place of its config or its expiry where they are given.

        Raises:
            UsageError: the metadata has no JSON form.
        """
        await self._execute(
            "write",
            thread_id=thread_id,
            metadata=exact(dict(metadata), "The metadata"),
            config=None if config is None else jsonb(config),
            ttl=None if ttl is None else ttl.minutes,
            strategy=None if ttl is None else ttl.strategy,
        )

    async def touch(self, thread_id: str) -> None:
        """Note that something happened on a thread."""
        await self._execute("touch", thread_id=thread_id)

    async def note_state(self, thread_id: str, *, goes_on: bool) -> None:
        """Note that a thread's state was written from outside, and whether nodes are to run from there."""
        await self._execute("note_state", thread_id=thread_id, goes_on=goes_on)

    async def assign(self, thread_id: str, graph: str, context: Mapping[str, Any]) -> None:  # JSON
        """Give a thread that has no graph yet the one that its state is of."""
        await self._execute("assign", thread_id=thread_id, graph=graph, context=jsonb(context))

    async def cards(self, thread_ids: Sequence[str]) -> list[ThreadCard]:
        """Return those of some threads that there are, in their order."""
        rows = await self._fetch("cards", ids=list(thread_ids))
        found = {row["thread_id"]: _card(row) for row in rows}
        return [found[each] for each in thread_ids if each in found]

    async def search(
        self,
        wanted: Wanted,
        *,
        sort: tuple[SortBy, SortOrder] = ("updated_at", "desc"),
        limit: int = 10,
        offset: int = 0,
    ) -> list[ThreadCard]:
        """Return a page of the threads that fit."""
        page = {"sort": " ".join(sort), "limit": limit, "offset": offset}
        rows = await self._planned("page", **wanted.values(), **page)
        return await self.cards([row["thread_id"] for row in rows])

    async def count(self, wanted: Wanted) -> int:
        """Return how many threads fit."""
        return int((await self._planned("count", **wanted.values()))[0]["count"])

    async def at_work(self, thread_id: str) -> list[str]:
        """Return the runs of a thread that run, or that workers are to take on."""
        return [row["run_id"] for row in await self._fetch("at_work", thread_id=thread_id)]

    async def unended(self, thread_id: str) -> list[tuple[str, str]]:
        """Return the runs of a thread that have not ended, the newest first, and how they stand."""
        rows = await self._fetch("unended", thread_id=thread_id)
        return [(row["run_id"], row["status"]) for row in rows]

    async def in_doubt(self, thread_id: str) -> str:
        """Return the key of an act of a thread of which is not known whether it happened; empty for none."""
        rows = await self._fetch("in_doubt", thread_id=thread_id)
        return str(rows[0]["key"]) if rows else ""

    async def forget(self, thread_id: str) -> None:
        """Delete a thread's rows; what it did to the world stays in the ledger."""
        await self._execute("forget", threads=[thread_id])

    async def expired(self) -> list[tuple[str, TtlStrategy]]:
        """Return some threads whose time is over and that have come to rest, and what is to become of them."""
        rows = await self._fetch("expired", limit=EXPIRED_AT_ONCE)
        return [(row["thread_id"], row["strategy"]) for row in rows]

    async def untouched(self, graphs: Sequence[str], minutes: float, limit: int) -> list[str]:
        """Return some threads of clients without a time of their own on which nothing happened for some minutes."""
        rows = await self._fetch("untouched", graphs=list(graphs), minutes=minutes, limit=limit)
        return [row["thread_id"] for row in rows]

    async def renew(self, thread_id: str) -> None:
        """Let a thread's time begin anew."""
        await self._execute("renew", thread_id=thread_id)

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)

    async def _planned(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        """Run a statement that is planned for the very values: which of its conditions say something differs."""
        async with connected(self._pool) as connection:
            written = ours(connection, SQL[statement])
            return await (await connection.execute(written, values, prepare=False)).fetchall()

    async def _execute(self, statement: str, **values: Any) -> None:  # SQL values
        async with connected(self._pool) as connection:
            await execute(connection, SQL[statement], values)


async def copy(
    connection: Connection,
    thread_id: str,
    to_thread_id: str,
    *,
    head: str,
    lineage: Lineage,
    goes_on: bool,
) -> None:
    """Make a thread that goes on where another one stands, in the caller's transaction; its checkpoints are not copied.

    Args:
        connection: in a transaction.
        thread_id: the original.
        to_thread_id: the copy.
        head: the checkpoint that it stands at; empty for none.
        lineage: whose recorded work the copy may use.
        goes_on: nodes are to run from there.
    """
    names = {"thread_id": thread_id, "to_thread_id": to_thread_id}
    stands = {"checkpoint_id": head or None, "lineage": Jsonb(lineage.to_json() if head else {})}
    await execute(connection, SQL["open_copy"], names | stands)
    state = {"goes_on": goes_on, "has_state": bool(head)}
    await execute(connection, SQL["copy_card"], names | state)


def _card(row: DictRow) -> ThreadCard:
    minutes = row.pop("ttl_minutes")
    strategy = cast("TtlStrategy", row.pop("ttl_strategy"))
    error = (row.pop("error") or "", row.pop("error_kind") or "")
    ttl = None if minutes is None else Ttl(minutes=minutes, strategy=strategy)
    run = (row.pop("run_id") or "", row.pop("run_status") or "")
    return ThreadCard(**row, run=run, error=error, ttl=ttl)
