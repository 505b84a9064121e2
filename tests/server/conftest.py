"""A real server process on a real Postgres, once per module: its tests use threads of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO

import psycopg
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from interlock.postgres import embedded

OPEN = {"INTERLOCK_SERVER_KEY": "false"}
"""Tests make keys on the side of a server that goes on to take whoever sits at this machine."""

PATIENCE = 120.0

SAMPLE = Path(__file__).parent / "sample" / "langgraph.json"


@pytest.fixture(scope="module")
def server_database(
    postgres_server: embedded.EmbeddedServer, template_database: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address of a database for a module."""
    name = f"server_{request.module.__name__.rpartition('.')[2]}"
    _execute(postgres_server.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield postgres_server.url.replace("@/interlock?", f"@/{name}?")
    _execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def server(server_database: str) -> Iterator[str]:
    """The address of a server with workers inside, which serves the sample's graphs."""
    with serving(server_database) as address:
        yield address


@pytest.fixture
async def client(server: str) -> AsyncIterator[LangGraphClient]:
    """LangGraph's asynchronous client."""
    async with get_client(url=server, api_key=None) as client:
        yield client


@pytest.fixture
def sync_client(server: str) -> Iterator[SyncLangGraphClient]:
    """LangGraph's synchronous client."""
    with get_sync_client(url=server, api_key=None) as client:
        yield client


@contextmanager
def serving(
    database: str,
    *options: str,
    config: Path = SAMPLE,
    environment: Mapping[str, str] | None = None,
    workers: int = 8,
    said: list[str] | None = None,
) -> Iterator[str]:
    """Run `interlock serve` as a process, and give its address; it is stopped by a signal, and must end well.

    `said`: takes the lines of its log.
    """
    command = [sys.executable, "-m", "interlock", "serve", "--port", "0", "--url", database]
    command += ["--config", str(config), "--workers-inside", str(workers), *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | OPEN | dict(environment or {})
    )
    assert process.stderr is not None
    said = [] if said is None else said
    served: Queue[str] = Queue()
    listening = Thread(target=_listen, args=(process.stderr, said, served), daemon=True)
    listening.start()
    try:
        if not (address := served.get(timeout=PATIENCE)):
            pytest.fail(f"the server ended: {''.join(said)}")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        listening.join(timeout=10)
        process.stderr.close()
    assert process.returncode == 0, "".join(said)


def _listen(stderr: IO[str], said: list[str], served: Queue[str]) -> None:
    """Read all that a server says: a pipe that is full would hold it up; hand its address over, or an empty text."""
    for line in stderr:
        said.append(line)
        if line.startswith("Serving "):
            served.put(line.split()[1])
    served.put("")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
