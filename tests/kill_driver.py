"""Run or resume a thread in a process of its own, note each task outside, and die by SIGKILL where told.

usage: kill_driver.py CONFIG URL THREAD LOG [--graph NAME --input JSON] [--kill NODE:NTH] [--answer QUESTION]

A line of LOG is `start NODE ID`, or `finish NODE ID` once the node's result is committed. NODE may be inside a
subgraph. The last line of stdout is the run as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

from langgraph.pregel._runner import PregelRunner
from langgraph.types import PregelExecutableTask

import interlock
from interlock import Approve, Interlock
from interlock.postgres.checkpoints import Saver

NOT_RESULTS = {"__interrupt__", "__error__", "__resume__"}
"""What is also written for a task that did not finish: a question, a failure, an answer."""


def parts_of(il: Interlock, options: argparse.Namespace) -> AsyncIterator[Any]:
    """Begin, answer or continue."""
    modes = ("tasks",)
    if options.graph:
        given = json.loads(options.input)
        return il.astream(options.graph, given, thread_id=options.thread, stream_mode=modes)
    answer = Approve(options.answer, by="tester") if options.answer else None
    return il.aresume_stream(options.thread, answer, stream_mode=modes)


async def drive(options: argparse.Namespace) -> dict[str, Any]:
    """Drive the thread and note what happens; never returns from the task that it is told to die in."""
    victim, _, nth = options.kill.partition(":")
    log = Log(options.log)
    log.note_commits()
    log.note_starts(victim, int(nth or 1))
    async with interlock.aopen(options.url, config=options.config) as il:
        async for part in parts_of(il, options):
            if part["type"] == "end":
                return told(part["data"])
    raise SystemExit("the stream had no end")


class Log:
    """The outside file: what started, and whose result the database has."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._open: dict[str, dict[str, str]] = {}
        self._started: Counter[str] = Counter()

    def start(self, namespace: str, name: str, task_id: str) -> tuple[str, int]:
        """Note a start, and tell which node started and how often it has in this process."""
        self._open.setdefault(namespace, {})[task_id] = name
        self._started[name] += 1
        os.write(self._file, f"start {name} {task_id}\n".encode())
        return name, self._started[name]

    def finish(self, namespace: str, task_ids: Iterable[str]) -> None:
        """Note tasks whose result is committed, each once."""
        for task_id in tuple(task_ids):
            if name := self._open.get(namespace, {}).pop(task_id, ""):
                os.write(self._file, f"finish {name} {task_id}\n".encode())

    def note_starts(self, victim: str, nth: int) -> None:
        """Watch what is run, and die there; LangGraph's stream also tells of tasks whose results are there."""
        run = PregelRunner.atick

        def atick(
            runner: PregelRunner, tasks: Iterable[PregelExecutableTask], **options: Any
        ) -> AsyncIterator[None]:
            begun = list(tasks)
            for task in begun:
                namespace = task.config["configurable"]["checkpoint_ns"].rpartition("|")[0]
                if self.start(namespace, task.name, task.id) == (victim, nth):
                    os.kill(os.getpid(), signal.SIGKILL)
            return run(runner, begun, **options)

        PregelRunner.atick = atick  # type: ignore[assignment, method-assign]  # as below

    def note_commits(self) -> None:
        """Watch the checkpointer: it commits a task's writes, or the checkpoint that holds those of a whole step."""
        put_writes, put = Saver.aput_writes, Saver.aput

        async def aput_writes(
            saver: Saver, config: Any, writes: Any, task_id: str, task_path: str = ""
        ) -> None:
            await put_writes(saver, config, writes, task_id, task_path)
            if not any(channel in NOT_RESULTS for channel, _ in writes):
                self.finish(config["configurable"]["checkpoint_ns"], [task_id])

        async def aput(
            saver: Saver, config: Any, checkpoint: Any, metadata: Any, new_versions: Any
        ) -> Any:
            namespace = config["configurable"]["checkpoint_ns"]
            # Those of the next step may start before it is committed.
            held = tuple(self._open.get(namespace, {}))
            saved = await put(saver, config, checkpoint, metadata, new_versions)
            self.finish(namespace, held)
            return saved

        Saver.aput_writes = aput_writes  # type: ignore[assignment, method-assign]  # this process only watches
        Saver.aput = aput  # type: ignore[assignment, method-assign]  # same


def told(run: Any) -> dict[str, Any]:
    """The run as JSON."""
    return {
        "status": run.status,
        "output": run.output,
        "attempts": run.attempts,
        "questions": [question.id for question in run.interrupts],
    }


def main() -> None:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser()
    for name in ("config", "url", "thread", "log"):
        parser.add_argument(name)
    for name in ("--graph", "--input", "--kill", "--answer"):
        parser.add_argument(name, default="")
    print(json.dumps(asyncio.run(drive(parser.parse_args()))))  # noqa: T201  # its result


if __name__ == "__main__":
    main()
