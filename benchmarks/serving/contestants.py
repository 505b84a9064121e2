"""The servers that are compared: each a process or two, with a Postgres of its own where it has one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from urllib.parse import unquote

import httpx
import psutil
import psycopg
from psycopg import sql

from benchmarks.serving.bare import DATABASE
from interlock.postgres import embedded

AT_ONCE = 16
"""How many runs each works on at once, where it can be told."""

AEGRA = "BENCHMARK_AEGRA"
"""The variable that names a virtual environment that has `aegra-api`, which does not fit into ours."""

ROOT = Path(__file__).parents[2]
SECONDS = 60
OURS, PROCESSES, APART = "interlock", "interlock, 2 processes", "interlock, worker apart"
LANGGRAPH, AEGRAS = "langgraph dev", "aegra"
NOTHING = "nothing"
MEMORY, STOCK = "memory, nothing else", "LangGraph's saver, nothing else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Seconds of CPU that were taken so far.

    Attributes:
        server: by the processes of a server, and its workers.
        database: by its Postgres.
    """

    server: float
    database: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that takes requests.

    Attributes:
        postmaster: the first process of its Postgres; None without one.
        database: the address of that.
    """

    name: str
    url: str
    processes: Sequence[Process]
    postmaster: int | None = None
    database: str | None = None

    @property
    def sweeps(self) -> bool:
        """Whether it removes the threads of runs that leave nothing behind only a while after they were answered."""
        return self.name in (OURS, PROCESSES, APART)

    def usage(self) -> Usage:
        """Return what it has taken so far."""
        return Usage(
            server=sum(cpu_of(each.pid) for each in self.processes),
            database=cpu_of(self.postmaster) if self.postmaster else 0.0,
        )

    def memory(self) -> Usage:
        """Return the bytes that nobody else holds: those of the server, and those of its Postgres."""
        return Usage(
            server=sum(_memory(each.pid) for each in self.processes),
            database=_memory(self.postmaster) if self.postmaster else 0.0,
        )


Start = Callable[[Path], AbstractAsyncContextManager[Server]]
"""Starts a server in a folder of its own, and ends it."""


def contestants() -> Mapping[str, Start]:
    """Return all that can be measured here, by their names."""
    found: dict[str, Start] = {
        OURS: _interlock,
        PROCESSES: _processes,
        APART: _apart,
        LANGGRAPH: _langgraph,
    }
    return found | ({AEGRAS: _aegra} if _aegra_python() else {})


def bare() -> Mapping[str, Start]:
    """Return what others are held against, by names: servers that leave out most of what a server is for."""
    return {NOTHING: _nothing, MEMORY: _memory_alone, STOCK: _stock}


def missing() -> Sequence[str]:
    """Return a sentence for each that cannot be."""
    told = f"aegra was not measured: {AEGRA} names no virtual environment that has it."
    return () if _aegra_python() else (told,)


def _aegra_python() -> Path | None:
    path = Path(os.environ.get(AEGRA) or "/nowhere") / "bin" / "python"
    return path if path.exists() else None


@asynccontextmanager
async def _interlock(folder: Path) -> AsyncIterator[Server]:
    async with _ours(OURS, folder, "--workers-inside", str(AT_ONCE)) as server:
        yield server


@asynccontextmanager
async def _processes(folder: Path) -> AsyncIterator[Server]:
    options = ("--workers-inside", str(AT_ONCE // 2), "--processes", "2")
    async with _ours(PROCESSES, folder, *options) as server:
        yield server


@asynccontextmanager
async def _nothing(folder: Path) -> AsyncIterator[Server]:
    """Start a server that answers at once and does nothing: what remains is the client's."""
    async with _plain(NOTHING, "benchmarks.serving.nothing:app", folder) as server:
        yield server


@asynccontextmanager
async def _memory_alone(folder: Path) -> AsyncIterator[Server]:
    """Start a server that runs graphs in the request, and keeps all in memory."""
    async with _plain(MEMORY, "benchmarks.serving.bare:app", folder) as server:
        yield server


@asynccontextmanager
async def _stock(folder: Path) -> AsyncIterator[Server]:
    """Start the same with LangGraph's saver on a Postgres."""
    with embedded.start(folder / "postgres") as postgres:
        app = "benchmarks.serving.bare:app"
        async with _plain(STOCK, app, folder, {DATABASE: postgres.url}) as server:
            yield replace(server, postmaster=postgres.pid, database=postgres.url)


@asynccontextmanager
async def _plain(
    name: str, app: str, folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """Start an application behind uvicorn, and nothing between."""
    _made(folder)
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    path = {"PYTHONPATH": str(ROOT)}
    async with _process(command, folder, path | dict(settings or {})) as process:
        await _answers(f"http://127.0.0.1:{port}/ok", process, folder)
        yield Server(name=name, url=f"http://127.0.0.1:{port}", processes=(process,))


@asynccontextmanager
async def _apart(folder: Path) -> AsyncIterator[Server]:
    async with _ours(APART, folder) as server:
        assert server.database  # noqa: S101  # for the type checker
        options = _options(server.database, folder)
        command = [sys.executable, "-m", "interlock", "worker", "--concurrency", str(AT_ONCE)]
        async with _process([*command, *options], folder) as worker:
            yield Server(
                name=APART,
                url=server.url,
                processes=(*server.processes, worker),
                postmaster=server.postmaster,
                database=server.database,
            )


@asynccontextmanager
async def _ours(name: str, folder: Path, *options: str) -> AsyncIterator[Server]:
    config, port = _application(folder, "langgraph.json"), _free_port()
    with embedded.start(folder / "postgres") as postgres:
        command = [sys.executable, "-m", "interlock", "serve", "--port", str(port), *options]
        async with _process([*command, *_options(postgres.url, config.parent)], folder) as process:
            url = f"http://127.0.0.1:{port}"
            await _answers(f"{url}/ok", process, folder)
            yield Server(
                name=name,
                url=url,
                processes=(process,),
                postmaster=postgres.pid,
                database=postgres.url,
            )


def _options(database: str, folder: Path) -> Sequence[str]:
    return ("--url", database, "--config", str(folder / "langgraph.json"))


@asynccontextmanager
async def _langgraph(folder: Path) -> AsyncIterator[Server]:
    """Start LangGraph's own for development: all that it has is in memory."""
    _application(folder, "langgraph.json", dependencies=["."])
    port = _free_port()
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--port", str(port), "--no-browser"]
    command += ["--no-reload", "--n-jobs-per-worker", str(AT_ONCE)]
    command += ["--server-log-level", "WARNING"]
    quiet = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    async with _process(command, folder, quiet) as process:
        url = f"http://127.0.0.1:{port}"
        await _answers(f"{url}/ok", process, folder)
        yield Server(name=LANGGRAPH, url=url, processes=(process,))


@asynccontextmanager
async def _aegra(folder: Path) -> AsyncIterator[Server]:
    """Start Aegra as its package says, with uvicorn; it has LangGraph's saver on a Postgres."""
    _application(folder, "aegra.json")
    port = _free_port()
    with embedded.start(folder / "postgres") as postgres:
        _generate_uuids(postgres.url, folder / "share")
        command = [str(_aegra_python()), "-m", "uvicorn", "aegra_api.main:app"]
        command += ["--port", str(port), "--log-level", "warning", "--no-access-log"]
        settings = {
            "DATABASE_URL": unquote(postgres.url),  # it refuses signs of percent
            "AEGRA_CONFIG": "aegra.json",
            "LOG_LEVEL": "WARNING",
        }
        async with _process(command, folder, settings) as process:
            url = f"http://127.0.0.1:{port}"
            await _answers(f"{url}/health", process, folder)
            yield Server(
                name=AEGRAS,
                url=url,
                processes=(process,),
                postmaster=postgres.pid,
                database=postgres.url,
            )


def _generate_uuids(url: str, share: Path) -> None:
    """Give a server the one function that Aegra wants of `uuid-ossp`, which is not among what is embedded."""
    (share / "extension").mkdir(parents=True)
    (share / "extension" / "uuid-ossp.control").write_text("default_version = '1.1'\n")
    (share / "extension" / "uuid-ossp--1.1.sql").write_text(
        "create function uuid_generate_v4() returns uuid language sql as 'select gen_random_uuid()';"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        paths = sql.Literal(f"{share}:$system")
        connection.execute(sql.SQL("alter system set extension_control_path = {}").format(paths))
        connection.execute("select pg_reload_conf()")


def _made(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _application(folder: Path, name: str, **more: object) -> Path:
    """Write the graphs, and the file that names them; return its path."""
    _made(folder)
    shutil.copyfile(Path(__file__).with_name("graphs.py"), folder / "graphs.py")
    graphs = {each: f"./graphs.py:{each}" for each in ("three", "one", "words", "idle")}
    path = folder / name
    path.write_text(json.dumps({"graphs": graphs, **more}))
    return path


@asynccontextmanager
async def _process(
    command: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("INTERLOCK_")}
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, cwd=folder, env=kept | dict(settings or {})
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _answers(url: str, process: Process, folder: Path) -> None:
    """Wait until a server does."""
    deadline = monotonic() + SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            if process.returncode is not None or monotonic() > deadline:
                said = (folder / "log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"A server did not begin:\n{said}")
            await asyncio.sleep(0.1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _tree(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def cpu_of(pid: int) -> float:
    """Return the seconds of a process and all below it, with those of its processes that have ended."""
    total = 0.0
    for each in _tree(pid):
        with suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return float(total)


def _memory(pid: int) -> float:
    total = 0.0
    for each in _tree(pid):
        with suppress(psutil.Error):
            total += each.memory_full_info().uss
    return float(total)
