"""Start workers, each a child of one process that has imported everything: a restart costs no new imports.

usage: zygote.py CONFIG

A line of stdin is a request, as JSON. `{"arguments": [...], "environment": {...}, "log": ...}` forks a child, which
runs that command of `interlock`, and prints its pid. `{"wait": PID, "seconds": ...}` prints the child's exit code, as
`subprocess` has it, or `null` when it has not ended by then.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.unfenced import UNFENCED, take_away_the_fence


def child(asked: dict[str, Any]) -> None:  # JSON
    """Run a command in this process, and end it."""
    from interlock.cli.program import execute

    code = 70
    try:
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(target, stream)
        os.environ.update(asked["environment"])
        signal.signal(signal.SIGUSR1, tell_all)
        if UNFENCED in os.environ:
            take_away_the_fence()
        code = execute(asked["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tell_all(*_: object) -> None:
    """Say what each task and thread is waiting for: a process that does not end is asked before it is killed."""
    faulthandler.dump_traceback()
    for task in asyncio.all_tasks():
        print(f"{task.get_name()}:", file=sys.stderr)  # noqa: T201  # into its log
        for line in waits_for(task.get_coro()):
            print(f"    {line}", file=sys.stderr)  # noqa: T201  # same


def waits_for(awaited: Any) -> Iterator[str]:  # a coroutine, an asynchronous generator, or a future
    """Yield where a coroutine stands, and each that it waits for."""
    while awaited is not None:
        frames = (getattr(awaited, name, None) for name in ("cr_frame", "ag_frame", "gi_frame"))
        frame = next((each for each in frames if each is not None), None)
        yield f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else repr(awaited)
        names = ("cr_await", "ag_await", "gi_yieldfrom")
        awaited = next((each for n in names if (each := getattr(awaited, n, None))), None)


def ended(pid: int, seconds: float) -> int | None:
    """Return a child's exit code; None when it has not ended in time."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)


def main() -> None:
    """Import what every child needs, and serve requests until stdin ends."""
    _warm(Path(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        answer: int | None
        if "wait" in asked:
            answer = ended(asked["wait"], asked["seconds"])
        elif (answer := os.fork()) == 0:
            child(asked)
        print(json.dumps(answer), flush=True)  # noqa: T201  # its answer


def _warm(config: Path) -> None:
    import interlock
    from interlock.application import Application

    application = Application.find(config)
    for name in application.targets:
        application.graph(name)
    assert callable(interlock.aopen)


if __name__ == "__main__":
    main()
