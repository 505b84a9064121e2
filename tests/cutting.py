"""A way to the database on which one connection is cut at a chosen moment: before it asks, or before it is answered."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Loses = Literal["question", "answer"]


@asynccontextmanager
async def cutting(url: str, mark: bytes, loses: Loses) -> AsyncIterator[str]:
    """The address of a database over a unix socket, by a way on which the connection that first sends a mark is cut."""
    parts = urlsplit(url)
    way = Way(f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432", mark, loses)
    server = await asyncio.start_server(way.between, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"
    finally:
        server.close()
        for each in way.open_now:
            each.cancel()
        await asyncio.gather(*way.passing, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed by the loop
    assert way.cut, "nothing was cut"


@dataclass
class Way:
    """Passes connections on, and cuts one."""

    socket: str
    mark: bytes
    loses: Loses
    cut: bool = False
    open_now: set[asyncio.Task[None]] = field(default_factory=set)
    passing: set[Any] = field(default_factory=set)  # tasks

    async def between(self, client: StreamReader, to_client: StreamWriter) -> None:
        """Pass on what a client and the database say, until either goes, or it is cut."""
        self.passing.add(asyncio.current_task())
        database, to_database = await asyncio.open_unix_connection(self.socket)
        marked = asyncio.Event()
        ways = [
            asyncio.create_task(self._onwards(client, to_database, marked)),
            asyncio.create_task(_back(database, to_client, marked)),
        ]
        self.open_now.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (to_database, to_client):
            end.transport.abort()
        self.open_now.difference_update(ways)

    async def _onwards(
        self, client: StreamReader, to_database: StreamWriter, marked: asyncio.Event
    ) -> None:
        while data := await client.read(1 << 16):
            if self.mark in data and not self.cut:
                self.cut = True
                marked.set()
                if self.loses == "question":
                    return
            to_database.write(data)


async def _back(database: StreamReader, to_client: StreamWriter, marked: asyncio.Event) -> None:
    while (data := await database.read(1 << 16)) and not marked.is_set():
        to_client.write(data)
