"""Count round trips from outside: between a client and the server, nothing of either is known or changed."""

from __future__ import annotations

import asyncio
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

CHUNK = 1 << 16


@dataclass(slots=True)
class Wire:
    """A way to the server that counts; `url` leads over it.

    A round trip is counted when the server answers after the client has sent something: however many statements were
    sent together, it is one.
    """

    url: str
    round_trips: int = 0


@asynccontextmanager
async def counting(url: str) -> AsyncIterator[Wire]:
    """Listen on a socket of our own, and pass everything on to the server that the address names."""
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    name = f".s.PGSQL.{query['port'][0]}"
    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        own = urlencode({"host": folder, "port": query["port"][0]})
        wire = Wire(url=urlunsplit(parts._replace(query=own)))

        async def pass_on(reader: StreamReader, writer: StreamWriter) -> None:
            await _Connection(wire).pass_on(reader, writer, Path(query["host"][0]) / name)

        listener = await asyncio.start_unix_server(pass_on, Path(folder) / name, limit=CHUNK)
        try:
            yield wire
        finally:
            listener.close()


class _Connection:
    """One client's way to the server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._asked = False

    async def pass_on(self, reader: StreamReader, writer: StreamWriter, server: Path) -> None:
        from_server, to_server = await asyncio.open_unix_connection(server, limit=CHUNK)
        asking = asyncio.create_task(self._ask(reader, to_server))
        try:
            await self._answer(from_server, writer)
        finally:
            asking.cancel()
            for each in (writer, to_server):
                each.close()

    async def _ask(self, reader: StreamReader, server: StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(CHUNK):
                self._asked = True
                server.write(said)
                await server.drain()
            server.write_eof()

    async def _answer(self, server: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await server.read(CHUNK):
                self._wire.round_trips += self._asked
                self._asked = False
                writer.write(said)
                await writer.drain()
