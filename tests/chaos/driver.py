"""Drive a thread of the chaos graph, in a child process for each request, so that a death costs no new imports.

usage: driver.py CONFIG URL

A line of stdin is a request, as JSON. `{"thread": ..., "journal": ..., "recorder": ..., "deadly": [...],
"signal": ..., "answers": {...}, "out": ...}` forks a child and prints its pid; the child goes on with the thread, or
begins it, and writes the run to OUT. `{"wait": PID}` prints the child's exit code, as `subprocess` has it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import interlock
from interlock import Approve, Edit, Interlock, Reject
from interlock.core.answers import AnswerForm
from interlock.core.runs import Run
from interlock.errors import AnswerRefused, NotFound, ThreadBusy, UsageError
from tests.chaos import client
from tests.chaos.fate import Fate, watch

PATIENCE = 120.0
"""Seconds that a process waits for another one that holds its thread."""

OVERTAKEN = (ThreadBusy, AnswerRefused, UsageError)
"""What a process is told when a rival was faster: to go on, to answer, to end; or when Postgres has not yet seen the
death of the one before."""


async def drive(config: str, url: str, asked: dict[str, Any]) -> Run:  # JSON
    """Go on with a thread, or begin it; the answers hold if the thread still waits for them."""
    async with interlock.aopen(url, config=config) as il:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await _gone_on(il, asked["thread"], asked["answers"])
            except OVERTAKEN:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.01)


async def _gone_on(il: Interlock, thread: str, answers: dict[str, Any]) -> Run:
    try:
        run = await il.arun(thread)
    except NotFound:
        return await il.ainvoke("chaos", {}, thread_id=thread)
    if run.status == "succeeded":
        return run
    if run.status != "waiting":
        return await il.aresume(thread)
    given = [_answer(each.id, answers[each.id]) for each in run.interrupts if each.id in answers]
    return await il.aresume(thread, given) if given else run


def _answer(question: str, given: dict[str, Any]) -> AnswerForm:  # JSON
    match given["type"]:
        case "approve":
            return Approve(question, by="tester")
        case "edit":
            return Edit(question, given["arguments"], by="tester")
        case _:
            return Reject(question, by="tester")


def told(run: Run) -> dict[str, Any]:  # JSON
    """Return the run as the test reads it."""
    questions = [
        {"id": each.id, "kind": each.kind, "arguments": dict(each.arguments)}
        for each in run.interrupts
    ]
    output = run.output and {
        **{key: run.output[key] for key in ("receipts", "inner")},
        "tools": [
            [each.name, each.content, each.status]
            for each in run.output["messages"]
            if each.type == "tool"
        ],
    }
    return {"status": run.status, "output": output, "questions": questions}


def child(config: str, url: str, asked: dict[str, Any]) -> None:  # JSON
    """Drive in this process, and end it."""
    code = 1
    try:
        os.environ[client.ADDRESS] = asked["recorder"]
        journal = os.open(asked["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        watch(Fate(journal, frozenset(asked["deadly"]), asked["signal"]))
        run = asyncio.run(drive(config, url, asked))
        Path(asked["out"]).write_text(json.dumps(told(run)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Import what every child needs, and serve requests until stdin ends."""
    config, url = sys.argv[1:]
    _warm(config)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif (answer := os.fork()) == 0:
            child(config, url, asked)
        print(answer, flush=True)  # noqa: T201  # its answer


def _warm(config: str) -> None:
    from interlock.application import Application

    Application.find(Path(config)).graph("chaos")
    assert callable(interlock.aopen)


if __name__ == "__main__":
    main()
