"""Workers beside a test, in its process, and what the test looks at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg

import interlock
from interlock import Interlock, Run
from interlock.core.run_states import RunStatus
from interlock.worker.log import Log
from interlock.worker.working import Plan, Worker

CONFIG = Path(__file__).parent / "sample" / "working" / "langgraph.json"
PATIENCE = 120.0


@dataclass
class Working:
    """A worker that works in a task, and the lines that it wrote."""

    il: Interlock
    worker: Worker
    told: list[str]
    task: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        self.task = asyncio.create_task(self.worker.run())

    async def stopped(self) -> None:
        """Stop it, and wait until it has ended."""
        self.worker.stop()
        await asyncio.wait_for(self.task, PATIENCE)

    def said(self, action: str) -> int:
        """How often it told of something."""
        return sum(f" {action}" in line for line in self.told)


@asynccontextmanager
async def worker_at(
    url: str, plan: Plan | None = None, *, grace: float = 20.0, config: Path = CONFIG
) -> AsyncIterator[Working]:
    """A worker with a runtime of its own; at the end it is stopped."""
    told: list[str] = []
    async with interlock.aopen(url, config=config) as il:
        log = Log(write=told.append, verbose=True)
        working = Working(il, Worker(il, plan or Plan(), grace=grace, log=log), told)
        await until(lambda: working.said("worker.started"))
        try:
            yield working
        finally:
            if not working.task.done():
                working.worker.stop()
                working.worker.stop()
            await asyncio.wait([working.task], timeout=PATIENCE)


async def until(holds: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
    """Wait until something holds, and return it; it may be awaitable."""
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)


async def rows(url: str, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    """Look into the database, or change it."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []


def steps(folder: Path, number: int = 2, **more: Any) -> dict[str, Any]:
    """The input of a run of so many steps."""
    return {"folder": str(folder), "steps": number, "done": 0, **more}


async def ended(il: Interlock, thread: str, status: RunStatus = "succeeded") -> Run:
    """Wait until the run of a thread stands as it should, and return it."""

    async def run() -> Run | None:
        found = await il.arun(thread)
        return found if found.status == status else None

    found: Run = await until(run)
    return found


def lines(folder: Path, name: str = "log") -> list[str]:
    """What was noted outside; without the processes."""
    path = folder / name
    written = path.read_text().splitlines() if path.exists() else []
    return [" ".join(line.split()[:2]) for line in written]
