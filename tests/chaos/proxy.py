"""A way to the database that can be cut, and one that swallows whatever is sent without a word."""

from __future__ import annotations

import asyncio
import random
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

CHUNK = 1 << 16
UrlOf = Callable[[], str]
"""Says where the server is now, as an address over a unix socket: it may have been started again."""


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Listens on a port of this machine, and passes connections on; other threads may cut them."""

    url_of: UrlOf
    loop: asyncio.AbstractEventLoop
    port: int = 0
    _listener: asyncio.Server | None = None
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The address of the database by way of this proxy."""
        parts = urlsplit(self.url_of())
        return f"postgresql://{parts.username}@127.0.0.1:{self.port}{parts.path}?sslmode=disable"

    def cut(self, chance: random.Random | None = None) -> None:
        """End all connections at once, or one that chance names."""
        self.loop.call_soon_threadsafe(self._cut, chance)

    def swallow(self) -> None:
        """Pass nothing on any more, in either direction, and tell nobody; not even that somebody has gone."""
        self.loop.call_soon_threadsafe(self._passing.clear)

    def recover(self) -> None:
        """Pass on again; what was connected meanwhile finds its connection ended, as behind any firewall."""
        self.cut()
        self.loop.call_soon_threadsafe(self._passing.set)

    async def listen(self) -> None:
        """Begin."""
        self._passing.set()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        if self._listener is not None:
            self._listener.close()
        self._cut()

    def _cut(self, chance: random.Random | None = None) -> None:
        there = sorted(self._open, key=id)
        for each in there if chance is None else there and [chance.choice(there)]:
            each.cancel()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._between(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the client sees an end either way
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _between(self, reader: StreamReader, writer: StreamWriter) -> None:
        await self._passing.wait()
        from_server, to_server = await _connected(self.url_of())
        there = asyncio.ensure_future(self._pass_on(reader, to_server))
        back = asyncio.ensure_future(self._pass_on(from_server, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            to_server.transport.abort()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        said = b"something"
        with suppress(OSError):
            while said:
                said = await reader.read(CHUNK)
                await self._passing.wait()
                writer.write(said)
                await writer.drain()


async def _connected(url: str) -> tuple[StreamReader, StreamWriter]:
    query = parse_qs(urlsplit(url).query)
    path = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
    return await asyncio.open_unix_connection(path, limit=CHUNK)


@contextmanager
def proxies(number: int, url_of: UrlOf) -> Iterator[list[Proxy]]:
    """Some proxies to one server, served by a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxies")
    thread.start()
    made = [Proxy(url_of=url_of, loop=loop) for _ in range(number)]
    try:
        for each in made:
            asyncio.run_coroutine_threadsafe(each.listen(), loop).result(10)
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(_end(made), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(made: Sequence[Proxy]) -> None:
    for each in made:
        await each.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
