"""Let many threads save steps at the same time, and note each that was acknowledged; made to be killed.

usage: saver_driver.py SAVER URL LOG NAME WRITERS

SAVER is a contestant of the benchmarks, or `hasty`: one that acknowledges before it has committed. Each writer makes
thread after thread, and deletes some of those that it has ended. What a step holds follows from the thread's name and
the step's number, so that everybody can tell it. Threads share much of what they hold, as forks do. A line of LOG is

    put THREAD CHECKPOINT          a checkpoint was acknowledged
    wrote THREAD CHECKPOINT        so was what a task wrote at it
    deleting THREAD                nothing is said about it from now on
    failed THREAD ERROR            it was not acknowledged; the writer reads where it is, and goes on
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from psycopg_pool import PoolTimeout, TooManyRequests

from benchmarks.savers.contestants import OPENINGS, OURS, Saver
from benchmarks.savers.graphs import text_of
from interlock.errors import InterlockError

LENGTH = 12
"""Steps of a thread."""
COMMON = 8
"""How many messages each thread begins with that all others have, too."""
LARGE = 150_000
EVERY = 8
"""Each so-manieth writer carries a large text, and deletes the threads that it has ended."""
PATIENCE = 120.0
"""Seconds in which a lost database must be back."""

HASTY = "hasty"
LOST = (psycopg.Error, PoolTimeout, TooManyRequests, InterlockError, OSError)
"""What a saver may raise when the database is gone; anything else ends this process."""

Values = dict[str, Any]  # as a checkpoint has them


_text = cache(text_of)


def expected(thread: str, step: int) -> Values:
    """Return what a thread holds at a step."""
    _, writer, _ = thread.split(".")
    large = int(writer) % EVERY == 0
    text = _text(LARGE if large else 200, seed=int(writer) % (4 * EVERY))
    place = step * 37 % len(text)
    return {
        "step": step,
        "seen": {"thread": thread, "step": step},
        "messages": [message(thread, number) for number in range(step)],
        "text": text[:place] + f"<{step}>" + text[place:],
    }


def message(thread: str, number: int) -> dict[str, str]:
    """Return a message of a thread: the first ones are the same in all of them."""
    of = "all" if number < COMMON else thread
    return {"role": "user", "content": f"{number} {_text(300, seed=(of, number))}"}


def task_of(thread: str, step: int) -> str:
    """Return the id of the task that runs after a step."""
    return str(uuid5(NAMESPACE_URL, f"{thread} {step}"))


def written(thread: str, step: int) -> list[tuple[str, Any]]:  # a channel and its value
    """Return what the task after a step writes."""
    return [("messages", [message(thread, step)]), ("seen", {"thread": thread, "step": step + 1})]


def config_of(thread: str, checkpoint: str | None = None) -> RunnableConfig:
    """Return how a thread, or one of its checkpoints, is named."""
    found: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    if checkpoint:
        found["configurable"]["checkpoint_id"] = checkpoint
    return found


class Log:
    """The outside file; what stands in it was acknowledged."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, *words: str) -> None:
        """Write a line, in one piece."""
        os.write(self._file, (" ".join(words) + "\n").encode())


class Writer:
    """Makes one thread after the other."""

    def __init__(self, saver: Saver, log: Log, name: str, begin: int) -> None:
        self._saver, self._log = saver, log
        self._name, self._generation = name, begin

    async def write(self) -> None:
        """Go on for as long as this process lives."""
        while True:
            thread = f"{self._name}.{self._generation}"
            while (found := await self._found(thread)) is None or _step(found) < LENGTH:
                try:
                    await self._go_on(thread, found)
                except LOST as error:
                    self._log.note("failed", thread, type(error).__name__)
            if self._generation % 2 == 0 and int(self._name.split(".")[1]) % EVERY == 0:
                await self._delete(thread)
            self._generation += 1

    async def _found(self, thread: str) -> CheckpointTuple | None:
        """Return where a thread is; wait for a database that is gone."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await self._saver.aget_tuple(config_of(thread))
                except LOST:
                    await asyncio.sleep(0.02)

    async def _go_on(self, thread: str, found: CheckpointTuple | None) -> None:
        """Save what a task wrote, and the step that follows from it, as LangGraph does: side by side."""
        config = found.config if found else config_of(thread)
        checkpoint = found.checkpoint if found else empty_checkpoint()
        for step in range(_step(found) if found else 0, LENGTH):
            following = self._following(thread, checkpoint, step + 1)
            await _both(
                self._save_writes(thread, config, step) if step else asyncio.sleep(0),
                self._save(thread, config, following, step + 1),
            )
            config, checkpoint = config_of(thread, following["id"]), following

    async def _save(
        self, thread: str, config: RunnableConfig, checkpoint: Checkpoint, step: int
    ) -> None:
        await self._saver.aput(
            config,
            checkpoint,
            {"source": "loop", "step": step, "parents": {}},
            checkpoint["channel_versions"],
        )
        self._log.note("put", thread, checkpoint["id"])

    async def _save_writes(self, thread: str, config: RunnableConfig, step: int) -> None:
        await self._saver.aput_writes(config, written(thread, step), task_of(thread, step))
        self._log.note("wrote", thread, config["configurable"]["checkpoint_id"])

    def _following(self, thread: str, before: Checkpoint, step: int) -> Checkpoint:
        versions: dict[str, Any] = dict(before["channel_versions"])  # strings, in these savers
        values = expected(thread, step)
        return {
            **empty_checkpoint(),
            "id": str(uuid6()),
            "channel_values": values,
            "channel_versions": {
                each: self._saver.get_next_version(versions.get(each), None) for each in values
            },
        }

    async def _delete(self, thread: str) -> None:
        self._log.note("deleting", thread)
        try:
            await self._saver.adelete_thread(thread)
        except LOST as error:
            self._log.note("failed", thread, type(error).__name__)


async def _both(*works: Awaitable[object]) -> None:
    """Wait for the end of each, and raise what the first one raised that failed."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _step(found: CheckpointTuple) -> int:
    return int(found.metadata["step"])


class Hasty:
    """A saver that acknowledges what it has not committed yet: whoever trusts it loses steps."""

    def __init__(self, saver: Saver) -> None:
        self._saver = saver
        self._open: set[asyncio.Task[object]] = set()

    def __getattr__(self, name: str) -> Any:  # whatever the saver has
        return getattr(self._saver, name)

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        await self._later(self._saver.aput(config, checkpoint, metadata, versions))
        return config_of(config["configurable"]["thread_id"], checkpoint["id"])

    async def aput_writes(self, config: Any, writes: Any, task_id: str) -> None:
        await self._later(self._saver.aput_writes(config, writes, task_id))

    async def _later(self, work: Coroutine[Any, Any, object]) -> None:  # as asyncio has it
        task = asyncio.create_task(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        await asyncio.sleep(0)


@asynccontextmanager
async def opened(name: str, url: str) -> AsyncIterator[Saver]:
    """Open a saver by its name."""
    async with OPENINGS[OURS if name == HASTY else name](url) as saver:
        hasty: Any = Hasty(saver)  # it has all that a saver has
        yield hasty if name == HASTY else saver


def last_generations(log: Path) -> dict[str, int]:
    """Return where each writer was when its process died."""
    found: dict[str, int] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        writer, _, generation = line.split()[1].rpartition(".")
        found[writer] = max(int(generation), found.get(writer, 0))
    return found


async def drive(saver_name: str, url: str, log: Path, name: str, writers: int) -> None:
    """Let the writers write until this process is killed."""
    begun = last_generations(log)
    async with opened(saver_name, url) as saver, asyncio.TaskGroup() as group:
        for number in range(writers):
            writer = f"{name}.{number}"
            group.create_task(Writer(saver, Log(log), writer, begun.get(writer, 0)).write())


if __name__ == "__main__":
    _, given_saver, given_url, given_log, given_name, given_writers = sys.argv
    asyncio.run(drive(given_saver, given_url, Path(given_log), given_name, int(given_writers)))
