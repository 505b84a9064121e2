"""Workers as real processes, each with a way of its own to the database, and what can happen to them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import client
from tests.chaos.proxy import Proxy, UrlOf, proxies
from tests.chaos.steps import FOLDER

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "sample" / "running"
CONFIG = SAMPLE / "langgraph.json"
STARTED = re.compile(r" worker.started worker=(\w+) process=\S*:(\d+) ")
GRACE = 60.0
"""Seconds in which a worker that is told to end must have ended."""


@dataclass(slots=True, kw_only=True)
class Nursery:
    """The process whose children the workers are."""

    process: subprocess.Popen[str]
    guard: threading.Lock = field(default_factory=threading.Lock)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Start a command of `interlock`, and return its pid."""
        asked = {"arguments": arguments, "environment": environment, "log": str(log)}
        answer = self._ask(asked)
        assert answer is not None
        return answer

    def wait(self, pid: int, seconds: float) -> int | None:
        """Return the exit code of a child; None when it has not ended in time."""
        deadline = time.monotonic() + seconds
        while (code := self._ask({"wait": pid, "seconds": 0})) is None:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.01)
        return code

    def _ask(self, asked: Mapping[str, object]) -> int | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.guard:
            self.process.stdin.write(f"{json.dumps(asked)}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        assert answer, "the process that starts workers has ended"
        found: int | None = json.loads(answer)
        return found


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker, over all the processes that play it."""

    number: int
    nursery: Nursery
    proxy: Proxy
    folder: Path
    arguments: Sequence[str]
    environment: Mapping[str, str]
    pid: int = 0

    @property
    def log(self) -> Path:
        """Where it is written what they say."""
        return self.folder / f"worker-{self.number}.log"

    def said(self) -> str:
        """Return what its processes have said."""
        return self.log.read_text() if self.log.exists() else ""

    def lives(self) -> dict[str, int]:
        """Return each name under which it worked, with the process that did."""
        return {name: int(pid) for name, pid in STARTED.findall(self.said())}

    def start(self, **environment: str) -> None:
        """Start a process, again where it finds no database to begin with, as whatever keeps services up does."""
        given = {**self.environment, "INTERLOCK_DATABASE_URL": self.proxy.url, **environment}
        before, deadline = len(self.lives()), time.monotonic() + GRACE
        while True:
            self.pid = self.nursery.start(["worker", *self.arguments], given, self.log)
            while (code := self.nursery.wait(self.pid, 0.05)) is None:
                assert time.monotonic() < deadline, self._why()
                if len(self.lives()) > before:
                    return
            assert code == 1, f"{self.log} did not begin, and ended with {code}:\n{self.said()}"

    def kill(self) -> float:
        """End it without a warning; return when, by the machine's clock."""
        return self._end(signal.SIGKILL, {-signal.SIGKILL})

    def term(self) -> float:
        """Tell it to end, and see that it does so as it should; return when it was told."""
        return self._end(signal.SIGTERM, {0})

    def freeze(self) -> None:
        """Let it stand still."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, by: signal.Signals, expected: set[int]) -> float:
        when = time.time()
        os.kill(self.pid, by)
        code = self.nursery.wait(self.pid, GRACE)
        why = self._why() if code is None else self.said()[-3000:]
        assert code in expected, f"{self.log} ended with {code}:\n{why}"
        self.pid = 0
        return when

    def _why(self) -> str:
        """Let a process that does not end, or not begin, say what it waits for."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(2)
        return self.said()[-20000:]


def lives(workers: Sequence[Worker]) -> dict[str, int]:
    """Return each name under which one of them worked, with the process that did."""
    return {name: pid for each in workers for name, pid in each.lives().items()}


@contextmanager
def fleet(
    number: int, url_of: UrlOf, folder: Path, recorder: str, arguments: Sequence[str]
) -> Iterator[list[Worker]]:
    """Some workers that were not started yet; whatever still runs of them at the end is killed."""
    environment = {
        FOLDER: str(folder),
        client.ADDRESS: recorder,
        "INTERLOCK_POLICY": str(SAMPLE / "policy.toml"),
        "INTERLOCK_CONFIG": str(CONFIG),
    }
    with nursery() as children, proxies(number, url_of) as ways:
        workers = [
            Worker(
                number=n,
                nursery=children,
                proxy=way,
                folder=folder,
                arguments=arguments,
                environment=environment,
            )
            for n, way in enumerate(ways)
        ]
        try:
            yield workers
        finally:
            for each in workers:
                if each.pid:
                    with suppress(ProcessLookupError):
                        os.kill(each.pid, signal.SIGKILL)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A process that starts workers, which are gone when it ends."""
    command = [sys.executable, "-m", "tests.chaos.zygote", str(CONFIG)]
    process = subprocess.Popen(  # our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]
    )
    try:
        yield Nursery(process=process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
