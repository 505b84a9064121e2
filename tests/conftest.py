"""A real Postgres for the tests: one server per session, one database per test."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from interlock.postgres import embedded
from tests.saying import Say, saying

os.environ.pop("COLUMNS", None)  # where tests run in several processes it is 80, and 80 alone

TEMPLATE = "template_interlock"
MIGRATIONS = "interlock.postgres.migrations"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path that the server's account can pass, for data directories."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-test-", dir=_fast_place()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(short_folder: Path) -> Iterator[embedded.EmbeddedServer]:
    """A running server with nothing in it."""
    with embedded.start(short_folder / "session") as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: embedded.EmbeddedServer) -> str:
    """The name of a database with our tables, to be cloned."""
    _execute(postgres_server.url, f"CREATE DATABASE {TEMPLATE}")
    module = importlib.import_module(MIGRATIONS) if importlib.util.find_spec(MIGRATIONS) else None
    migrate = getattr(module, "migrate", None)
    if migrate is not None:
        with ThreadPoolExecutor(1) as thread:  # away from the loop of the test that asked first
            thread.submit(asyncio.run, migrate(_url(postgres_server, TEMPLATE))).result()
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: embedded.EmbeddedServer, template_database: str) -> Iterator[str]:
    """The address of a fresh database with our tables, dropped after the test."""
    name = f"test_{next(_numbers)}"
    _execute(postgres_server.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield _url(postgres_server, name)
    _execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command with --json in this process and returns its code and its document."""
    return saying(capsys)


def _fast_place() -> str:
    """Return where files lie in memory, if there is room: syncing takes most of a test's time."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made in it is private and has a random name
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30
    return str(memory) if roomy and os.access(memory, os.W_OK) else "/tmp"  # noqa: S108 - as above


def _url(server: embedded.EmbeddedServer, database: str) -> str:
    return server.url.replace("@/interlock?", f"@/{database}?")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
