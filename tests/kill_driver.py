"""Run or resume a thread in a process of its own, note each task outside, and die by SIGKILL where told.

usage: kill_driver.py CONFIG URL THREAD LOG [--graph NAME --input JSON] [--kill NODE:NTH] [--answer QUESTION]

A line of LOG is `start NODE ID`, `finish NODE ID` or `pause NODE ID`. NODE may be inside a subgraph. The last line of
stdout is the run as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import interlock
from interlock import Approve, Interlock


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
    started: Counter[str] = Counter()
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with interlock.aopen(options.url, config=options.config) as il:
        async for part in parts_of(il, options):
            if part["type"] == "end":
                return told(part["data"])
            task = part["data"]
            word = word_for(task)
            os.write(log, f"{word} {task['name']} {task['id']}\n".encode())
            if word == "start":
                started[task["name"]] += 1
                if task["name"] == victim and started[victim] == int(nth or 1):
                    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("the stream had no end")


def word_for(task: dict[str, Any]) -> str:
    """A task starts, then finishes or pauses for a person; one that paused runs again when it is resumed."""
    if "input" in task:
        return "start"
    return "pause" if task.get("interrupts") else "finish"


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
