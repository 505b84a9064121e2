"""One server's share in the rounds: a client of its own, and what came of each task."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import LiteralString

import psycopg

from benchmarks.serving.client import Done, Kind
from benchmarks.serving.contestants import ROOT, Server, Start, cpu_of

SECONDS = 300
LEFT: LiteralString = "select count(*) from interlock.run_cards where on_completion = 'delete'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast runs were done.

    Attributes:
        runs: a second.
        each: the seconds that each took.
        server: milliseconds of CPU that one took in the server's processes.
        database: the same for its Postgres.
        client: the same for the client's process.
    """

    runs: float
    each: Sequence[float]
    server: float
    database: float
    client: float

    @property
    def cpu(self) -> float:
        """All CPU that one took."""
        return self.server + self.database


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """How many streams were opened, and the bytes that each takes in a server's processes and in its Postgres."""

    streams: int
    server: float
    database: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A server, and the process that asks it."""

    server: Server
    client: Process

    async def pace(self, kind: Kind, clients: int, runs: int, seconds: float) -> Pace:
        """Let so many clients ask for so many runs each, or for so long; what is done about these afterwards counts."""
        before, asked = self.server.usage(), cpu_of(self.client.pid)
        done = await self._do(kind, clients, runs, seconds)
        asked = cpu_of(self.client.pid) - asked
        if kind == "stateless":
            await self._swept()
        after, made = self.server.usage(), len(done["each"])
        return Pace(
            runs=made / done["seconds"],
            each=done["each"],
            server=(after.server - before.server) * 1000 / made,
            database=(after.database - before.database) * 1000 / made,
            client=asked * 1000 / made,
        )

    async def first_tokens(self, runs: int) -> Sequence[float]:
        """Return the seconds until the first token of each of some runs, one after the other."""
        return (await self._do("words", 1, runs))["each"]

    async def grown(self, streams: int) -> Grown:
        """Open streams on which nothing happens, and close them; what the first one loads is no stream's."""
        await self._do("open", 1, 0)
        await self._do("close", 1, 0)
        before = self.server.memory()
        opened = len((await self._do("open", streams, 0))["each"])
        after = self.server.memory()
        await self._do("close", streams, 0)
        return Grown(
            streams=opened,
            server=(after.server - before.server) / max(opened, 1),
            database=(after.database - before.database) / max(opened, 1),
        )

    async def _do(self, kind: Kind, clients: int, runs: int, seconds: float = SECONDS) -> Done:
        assert self.client.stdin  # noqa: S101  # for the type checker
        task = {"kind": kind, "clients": clients, "runs": runs, "seconds": seconds}
        self.client.stdin.write(f"{json.dumps(task)}\n".encode())
        await self.client.stdin.drain()
        done: Done = json.loads(await _line(self.client))
        return done

    async def _swept(self) -> None:
        """Wait until threads of runs that leave nothing behind are gone, where they go later."""
        if not self.server.sweeps or not self.server.database:
            return
        deadline = monotonic() + SECONDS
        async with await psycopg.AsyncConnection.connect(
            self.server.database, autocommit=True
        ) as connection:
            while monotonic() < deadline:
                row = await (await connection.execute(LEFT)).fetchone()
                if row == (0,):
                    return
                await asyncio.sleep(0.5)
        raise RuntimeError(f"Threads of {self.server.name} were not removed.")


@asynccontextmanager
async def team(start: Start, folder: Path) -> AsyncIterator[Team]:
    """Start a server, and the process that asks it; end both."""
    async with start(folder) as server:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.serving.client", server.url),
            stdin=PIPE,
            stdout=PIPE,
            cwd=ROOT,
        )
        try:
            await _line(client)
            yield Team(server=server, client=client)
        finally:
            assert client.stdin  # noqa: S101  # as above
            client.stdin.close()
            await client.wait()


async def _line(client: Process) -> str:
    assert client.stdout  # noqa: S101  # as above
    async with asyncio.timeout(SECONDS):
        heard = (await client.stdout.readline()).decode().strip()
    if not heard:
        raise RuntimeError("A client ended in the middle of its work: its error stands above.")
    return heard
