"""Streams survive: a server is killed in the middle, or stopped, and its client goes on at the other one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.schema import StreamPart

from tests.server.conftest import SAMPLE

PATIENCE = 120.0
STEPS = 60
GIVEN = {"count": STEPS, "seconds": 0.05}
UPDATES = [{"step": {"done": [number]}} for number in range(STEPS)]
"""What the run tells, each once."""

CUT = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""

pytestmark = pytest.mark.timeout(120)


class Balancer:
    """Hands each connection to the first of some servers that takes it, as what stands before servers does."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = [urlsplit(address) for address in addresses]
        self.taken: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Take connections, and give the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            theirs, ours = await self._opened()
            both = [
                asyncio.create_task(_copied(reader, ours)),
                asyncio.create_task(_copied(theirs, writer)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in both:
                    each.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                ours.close()
                await ours.wait_closed()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for number, address in enumerate(self._addresses):
            with suppress(OSError):
                opened = await asyncio.open_connection(address.hostname, address.port)
                self.taken.append(number)
                return opened
        raise ConnectionRefusedError


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.fixture
def database(server_database: str) -> Iterator[str]:
    """A database with a worker beside the servers."""
    with process(server_database, "worker", says="worker.started"):
        yield server_database


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_one_of_two_servers_goes(database: str, how: signal.Signals) -> None:
    """Its client goes on at the other one behind the last event that it has; nothing is missed or repeated."""
    with server(database) as (first, process), server(database) as (other, _):
        balancer = Balancer([first, other])
        async with balancer.listening() as address, asyncio.timeout(PATIENCE):
            parts = await _heard(address, after=10, then=lambda: process.send_signal(how))

    updates = [part for part in parts if part.event == "updates"]
    assert [part.data for part in updates] == UPDATES
    assert (
        len({part.id for part in parts if part.id}) == len(parts) - 1
    )  # the end has the last one's
    assert [part.event for part in parts if part.event != "updates"] == ["metadata", "end"]
    assert set(balancer.taken) == {0, 1}


async def test_a_stream_that_is_cut_again_and_again(database: str) -> None:
    """However often the line is cut, each event comes once."""
    with server(database) as (address, _):
        balancer = Balancer([address])
        async with balancer.listening() as through, asyncio.timeout(PATIENCE):
            async with get_client(url=address, api_key=None) as client:
                thread_id = (await client.threads.create())["thread_id"]
                run = await client.runs.create(
                    thread_id, "steps", input=GIVEN, stream_mode=["updates"]
                )
            async with get_client(url=through, api_key=None) as client:
                heard: list[StreamPart] = []
                while not heard or heard[-1].event != "end":
                    last = next((part.id for part in reversed(heard) if part.id), None)
                    stream = client.runs.join_stream(thread_id, run["run_id"], last_event_id=last)
                    before = len(heard)
                    async for part in stream:
                        heard.append(part)
                        if len(heard) == before + 7:
                            break
                    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    assert [part.data for part in heard if part.event == "updates"] == UPDATES


async def test_all_connections_to_the_database_are_cut(database: str) -> None:
    """Server and worker make new ones; whoever looks on hears all of it, and what began anew says so."""

    def cut() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(CUT)

    with server(database) as (address, _):
        async with asyncio.timeout(PATIENCE):
            parts = await _heard(address, after=10, then=cut)

    updates = [part.data for part in parts if part.event == "updates"]
    attempts = [part.data["attempt"] for part in parts if part.event == "metadata"]
    assert [data for place, data in enumerate(updates) if data not in updates[:place]] == UPDATES
    assert len(updates) <= STEPS + len(attempts)  # a step for each attempt at most is told twice
    ids = [str(part.id) for part in parts[:-1]]
    assert ids == sorted(set(ids))
    assert parts[-1].event == "end"


async def test_a_worker_is_killed(server_database: str) -> None:
    """Another worker goes on with the run, the stream says so, and what was lost on the way is told again."""
    with server(server_database) as (address, _):
        with process(server_database, "worker", says="worker.started") as (_, first):
            killed = asyncio.Event()
            hearing = asyncio.create_task(_heard(address, after=10, then=killed.set))
            await asyncio.wait_for(killed.wait(), PATIENCE)
            first.kill()
        with process(server_database, "worker", says="worker.started"):
            async with asyncio.timeout(PATIENCE):
                parts = await hearing

    attempts = [part.data["attempt"] for part in parts if part.event == "metadata"]
    updates = [part.data for part in parts if part.event == "updates"]
    assert attempts == [1, 2]
    assert [data for place, data in enumerate(updates) if data not in updates[:place]] == UPDATES
    assert len(updates) <= STEPS + 1  # at most the step that was under way is told twice
    assert parts[-1].event == "end"


async def _heard(address: str, *, after: int, then: Any) -> list[StreamPart]:
    """What a run tells, and do something in the middle of it."""
    parts = []
    async with get_client(url=address, api_key=None) as client:
        thread_id = (await client.threads.create())["thread_id"]
        stream = client.runs.stream(
            thread_id, "steps", input=GIVEN, stream_mode="updates", stream_resumable=True
        )
        async for part in stream:
            parts.append(part)
            if len(parts) == after:
                then()
    return parts


@contextmanager
def server(database: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server without workers, which may be killed."""
    with process(database, "serve", "--port", "0", says="Serving ") as (line, started):
        yield line.split()[1], started


@contextmanager
def process(
    database: str, *command: str, says: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a command as a process until it says something, and give that line; at the end it is killed."""
    name, *options = command
    common = ["--url", database, "--config", str(SAMPLE)]
    started = subprocess.Popen(
        [sys.executable, "-m", "interlock", name, *common, *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | dict(environment or {}),
    )
    assert started.stderr is not None
    with started:
        try:
            said = []
            for line in started.stderr:
                said.append(line)
                if says in line:
                    break
            else:
                pytest.fail(f"{name} ended: {''.join(said)}")
            yield line, started
        finally:
            started.kill()
