"""A process that asks a server for runs with the official client, as often as it is told.

    python -m benchmarks.serving.client URL

It says when it is ready. A line of its input is JSON: a `Task`. When all of it is done it answers with one line of
JSON: how long it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIError

Kind = Literal["threads", "one", "stateless", "words", "open", "close"]

NODES = {"three": 3, "one": 1}
"""How many nodes each graph has that adds one in each."""


PATIENCE = 10.0
"""Seconds that a stream may take to open."""


class Task(TypedDict):
    """What to do.

    `threads` waits for runs, each client's on a thread of its own; `one` for runs of one node; `stateless` for runs
    without a thread; `words` streams; `open` opens so many streams of one run that does nothing, and `close` stops
    that run. No run is begun after so many `seconds`.
    """

    kind: Kind
    clients: int
    runs: int
    seconds: float


class Done(TypedDict):
    """The seconds from the first request to the last answer, and those of each run."""

    seconds: float
    each: list[float]


Ask = Callable[[str | None], Awaitable[float]]
"""Asks for a run on a thread, and returns the seconds that it took."""


class Asker:
    """Asks one server."""

    def __init__(self, url: str, client: LangGraphClient) -> None:
        self._url = url
        self._client = client
        self._run: tuple[str, str] = ("", "")
        self._streams: list[asyncio.StreamWriter] = []

    async def done(self, task: Task) -> Done:
        """Do what is asked for."""
        if task["kind"] in ("open", "close"):
            begun = perf_counter()
            each = await (self._open(task["clients"]) if task["kind"] == "open" else self._close())
            return {"seconds": perf_counter() - begun, "each": each}
        graph = "one" if task["kind"] == "one" else "three"
        ask = self._words if task["kind"] == "words" else partial(self._wait, graph)
        threads = [
            None if task["kind"] == "stateless" else await self._thread()
            for _ in range(task["clients"])
        ]
        begun = perf_counter()
        until = begun + task["seconds"]
        found = await asyncio.gather(
            *(_in_turn(ask, each, task["runs"], until) for each in threads)
        )
        return {
            "seconds": perf_counter() - begun,
            "each": [seconds for one in found for seconds in one],
        }

    async def _thread(self) -> str:
        return str((await self._client.threads.create())["thread_id"])

    async def _wait(self, graph: str, thread_id: str | None) -> float:
        begun, given = perf_counter(), {"number": 0}
        came = await self._client.runs.wait(thread_id, graph, input=given)
        if not isinstance(came, dict) or came.get("number") != NODES[graph]:
            raise RuntimeError(f"A run of the graph {graph!r} came to {came!r}.")
        return perf_counter() - begun

    async def _words(self, thread_id: str | None) -> float:
        """Return how long the first token took; the rest is read, too."""
        assert thread_id is not None  # noqa: S101  # for the type checker
        begun, first = perf_counter(), 0.0
        given: dict[str, Any] = {"messages": [{"role": "user", "content": "?"}]}  # JSON
        stream = self._client.runs.stream(
            thread_id, "words", input=given, stream_mode="messages-tuple"
        )
        async for event in stream:
            if event.event == "messages" and not first and event.data[0]["type"] != "human":
                first = perf_counter() - begun
        if not first:
            raise RuntimeError("A run that streams words streamed none.")
        return first

    async def _open(self, number: int) -> list[float]:
        """Open streams by hand: the client's library would count connections. One that takes too long is the last."""
        thread_id = await self._thread()
        run = await self._client.runs.create(thread_id, "idle", input={"number": 0})
        self._run = (thread_id, run["run_id"])
        each: list[float] = []
        with suppress(TimeoutError):
            for _ in range(number):
                begun = perf_counter()
                self._streams.append(
                    await self._opened(f"/threads/{thread_id}/runs/{run['run_id']}")
                )
                each.append(perf_counter() - begun)
        return each

    async def _opened(self, path: str) -> asyncio.StreamWriter:
        at = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        head = (
            f"GET {path}/stream HTTP/1.1\r\nHost: {at.netloc}\r\nAccept: text/event-stream\r\n\r\n"
        )
        writer.write(head.encode())
        async with asyncio.timeout(PATIENCE):
            answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.splitlines()[0]:
            raise RuntimeError(f"A stream was answered {answer.decode()!r}.")
        return writer

    async def _close(self) -> list[float]:
        for each in self._streams:
            each.close()
        self._streams = []
        with suppress(APIError):  # Aegra answers nothing more when it has too many streams
            await self._client.runs.cancel(*self._run)
        return []


async def _in_turn(ask: Ask, thread_id: str | None, runs: int, until: float) -> list[float]:
    each: list[float] = []
    while not each or (len(each) < runs and perf_counter() < until):
        each.append(await ask(thread_id))
    return each


async def _serve(url: str) -> None:
    async with get_client(url=url, api_key=None) as client:
        asker = Asker(url, client)
        _say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            _say(json.dumps(await asker.done(json.loads(line))))


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
