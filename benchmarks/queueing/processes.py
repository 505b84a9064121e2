"""Clients and workers as processes of their own, and what they and the server take."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter

import psutil
import psycopg

from benchmarks.queueing.graphs import NOTES

ROOT = Path(__file__).parents[2]
CLIENT = "benchmarks.queueing.client"
SECONDS = 600
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast runs were done.

    Attributes:
        runs: a second.
        cpu: milliseconds of CPU that one took in our processes: clients and workers.
        server: the same for the processes of Postgres.
    """

    runs: float
    cpu: float
    server: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a contestant works: its database, the server's first process, and the application.

    Attributes:
        notes: the file in which nodes note when they begin.
    """

    url: str
    postmaster: int
    config: Path
    notes: Path

    @property
    def log(self) -> Path:
        """Where it is written what workers say."""
        return self.notes.with_suffix(".log")

    def said(self) -> str:
        """Return the end of what workers have said."""
        return self.log.read_text()[-3000:] if self.log.exists() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The processes of one contestant: those that ask, and the workers if it has any."""

    place: Place
    clients: Sequence[Process]
    workers: Sequence[Process]

    async def work(self, clients: int, runs: int, prefix: str) -> Pace:
        """Let so many clients in all ask for so many runs each."""
        share = max(clients // len(self.clients), 1)
        made = share * len(self.clients) * runs
        before, server, begun = self._cpu(), cpu_of_server(self.place.postmaster), perf_counter()
        spent = await asyncio.gather(
            *(
                _tell(each, [share, runs, f"{prefix}-{number}"])
                for number, each in enumerate(self.clients)
            )
        )
        seconds = perf_counter() - begun
        cpu = sum(spent) + self._cpu() - before
        return Pace(
            runs=made / seconds,
            cpu=cpu * 1000 / made,
            server=(cpu_of_server(self.place.postmaster) - server) * 1000 / made,
        )

    def _cpu(self) -> float:
        return sum(cpu_of(psutil.Process(each.pid)) for each in self.workers)


@asynccontextmanager
async def crew(way: str, place: Place, *, clients: int, workers: int) -> AsyncIterator[Crew]:
    """Start the processes of a contestant, and end them."""
    asking: list[Process] = []
    async with crew_of_workers(place, workers) as working:
        try:
            for _ in range(clients):
                asking.append(await _client(way, place))
                await _hear(asking[-1])  # one sets up the tables, and the next finds them
            yield Crew(place=place, clients=asking, workers=working)
        finally:
            await asyncio.gather(*map(_end_client, asking))


@asynccontextmanager
async def crew_of_workers(
    place: Place, number: int, *arguments: str
) -> AsyncIterator[list[Process]]:
    """Start some workers, wait until they are registered, and end them."""
    working = [await worker(place, *arguments) for _ in range(number)]
    try:
        await registered(place, working)
        yield working
    finally:
        await asyncio.gather(*map(end_worker, working))


async def worker(place: Place, *arguments: str) -> Process:
    """Start a worker with default settings."""
    environment = {name: text for name, text in os.environ.items() if "INTERLOCK_" not in name}
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "interlock", "worker", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=log,
        cwd=ROOT,
        env=environment
        | {
            "INTERLOCK_DATABASE_URL": place.url,
            "INTERLOCK_CONFIG": str(place.config),
            NOTES: str(place.notes),
        },
    )
    os.close(log)
    return started


async def registered(place: Place, working: Sequence[Process]) -> None:
    """Wait until all of these workers are known to the database."""
    deadline = monotonic() + 60
    async with await psycopg.AsyncConnection.connect(place.url, autocommit=True) as connection:
        while True:
            with suppress(psycopg.errors.UndefinedTable):  # the first one is still making it
                cursor = await connection.execute("select process from interlock.workers")
                known = {name.rpartition(":")[2] for (name,) in await cursor.fetchall()}
                if known >= {str(each.pid) for each in working}:
                    return
            if monotonic() > deadline or any(each.returncode is not None for each in working):
                raise RuntimeError(f"A worker did not begin to work:\n{place.said()}")
            await asyncio.sleep(0.05)


async def end_worker(process: Process) -> None:
    """Tell a worker to end, and wait."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(40):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def cpu_of(process: psutil.Process) -> float:
    """Return the seconds of CPU that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def cpu_of_server(postmaster: int) -> float:
    """Return the seconds of CPU that a server took so far, with those of its processes that have ended."""
    first = psutil.Process(postmaster)
    times = first.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for each in first.children():
        with suppress(psutil.Error):
            total += cpu_of(each)
    return float(total)


def memory_of(process: Process) -> float:
    """Return the megabytes that a process holds in memory."""
    return float(psutil.Process(process.pid).memory_info().rss / MEGABYTE)


async def _client(way: str, place: Place) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", CLIENT, way, place.url, str(place.config)),
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
        env=os.environ | {NOTES: str(place.notes)},
    )


async def _tell(process: Process, what: object) -> float:
    assert process.stdin  # noqa: S101  # for the type checker: it was asked for
    process.stdin.write(f"{json.dumps(what)}\n".encode())
    await process.stdin.drain()
    return float(await _hear(process))


async def _hear(process: Process) -> str:
    assert process.stdout  # noqa: S101  # as above
    async with asyncio.timeout(SECONDS):
        heard = (await process.stdout.readline()).decode().strip()
    if not heard:
        raise RuntimeError("A client ended in the middle of its work: its error stands above.")
    return heard


async def _end_client(process: Process) -> None:
    assert process.stdin  # noqa: S101  # as above
    process.stdin.close()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
