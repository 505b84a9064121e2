"""Databases on a server that notes when each row was committed, each with an application beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

from benchmarks.queueing.graphs import application
from benchmarks.queueing.processes import Place
from benchmarks.savers.databases import database, folder
from interlock.postgres import embedded
from interlock.postgres.migrations import migrate

_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where everything is measured."""

    folder: Path
    url: str
    postmaster: int
    config: Path


@contextmanager
def ground() -> Iterator[Ground]:
    """Start a server, and write an application down."""
    with folder() as made:
        with embedded.start(made / "server") as first, psycopg.connect(first.url) as connection:
            connection.autocommit = True
            connection.execute("alter system set track_commit_timestamp = on")
        with embedded.start(made / "server") as server:
            config = application(made / "application")
            yield Ground(folder=made, url=server.url, postmaster=server.pid, config=config)


@asynccontextmanager
async def place(on: Ground) -> AsyncIterator[Place]:
    """Make a database with our tables, and drop it again."""
    async with database(on.url) as url:
        await migrate(url)
        yield Place(
            url=url,
            postmaster=on.postmaster,
            config=on.config,
            notes=on.folder / f"notes-{next(_numbers)}",
        )


async def lines(path: Path, number: int, *, seconds: float) -> None:
    """Wait until a file has so many lines."""
    async with asyncio.timeout(seconds):
        while True:
            if _lines(path) >= number:
                return
            await asyncio.sleep(0.01)


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0
