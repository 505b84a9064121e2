"""Collects blobs: looks at what is left of threads that lost something, then takes away what no thread names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.graph.state import CompiledStateGraph
from psycopg.rows import DictRow

from interlock.core.blobs import named_in, named_in_bytes
from interlock.postgres.blobs import SQL
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch, translated

AT_ONCE = 100

UPLOAD_GRACE = timedelta(hours=1)
"""How long a source may give nothing before its upload is taken for abandoned."""

Reader = Callable[[str], Awaitable[CompiledStateGraph[Any, Any, Any, Any] | None]]
"""Returns the graph of a thread with a checkpointer; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was taken away, or would be.

    Attributes:
        uploads: blobs that were begun and abandoned.
        unread: threads whose values cannot be read here: what they named is kept.
    """

    blobs: int = 0
    bytes: int = 0
    uploads: int = 0
    unread: tuple[str, ...] = ()


class Collector:
    """Collects blobs; several processes may, and share the work."""

    def __init__(self, pool: Pool, reader: Reader, grace: timedelta) -> None:
        self._pool = pool
        self._reader = reader
        self._grace = grace
        self._unread: list[str] = []

    async def preview(self) -> Collected:
        """Return what would be taken away."""
        row = (await self._fetch(SQL["collectable"], grace=self._grace))[0]
        return Collected(blobs=row["blobs"], bytes=row["bytes"])

    async def collect(self) -> Collected:
        """Take away blobs that nothing names, and uploads that nobody goes on with."""
        await self._look_at_doubtful()
        sizes = [size async for size in self._collected()]
        uploads = 0
        while found := await self._abandoned():
            uploads += found
        return Collected(
            blobs=len(sizes), bytes=sum(sizes), uploads=uploads, unread=tuple(self._unread)
        )

    async def _look_at_doubtful(self) -> None:
        after = ""
        while rows := await self._fetch(SQL["doubtful"], after=after, limit=AT_ONCE):
            for row in rows:
                await self._look(row)
            after = rows[-1]["thread_id"]

    async def _look(self, row: DictRow) -> None:
        """Find out which blobs a thread still names.

        A name that was noted after the row was read stands: whoever stores a name notes it before.
        """
        thread_id = row["thread_id"]
        named = await self._named(thread_id)
        if named is None:
            self._unread.append(thread_id)
            return
        about = {"thread_id": thread_id, "noted_at": row["noted_at"], "grace": self._grace}
        gone = [each for each in row["digests"] if each not in named]
        still = [each for each in row["digests"] if each in named]
        async with connected(self._pool) as connection, connection.transaction():
            await execute(connection, SQL["unnamed"], about | {"digests": gone})
            await execute(connection, SQL["still_named"], about | {"digests": still})

    async def _named(self, thread_id: str) -> set[str] | None:
        """Return the blobs that anything of a thread names; None where not all of it can be read."""
        texts = await self._fetch(SQL["named_in_rows"], thread_id=thread_id)
        named = named_in([row["text"] for row in texts])
        graph = await self._reader(thread_id)
        packed = await self._fetch(SQL["packed_in_rows"], thread_id=thread_id)
        try:
            serde = graph.checkpointer.serde if graph else strict_serializer()  # type: ignore[union-attr]  # it is none of LangGraph's flags
            for row in packed:
                named |= _named_in_packed(serde, row["type"], row["body"])
            return named | await self._named_in_checkpoints(thread_id, graph)
        except Exception:  # whatever a stored value's restoring raises: what cannot be read is kept
            return None

    async def _named_in_checkpoints(
        self, thread_id: str, graph: CompiledStateGraph[Any, Any, Any, Any] | None
    ) -> set[str]:
        if graph is None:
            if await self._fetch(SQL["has_checkpoints"], thread_id=thread_id):
                raise LookupError(thread_id)
            return set()
        saver: Any = graph.checkpointer  # LangGraph's type says that it may be a flag
        named: set[str] = set()
        with translated():
            async for each in saver.alist({"configurable": {"thread_id": thread_id}}):
                named |= named_in([each.checkpoint["channel_values"], each.pending_writes])
        return named

    async def _collected(self) -> Any:  # an asynchronous iterator of sizes
        while True:
            async with connected(self._pool) as connection, connection.transaction():
                rows = await _taken(connection, self._grace)
            for row in rows:
                yield row["size"]
            if not rows:
                return

    async def _abandoned(self) -> int:
        async with connected(self._pool) as connection, connection.transaction():
            values = {"grace": UPLOAD_GRACE, "limit": AT_ONCE}
            rows = await fetch(connection, SQL["abandoned"], values)
            uploads = [row["upload"] for row in rows]
            await execute(connection, SQL["drop_pieces"], {"uploads": uploads})
        return len(uploads)

    async def _fetch(self, statement: LiteralString, **values: Any) -> list[DictRow]:  # SQL
        async with connected(self._pool) as connection:
            return await fetch(connection, statement, values)


async def _taken(connection: Connection, grace: timedelta) -> list[DictRow]:
    """Take some blobs away.

    Two statements: whoever notes a name locks the blob's row for that, so what is held first and looked at again
    afterwards gets no new name in between.
    """
    values = {"grace": grace, "limit": AT_ONCE}
    held = await fetch(connection, SQL["collectable_blobs"], values)
    digests = [row["digest"] for row in held]
    rows = await fetch(connection, SQL["collect_blobs"], {"digests": digests})
    uploads = [row["upload"] for row in rows]
    await execute(connection, SQL["drop_pieces"], {"uploads": uploads})
    return rows


def _named_in_packed(serde: SerializerProtocol, kind: str, body: bytes) -> set[str]:
    if "+" not in kind:  # not encrypted: the names stand in the bytes as they are
        return named_in_bytes(body)
    return named_in(serde.loads_typed((kind, body)))
