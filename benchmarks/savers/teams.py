"""Worker processes that are told together what to do."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKER = "benchmarks.savers.worker"
SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast some work was done.

    Attributes:
        steps: supersteps a second.
        cpu: milliseconds of CPU that one took in our processes; the server's are not in it.
    """

    steps: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One contestant in one process or more."""

    members: tuple[Process, ...]

    async def work(self, threads: int, steps: int) -> Pace:
        """Let so many threads in all make so many steps each."""
        share = threads // len(self.members)
        made = share * len(self.members) * steps
        begun = time.perf_counter()
        spent = await asyncio.gather(*(_tell(each, share, steps) for each in self.members))
        return Pace(steps=made / (time.perf_counter() - begun), cpu=sum(spent) * 1000 / made)


@asynccontextmanager
async def team(contestant: str, url: str, *, processes: int) -> AsyncIterator[Team]:
    """Start the processes one after the other, and end them."""
    members: list[Process] = []
    try:
        for _ in range(processes):
            members.append(await _start(contestant, url))
            await _hear(members[-1])  # one sets up the tables, and the next finds them
        yield Team(members=tuple(members))
    finally:
        await asyncio.gather(*map(_end, members))


async def _start(contestant: str, url: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", WORKER, contestant, url), stdin=PIPE, stdout=PIPE, cwd=ROOT
    )


async def _tell(member: Process, threads: int, steps: int) -> float:
    assert member.stdin  # noqa: S101  # for the type checker: it was asked for
    member.stdin.write(f"{json.dumps([threads, steps])}\n".encode())
    await member.stdin.drain()
    return float(await _hear(member))


async def _hear(member: Process) -> str:
    assert member.stdout  # noqa: S101  # as above
    async with asyncio.timeout(SECONDS):
        heard = (await member.stdout.readline()).decode().strip()
    if not heard:
        raise RuntimeError("A worker ended in the middle of its work: its error stands above.")
    return heard


async def _end(member: Process) -> None:
    """Close its input, which lets it leave, and wait."""
    assert member.stdin  # noqa: S101  # as above
    member.stdin.close()
    try:
        async with asyncio.timeout(10):
            await member.wait()
    except TimeoutError:
        member.kill()
        await member.wait()
