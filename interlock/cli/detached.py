"""Work on a thread in a process of its own, which outlives this one and its terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.cli.call import Call
from interlock.cli.folders import own_folder
from interlock.core.runs import Run
from interlock.errors import InterlockError, ThreadBusy
from interlock.wording import short

if TYPE_CHECKING:
    from interlock.facade import Interlock

TAKEOVER_SECONDS = 60.0
POLL_SECONDS = 0.05
LAST_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """A process that works on a thread."""

    pid: int
    log: Path


def detach(il: Interlock, call: Call, run: Run, *, model: str | None = None) -> Detached:
    """Start a process that goes on with a thread, and return once it has taken it.

    Raises:
        ThreadBusy: another process works on it.
        UsageError: there is nothing to go on with.
        InterlockError: it did not take the thread; the message has its last words.
    """
    _check(il, run)
    log = log_of(call, run.thread_id)
    process = _start(il, call, run, log, model)
    deadline = time.monotonic() + TAKEOVER_SECONDS
    while not _taken(il, run):
        if process.poll() is not None or time.monotonic() > deadline:
            raise _not_taken(run, log)
        time.sleep(POLL_SECONDS)
    return Detached(pid=process.pid, log=log)


def _check(il: Interlock, run: Run) -> None:
    if run.alive:
        raise ThreadBusy(
            f"Thread {run.thread_id} is being run by another process.",
            hint="Wait for it, or stop it; `interlock status` shows it.",
        )
    il.check_switch(run.run_id)
    if run.status in ("waiting", "succeeded", "cancelled"):
        il.resume(run.thread_id)  # refuses, and says why


def log_of(call: Call, thread_id: str) -> Path:
    """Return the file that a detached run writes to, in a folder that exists."""
    folder = own_folder(call, "logs")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{thread_id}.log"


def _start(
    il: Interlock, call: Call, run: Run, log: Path, model: str | None
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "interlock", "resume", run.thread_id]
    command += ["--model", model] if model else []
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | _environment(il, call),
        )


def _environment(il: Interlock, call: Call) -> dict[str, str]:
    """Return what the call was given, as variables: a password in a URL stays out of the process list."""
    given = {
        "INTERLOCK_CONFIG": str(call.config.absolute()) if call.config else "",
        "INTERLOCK_DATA_DIR": str(call.data_dir.expanduser().absolute()) if call.data_dir else "",
        "INTERLOCK_DATABASE_URL": call.url or "",
        "PYTHONPATH": os.pathsep.join(["", *sys.path][1:]) if "PYTHONPATH" in os.environ else "",
    }
    return {name: value for name, value in given.items() if value}


def _taken(il: Interlock, run: Run) -> bool:
    now = il.run(run.thread_id)
    return now.alive or now.run_id != run.run_id or now.attempts > run.attempts


def _not_taken(run: Run, log: Path) -> InterlockError:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = " ".join(lines[-LAST_LINES:]) or "nothing"
    return InterlockError(
        f"The detached process did not take thread {short(run.thread_id)}; it said: {said}",
        hint=f"Its log is {log}; `interlock resume {short(run.thread_id)}` works on it here.",
    )
