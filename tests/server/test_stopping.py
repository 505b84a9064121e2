"""A server that is stopped while clients wait for it: they are cut, and it ends well and quietly."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
from langgraph_sdk import get_client

from tests.server.conftest import SAMPLE

LONG = {"count": 6000, "seconds": 0.1}


async def started(database: str) -> tuple[subprocess.Popen[str], str]:
    """A server with workers inside, and its address."""
    command = [sys.executable, "-m", "interlock", "serve", "--port", "0", "--url", database]
    command += ["--config", str(SAMPLE), "--workers-inside", "4"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220  # it is one
    assert process.stderr is not None
    while not (line := await asyncio.to_thread(process.stderr.readline)).startswith("Serving "):
        assert line, "it ended"
    return process, line.split()[1]


async def consumed(parts: AsyncIterator[Any], begun: asyncio.Event) -> None:
    """Read a stream until it is cut."""
    with suppress(httpx.HTTPError):
        async for _ in parts:
            begun.set()


async def lines(address: str, path: str, **given: Any) -> AsyncIterator[str]:
    """What comes of a request, as it comes; the head counts too."""
    async with (
        httpx.AsyncClient(base_url=address, timeout=60) as http,
        http.stream(given.pop("method"), path, **given) as answer,
    ):
        yield ""
        async for line in answer.aiter_lines():
            yield line


async def test_open_waits_and_streams_are_cut_without_a_trace(server_database: str) -> None:
    """Of a wait, a stream and a watched run none keeps it from ending with 0, and none leaves a traceback."""
    process, address = await started(server_database)
    async with get_client(url=address, api_key=None) as client:
        thread = await client.threads.create()
        await client.runs.create(thread["thread_id"], "steps", input=LONG)
    body = {"assistant_id": "steps", "input": LONG}
    streams = [
        lines(address, "/runs/wait", method="POST", json=body),
        lines(address, "/runs/stream", method="POST", json=body),
        lines(
            address,
            "/events/stream",
            method="GET",
            params={"name": thread["thread_id"], "follow": "true"},
        ),
    ]
    begun = [asyncio.Event() for _ in streams]
    reading = [
        asyncio.create_task(consumed(each, first))
        for each, first in zip(streams, begun, strict=True)
    ]
    async with asyncio.timeout(60):
        for each in begun:
            await each.wait()
        process.terminate()
        await asyncio.gather(*reading)
        _, said = await asyncio.to_thread(process.communicate)

    assert process.returncode == 0
    assert "Traceback" not in said, said
    assert "ASGI" not in said, said
