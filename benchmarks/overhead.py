"""What Interlock costs: a run's overhead, the command line's start, the demo's memory.

    python -m benchmarks.overhead [--quick] [--json]

- A graph of three nodes without a model: `Interlock.ainvoke` beside plain `ainvoke` with LangGraph's own saver and
  pool, on the same embedded server, each run on a new thread. The stock saver runs twice: as it comes (it writes
  checkpoints behind the next step), and with `durability="sync"`, which is how Interlock writes them.
- `interlock --help` as a whole process, beside a Python that does nothing.
- The offline demo in a process of its own. Its own peak is what the kernel counted (`ru_maxrss`, the largest of it and
  the children that it waited for). Postgres is counted by PSS, sampled while the demo runs: memory that its processes
  share is counted once. Both peaks are added up, although they need not fall together.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from typing_extensions import TypedDict

import interlock
from benchmarks import Contestant, Goal, Row, below, compared, interleaved, options, report
from interlock.core.context import Context
from interlock.postgres import embedded

ROOT = Path(__file__).parents[1]
DEMO = ("demo",)
MEGABYTE = 1024 * 1024
INTERLOCK = "interlock ainvoke"
HELP = "interlock --help"
STOCK = "stock saver, plain ainvoke"
STOCK_SYNC = "stock saver, durability sync"


class Number(TypedDict):
    """A number that each node makes larger."""

    number: int


async def one_more(state: Number) -> Number:
    """Add one."""
    return {"number": state["number"] + 1}


def build() -> StateGraph[Number, Context, Number, Number]:
    """Return a graph of three nodes."""
    builder: StateGraph[Number, Context, Number, Number] = StateGraph(Number, Context)
    for before, node in ((START, "first"), ("first", "second"), ("second", "third")):
        builder.add_node(node, one_more)
        builder.add_edge(before, node)
    builder.add_edge("third", END)
    return builder


graph = build().compile(name="three")


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0])
    with _folder() as folder:
        runs = asyncio.run(_runs(folder, rounds=40 if given.quick else 300))
        starts = asyncio.run(_starts(rounds=5 if given.quick else 20))
        goals, memory = _memory(folder)
    on_top = _figure(runs, INTERLOCK, "on top ms")
    start = _figure(starts, HELP, "median ms")
    goals = [
        below("a run of 3 nodes, on top of the stock saver", on_top, "ms", 15),
        below(f"{HELP}, whole process", round(start / 1000, 3), "s", 0.5),
        *goals,
    ]
    report(goals, [*runs, *starts, *memory], as_json=given.as_json)


def _figure(rows: Sequence[Row], name: str, figure: str) -> float:
    return next(float(str(row[figure])) for row in rows if row["name"] == name)


async def _runs(folder: Path, *, rounds: int) -> list[Row]:
    application = folder / "application"
    application.mkdir()
    config = application / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"three": "benchmarks.overhead:graph"}}))
    with embedded.start(folder / "runs") as server:
        async with (
            interlock.aopen(server.url, config=config) as il,
            _stock_pool(server.url) as pool,
        ):
            saver = AsyncPostgresSaver(pool)
            await saver.setup()
            stock = build().compile(checkpointer=saver)

            async def durable() -> object:
                return await il.ainvoke("three", {"number": 0})

            async def plain() -> object:
                return await stock.ainvoke({"number": 0}, _thread())

            async def plain_sync() -> object:
                return await stock.ainvoke({"number": 0}, _thread(), durability="sync")

            contestants = {STOCK: plain, STOCK_SYNC: plain_sync, INTERLOCK: durable}
            return compared(await interleaved(contestants, rounds=rounds), to=STOCK)


def _stock_pool(url: str) -> AsyncConnectionPool[AsyncConnection[DictRow]]:
    """Return a pool as LangGraph's documentation makes it."""
    return AsyncConnectionPool(
        url,
        open=False,
        max_size=8,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    )


def _thread() -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid4())}}


async def _starts(*, rounds: int) -> list[Row]:
    nothing = "python, doing nothing"
    commands = {
        nothing: [sys.executable, "-c", "pass"],
        HELP: [sys.executable, "-m", "interlock", "--help"],
    }

    def contestant(command: list[str]) -> Contestant:
        async def start() -> object:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL
            )
            if await process.wait():
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
            return process

        return start

    contestants = {name: contestant(command) for name, command in commands.items()}
    return compared(await interleaved(contestants, rounds=rounds, warmup=1), to=nothing)


def _memory(folder: Path) -> tuple[list[Goal], list[Row]]:
    home = folder / "home"
    home.mkdir()
    home.chmod(0o711)
    ours = {name: text for name, text in os.environ.items() if not name.startswith("INTERLOCK_")}
    environment = ours | {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "INTERLOCK_CONFIG": str(ROOT / "langgraph.json"),
        "LANGSMITH_TRACING": "false",
    }
    began = time.perf_counter()
    log = home / "log"
    with _watching(home) as peak, log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "interlock", *DEMO],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"The demo ended with {process.returncode}:\n{log.read_text()}")
    # Linux counts in kB, macOS in bytes.
    own = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MEGABYTE
    server = peak["bytes"] / MEGABYTE
    row: Row = {
        "name": "interlock demo, offline",
        "seconds": round(time.perf_counter() - began, 1),
        "process MB": round(own),
        "postgres MB": round(server),
        "postgres processes": peak["processes"],
    }
    goal = below("the demo's memory, with its Postgres", round(own + server), "MB", 600)
    return [goal], [row]


@contextmanager
def _watching(folder: Path) -> Iterator[dict[str, int]]:
    """Sample the memory of the Postgres that works inside a folder."""
    peak = {"bytes": 0, "processes": 0}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            sizes = [_share(each) for each in psutil.process_iter() if _works_in(each, folder)]
            if sum(sizes) > peak["bytes"]:
                peak.update(bytes=sum(sizes), processes=len(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name().startswith("postgres") and Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


def _share(process: psutil.Process) -> int:
    """Return a process's own memory and its share of what it has in common with others."""
    try:
        used = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(used, "pss", used.uss))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)  # the server's own account passes through
        yield folder


if __name__ == "__main__":
    main()
