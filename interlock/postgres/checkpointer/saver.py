"""A LangGraph checkpointer on Postgres that saves in groups, stores equal content once, and restores it once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.types import TASKS
from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from interlock.postgres.checkpointer import collecting
from interlock.postgres.checkpointer.arrays import ByteaArray, prepare
from interlock.postgres.checkpointer.core import Core, made_in_company, make_tables
from interlock.postgres.checkpointer.deltas import Deferring, resolved
from interlock.postgres.checkpointer.encoding import only_special, put_rows, write_rows
from interlock.postgres.checkpointer.ending import End
from interlock.postgres.checkpointer.export import export
from interlock.postgres.checkpointer.face import at_home, now_or_awaited
from interlock.postgres.checkpointer.opening import Opening
from interlock.postgres.checkpointer.reading import MissingContent, Reader, collector_at_rest
from interlock.postgres.checkpointer.request import Fill, Request
from interlock.postgres.checkpointer.sealing import Seal, secret
from interlock.postgres.checkpointer.stats import Stats
from interlock.postgres.checkpointer.tuples import (
    checkpoint_tuple,
    needs_sends,
    opened,
    stored_values,
)
from interlock.postgres.checkpointer.upkeep import Upkeep
from interlock.postgres.queries import load

SQL = load("checkpoints")
TUPLE = f"{SQL['tuples']} {SQL['newest']}"
"""Without content: a statement that finds it, too, takes thrice as long to plan, and most states refer to none."""

READS = 5
"""How often a checkpoint is read anew that is deleted while it is read."""

Pool = AsyncConnectionPool[Any]  # of any connection class


class Checkpointer(Upkeep):
    """A drop-in for LangGraph's `AsyncPostgresSaver`, on the same tables and a few more.

    Made with a pool or a connection, as that one is, on a running event loop. Its copies, as `with_allowlist` makes
    them, share one queue. Its methods can be called from other event loops and threads, too.
    """

    def __init__(
        self,
        conn: AsyncConnection[DictRow] | Pool,
        pipe: AsyncPipeline | None = None,
        serde: SerializerProtocol | None = None,
        *,
        core: Core | None = None,
    ) -> None:
        if pipe is not None:
            raise ValueError("Checkpointer saves in groups by itself: leave `pipe` out.")
        super().__init__(conn, None, serde)
        self.process = os.getpid()
        self._core = core or Core.over(conn, self.lock)
        self._named: Seal | None = None  # it is made once for each serializer

    @property
    def stats(self) -> Stats:
        """What this saver and its copies have done."""
        return self._core.stats

    @classmethod
    def from_conn_string(  # type: ignore[override]  # it opens this class, and for synchronous code too
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        serde: SerializerProtocol | None = None,
    ) -> Opening[Self]:
        """Open a saver with connections of its own: `async with` on this event loop, `with` for synchronous code.

        Args:
            conn_string: a Postgres.
            pipeline: accepted as LangGraph's savers accept it; it makes no difference.
            serde: serializes values; default: LangGraph's.
        """
        return Opening(cls._opened(conn_string, serde))

    @classmethod
    @asynccontextmanager
    async def _opened(
        cls, conn_string: str, serde: SerializerProtocol | None
    ) -> AsyncIterator[Self]:
        kwargs = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        async with AsyncConnectionPool(
            conn_string, min_size=1, max_size=4, open=False, kwargs=kwargs
        ) as pool:
            await pool.wait()  # who asks before the first connection is there has a second one made
            saver = cls(pool, serde=serde)
            try:
                yield saver
            finally:
                await saver.aclose()

    def setup(self) -> Awaitable[None]:  # type: ignore[override]  # LangGraph's is a coroutine
        """Make LangGraph's tables and ours, where they are not there yet.

        Await it; in synchronous code, where nothing can be awaited, it is done when it returns.
        """
        return now_or_awaited(self, self._set_up)

    @at_home
    async def _set_up(self) -> None:
        await made_in_company(super().setup)
        async with self._cursor() as cursor:
            await make_tables(cursor)

    @at_home
    async def aclose(self) -> None:
        """Save what waits; a pool or connection that was handed in stays open."""
        await self._core.close()

    @at_home
    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint; returns after the commit."""
        configurable = config["configurable"]
        await self._save(
            config,
            lambda encoder: put_rows(encoder, config, checkpoint, metadata, new_versions),
            begins=metadata.get("source") == "input",
        )
        return {
            "configurable": {
                "thread_id": configurable["thread_id"],
                "checkpoint_ns": configurable["checkpoint_ns"],
                "checkpoint_id": checkpoint["id"],
            }
        }

    @at_home
    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Save what a task wrote; returns after the commit."""
        if not writes:
            return
        await self._save(
            config,
            lambda encoder: write_rows(encoder, config, writes, task_id, task_path),
            patient=not only_special(writes),
        )

    @at_home
    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that is asked for, or the latest one."""
        place = {"checkpoint_ns": "", **config["configurable"]}
        seal = Seal.of(self.serde)
        try:
            if (known := self._known(config)) is None:
                async with self._cursor() as cursor:
                    reader = Reader(seal, partial(self._content, cursor), sharing=False)
                    rows = await self._whole(cursor, place, reader)
            else:
                rows, reader = await opened(known, seal)
        except MissingContent:  # deleted meanwhile
            rows, reader = await self._read({"configurable": place}, limit=1, sharing=False)
        return checkpoint_tuple(rows[0], reader) if rows else None

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, newest first; values that are equal in several of them are the same objects."""
        rows, reader = await self._read(
            config, metadata=filter, before=before, limit=limit, sharing=True
        )
        rows.reverse()
        while rows:  # what was looked at is let go of
            yield checkpoint_tuple(rows.pop(), reader)

    @at_home
    async def aexport(self, thread_id: str) -> int:
        """Store a thread as LangGraph's own saver does, which opens it then; return how many values were rewritten.

        The thread stays open to this saver, too.
        """
        async with self._cursor() as cursor:
            seal = Seal.of(self.serde)

            def reader() -> Reader:
                return Reader(seal, partial(self._content, cursor), sharing=False)

            done = await export(cursor.connection, str(thread_id), seal, reader)
            await collecting.collect(cursor.connection, str(thread_id))
            return done

    def export(self, thread_id: str) -> int:
        """Store a thread as LangGraph's own saver does; see `aexport`."""
        return self._wait(self.aexport(thread_id))

    async def _save(
        self,
        config: RunnableConfig,
        fill: Fill,
        *,
        patient: bool = False,
        begins: bool = False,
        ends: bool = False,
    ) -> None:
        """Save what `fill` makes rows of.

        Args:
            config: with the thread.
            fill: makes the rows.
            patient: nobody waits for it.
            begins: it is an input, which nothing was made of yet.
            ends: it is kept back until what comes next of its thread is saved.
        """
        request = await self._request(config["configurable"]["thread_id"], fill, patient=patient)
        if ends:
            self._core.queue.hold(request)
        else:
            await self._core.queue.save(request)

    async def _request(
        self, thread: str, fill: Fill, *, patient: bool = False, end: End | None = None
    ) -> Request:
        seal = self._named
        if seal is None or seal.serde is not self.serde:
            seal = self._named = await self._naming_seal()
        return Request(
            thread, seal, fill, partial(self._allowed, thread), patient, self._fence(thread), end
        )

    async def _allowed(self, thread_id: str) -> None:
        """Raise when this saver must not write on a thread any more; asked before rows are sent a second time."""

    def _known(self, config: RunnableConfig) -> Sequence[DictRow] | None:
        """Return a checkpoint's row and rows of its content, where they are known; None where they are not."""
        return None

    def _fence(self, thread_id: str) -> str:
        """Return the worker that a thread is saved for; empty for none."""
        return ""

    async def _naming_seal(self) -> Seal:
        """Return the seal for writing; where values are encrypted, names are made with a secret."""
        if not isinstance(self.serde, EncryptedSerializer):
            return Seal.of(self.serde)
        cipher = self.serde.cipher
        if cipher not in self._core.secrets:
            async with self._cursor() as cursor:
                self._core.secrets[cipher] = await secret(cursor.connection, cipher)
        return Seal.of(self.serde, self._core.secrets[cipher])

    @at_home
    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return what `DeltaChannel`s are rebuilt from: a value, and what was written to it since."""
        reading = copy(self)
        reading.serde = Deferring(self.serde)
        found = await super(Checkpointer, reading).aget_delta_channel_history(
            config=config, channels=channels
        )
        async with self._cursor() as cursor:
            reader = Reader(Seal.of(self.serde), partial(self._content, cursor), sharing=False)
            return await resolved(found, reader)

    @at_home
    async def _read(
        self,
        config: RunnableConfig | None,
        *,
        metadata: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
        sharing: bool,
    ) -> tuple[list[DictRow], Reader]:
        """Return rows of checkpoints, and what restores their values."""
        where, values = self._search_where(config, metadata, before)
        statement = " ".join((SQL["tuples"], where, "order by checkpoint_id desc"))
        if limit is not None:
            statement, values = f"{statement} limit %s", [*values, int(limit)]
        seal = Seal.of(self.serde)
        for attempt in range(1, READS + 1):
            async with self._cursor() as cursor:
                reader = Reader(seal, partial(self._content, cursor), sharing=sharing)
                rows = await self._rows(cursor, statement, values)
                try:
                    await reader.fetch(stored_values(rows))
                except MissingContent:
                    if attempt == READS:
                        raise
                else:
                    break
        return rows, reader

    async def _whole(
        self,
        cursor: AsyncCursor[DictRow],
        place: Mapping[str, Any],  # of a config
        reader: Reader,
    ) -> list[DictRow]:
        """Return the row of one checkpoint; the reader knows all content that it refers to."""
        values = {key: place.get(key) for key in ("thread_id", "checkpoint_ns")}
        named = place.get("checkpoint_id") or None  # LangGraph takes an empty one for none
        self._core.stats.reads += 1
        await cursor.execute(TUPLE, {**values, "checkpoint_id": named})
        rows = await cursor.fetchall()
        if rows and needs_sends(rows[0]):
            await self._add_sends(cursor, rows)
        await reader.fetch(stored_values(rows))
        return rows

    async def _rows(
        self,
        cursor: AsyncCursor[DictRow],
        statement: str,
        values: Sequence[Any],  # SQL values
    ) -> list[DictRow]:
        self._core.stats.reads += 1
        await cursor.execute(statement.encode(), values)
        with collector_at_rest():  # all of it has come: nobody else goes on meanwhile
            rows = await cursor.fetchall()
        if old := [row for row in rows if needs_sends(row)]:
            await self._add_sends(cursor, old)
        return rows

    async def _add_sends(self, cursor: AsyncCursor[DictRow], rows: Sequence[DictRow]) -> None:
        for thread in {row["thread_id"] for row in rows}:
            of_thread = [row for row in rows if row["thread_id"] == thread]
            parents = [row["parent_checkpoint_id"] for row in of_thread]
            self._core.stats.reads += 1
            await cursor.execute(
                SQL["sends"], {"thread_id": thread, "parents": parents, "channel": TASKS}
            )
            sends = await cursor.fetchall()
            for row in of_thread:
                row["first_version"] = self.get_next_version(None, None)
                row["sends"] = [
                    each
                    for each in sends
                    if (each["checkpoint_ns"], each["checkpoint_id"])
                    == (row["checkpoint_ns"], row["parent_checkpoint_id"])
                ]

    async def _content(
        self, cursor: AsyncCursor[DictRow], hashes: Sequence[bytes]
    ) -> Iterable[tuple[bytes, int, bytes]]:
        self._core.stats.reads += 1
        prepare(cursor.connection)
        plain = cursor.connection.cursor(binary=True, row_factory=tuple_row)
        await plain.execute(SQL["content"], {"hashes": ByteaArray(hashes)})
        return await plain.fetchall()

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """Lend a cursor; with a pool, to as many readers at once as it has connections."""
        if not isinstance(self.conn, AsyncConnectionPool):
            async with super()._cursor(pipeline=pipeline) as cursor:
                yield cursor
            return
        async with (
            self.conn.connection() as connection,
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
        ):
            if pipeline:
                async with connection.pipeline():
                    yield cursor
            else:
                yield cursor
