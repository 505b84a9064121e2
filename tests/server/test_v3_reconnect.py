"""Thread streams, version 3, over a line that is cut in the middle: the client goes on at another server process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import pytest
from langgraph_sdk import get_client

from tests.server.conftest import serving

STEPS = 40


@pytest.fixture(scope="module")
def servers(server: str, server_database: str) -> Iterator[tuple[str, str]]:
    """Two server processes on one database; the first one works."""
    with serving(server_database, workers=0) as other:
        yield server, other


@dataclass(slots=True)
class Line:
    """Hands on what a client and a server say, until it is cut.

    Attributes:
        target: the server's address; after a cut, connections go to another.
    """

    target: str
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        at = urlsplit(self.target)
        far_reader, far_writer = await asyncio.open_connection(at.hostname, at.port)
        self._writers += [writer, far_writer]
        await asyncio.gather(hand_on(reader, far_writer), hand_on(far_reader, writer))

    def cut(self, target: str) -> None:
        """Cut all connections in the middle of whatever they carry, and lead new ones elsewhere."""
        self.target = target
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes until one side is gone."""
    with suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def line_to(target: str) -> AsyncIterator[tuple[str, Line]]:
    """Give the address of a line to a server, and the line."""
    line = Line(target)
    async with await asyncio.start_server(line.connected, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", line
        line.cut(target)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_nothing_is_missed_and_nothing_comes_twice(
    servers: tuple[str, str], transport: Literal["sse", "websocket"]
) -> None:
    """Each step is told once and in order, though the line is cut twice, and the output is there at the end."""
    first, second = servers
    steps: list[int] = []
    async with (
        asyncio.timeout(40),
        line_to(first) as (address, line),
        get_client(url=address, api_key=None) as client,
        client.threads.stream(assistant_id="steps", transport=transport) as thread,
    ):
        await thread.run.start(input={"count": STEPS, "seconds": 0.03})
        async for event in thread.subscribe(["custom"]):
            steps.append(event["params"]["data"]["payload"]["step"])
            if len(steps) in (8, 20):
                line.cut(second if len(steps) == 8 else first)
        output = await thread.output

    assert steps == list(range(STEPS))
    assert output["done"] == list(range(STEPS))
