"""Blobs in Postgres: pieces as rows, each stored in a moment, so that no connection waits for a slow source."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.config import get_config
from psycopg.rows import DictRow

from interlock.core.blobs import LIMIT, BlobRef, Source, digest_of, missing, pieces, ref_of
from interlock.errors import DatabaseUnavailable, InterlockError, UsageError
from interlock.postgres.encryption import missing as key_missing
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("blobs")


class PostgresBlobs:
    """Blobs as rows; made on the event loop of the pool.

    Args:
        pool: the connections.
        limit: bytes that one blob may have.
        cipher: encrypts the pieces; the digest of the bytes stays readable.
    """

    def __init__(
        self, pool: Pool, *, limit: int = LIMIT, cipher: CipherProtocol | None = None
    ) -> None:
        self._pool = pool
        self._limit = limit
        self._cipher = cipher
        self._loop = asyncio.get_running_loop()

    async def put(self, source: Source) -> BlobRef:
        """Store bytes as they come, and return their reference; inside a run, its thread holds them."""
        self._check_loop()
        upload = (await self._one("begin_upload"))["upload"]
        try:
            digest, size = await self._stored(source, upload)
            await self._named(digest, size, upload)
        except BaseException:
            await asyncio.shield(self._given_up(upload))
            raise
        return ref_of(digest, size)

    async def open(self, ref: BlobRef | str) -> AsyncIterator[bytes]:
        """Return the bytes of a blob in parts."""
        self._check_loop()
        blob = await self._first("blob", digest=digest_of(ref))
        if blob is None:
            raise missing(ref)
        left, number = blob["size"], 0
        while left > 0:
            body = await self._piece(ref, blob["upload"], number)
            left, number = left - len(body), number + 1
            yield body

    async def _stored(self, source: Source, upload: int) -> tuple[str, int]:
        digest, size, number = hashlib.sha256(), 0, 0
        async for piece in pieces(source, self._limit):
            digest.update(piece)
            size += len(piece)
            cipher, body = self._cipher.encrypt(piece) if self._cipher else ("", piece)
            values = {"upload": upload, "number": number, "cipher": cipher, "body": body}
            async with connected(self._pool) as connection:
                if not await execute(connection, SQL["add_piece"], values):
                    raise _abandoned()
            number += 1
        return digest.hexdigest(), size

    async def _named(self, digest: str, size: int, upload: int) -> None:
        values = {"digest": digest, "size": size, "upload": upload}
        async with connected(self._pool) as connection, connection.transaction():
            if not await fetch(connection, SQL["end_upload"], values):
                raise _abandoned()
            kept = (await fetch(connection, SQL["add_blob"], values))[0]["upload"]
            if kept != upload:
                await execute(connection, SQL["drop_pieces"], {"uploads": [upload]})
            if thread_id := _thread_here():
                await note(connection, thread_id, [digest])

    async def _given_up(self, upload: int) -> None:
        with suppress(DatabaseUnavailable):  # then a collection gives it up
            async with connected(self._pool) as connection, connection.transaction():
                await execute(connection, SQL["drop_upload"], {"upload": upload})
                await execute(connection, SQL["drop_unnamed_pieces"], {"upload": upload})

    async def _piece(self, ref: BlobRef | str, upload: int, number: int) -> bytes:
        row = await self._first("piece", upload=upload, number=number)
        if row is None:
            raise missing(ref)
        body = bytes(row["body"])
        if not row["cipher"]:
            return body
        if self._cipher is None:
            raise key_missing(row["cipher"])
        return self._cipher.decrypt(row["cipher"], body)

    async def _one(self, statement: str, **values: Any) -> DictRow:  # SQL values
        async with connected(self._pool) as connection:
            return (await fetch(connection, SQL[statement], values))[0]

    async def _first(self, statement: str, **values: Any) -> DictRow | None:  # SQL values
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL[statement], values)
        return rows[0] if rows else None

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "Blobs were used on another event loop than the runtime's.",
                hint="Use them in an asynchronous node, and await them there.",
            )


async def note(connection: Connection, thread_id: str, digests: Iterable[str]) -> None:
    """Note that a thread names some blobs, before or with what names them; unknown ones are left out."""
    names = sorted(set(digests))
    if names:
        values = {"thread_id": thread_id, "digests": names}
        await execute(connection, SQL["note_names"], values)


async def inherit(connection: Connection, thread_id: str, to_thread_id: str) -> None:
    """Note that a fork names what its parent names."""
    values = {"thread_id": thread_id, "to_thread_id": to_thread_id}
    await execute(connection, SQL["inherit_names"], values)


def _thread_here() -> str:
    """Return the thread of the run that calls this; empty outside of one."""
    try:
        return str(get_config().get("configurable", {}).get("thread_id") or "")
    except RuntimeError:
        return ""


def _abandoned() -> InterlockError:
    return InterlockError(
        "A blob was not stored: its source gave nothing for so long that it was taken for abandoned.",
        hint="Store it again.",
    )
