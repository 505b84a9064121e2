"""Threads of the chaos graph that are killed, resumed and answered truthfully until they end, and what is then true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from tests.chaos import client
from tests.chaos.fate import KILLED
from tests.chaos.recorder import Request, read

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "sample" / "chaos"
NAMES = tuple(
    [f"keyed_{n}" for n in range(1, 8)]
    + [f"probed_{n}" for n in range(1, 8)]
    + [f"plain_{n}" for n in range(1, 7)]
)
DEAD = -signal.SIGKILL
MOST_PROCESSES = 400
"""In one thread's life; more means that it does not get on."""


class Driver:
    """The process whose children drive threads."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        command = [
            sys.executable,
            str(HERE / "driver.py"),
            str(SAMPLE / "langgraph.json"),
            url,
        ]
        self._errors = (folder / "errors").open("w+")
        self._process = subprocess.Popen(  # our own driver
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
            env={**os.environ, "INTERLOCK_POLICY": str(SAMPLE / "policy.toml")},
        )

    def start(self, **asked: Any) -> int:  # JSON
        """Start a child, and return its pid."""
        return self._ask(asked)

    def wait(self, pid: int) -> int:
        """Return the exit code of a child."""
        return self._ask({"wait": pid})

    def errors(self) -> str:
        """Return what all children have said on stderr."""
        return Path(self._errors.name).read_text()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._errors.close()

    def _ask(self, asked: dict[str, Any]) -> int:  # JSON
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self.errors()
        return int(answer)


@dataclass
class Life:
    """One thread, from its beginning to its end, over all the processes that work on it."""

    driver: Driver
    folder: Path
    thread: str = field(default_factory=lambda: uuid4().hex)
    kills: int = 0
    _processes: int = 0

    @property
    def socket(self) -> str:
        """Where the recorder listens; the address of a unix socket must be short."""
        return str(self.folder / f"{self.thread[:8]}.sock")

    def start(
        self, deadly: set[str], answers: dict[str, Any], *, by: signal.Signals = signal.SIGKILL
    ) -> tuple[int, Path]:  # JSON
        """Start a process that goes on with the thread; return its pid, and the file of its outcome."""
        self._processes += 1
        assert self._processes < MOST_PROCESSES, "the thread does not get on"
        out = self.folder / f"{self.thread}.{self._processes}"
        pid = self.driver.start(
            thread=self.thread,
            journal=str(self._journal),
            recorder=self.socket,
            deadly=sorted(deadly),
            signal=by,
            answers=answers,
            out=str(out),
        )
        return pid, out

    def outcome(self, pid: int, out: Path) -> dict[str, Any] | None:  # JSON
        """Return the run as a process left it; None when it was killed."""
        code = self.driver.wait(pid)
        if code == DEAD:
            self.kills += 1
            return None
        assert code == 0, self.driver.errors()[-6000:]
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def go_on(
        self, deadly: set[str] | None = None, answers: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:  # JSON
        """Let one process go on with the thread."""
        return self.outcome(*self.start(deadly or set(), answers or {}))

    def live(
        self, deadly: set[str] | None = None, answers: dict[str, Any] | None = None
    ) -> dict[str, Any]:  # JSON
        """Go on to the thread's end, dying once at each boundary that is come to; it is taken out of `deadly`."""
        deadly, answers = set() if deadly is None else deadly, answers or {}
        while True:
            run = self.go_on(deadly, answers)
            if run is None:
                deadly.difference_update(self.fired)
            elif run["status"] == "succeeded":
                return run
            else:
                answers = self.truth(run)

    def truth(self, run: dict[str, Any]) -> dict[str, Any]:  # JSON
        """Return an answer to each question of a run: consent, and what the recorder knows of what happened."""
        assert run["status"] == "waiting", run
        assert run["questions"], run
        return {each["id"]: self._true(each) for each in run["questions"]}

    def requests(self) -> list[Request]:
        """Return what was asked of the world by anybody so far, also by processes that are dead by now."""
        client.ask({"sync": True}, self.socket)
        return read(self._book)

    def effects(self) -> Counter[str]:
        """Return how often each action had an effect."""
        return Counter(each.name for each in self.requests() if each.effect)

    def journal(self) -> list[tuple[str, str, int]]:
        """Return boundary, action and attempt of everything that processes came to, deaths as `killed BOUNDARY`."""
        found = []
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        for line in lines:
            boundary, action, attempt = line.rsplit(" ", 2)
            found.append((boundary, action, int(attempt)))
        return found

    @property
    def fired(self) -> list[str]:
        """The boundaries at which processes of this thread have died."""
        return [
            f"{boundary.removeprefix(KILLED)}:{action.strip('-')}"
            for boundary, action, _ in self.journal()
            if boundary.startswith(KILLED)
        ]

    @property
    def _journal(self) -> Path:
        return self.folder / f"{self.thread}.journal"

    @property
    def _book(self) -> Path:
        return self.folder / f"{self.thread}.book"

    def _true(self, question: dict[str, Any]) -> dict[str, Any]:  # JSON
        if question["kind"] == "approval":
            return {"type": "approve"}
        action = question["arguments"]["action"]
        found = [each.result for each in self.requests() if each.name == action]
        if not found:
            return {"type": "reject"}
        return {"type": "edit", "arguments": {"result": found[-1]}}


@contextmanager
def living(driver: Driver) -> Iterator[Life]:
    """A new thread, with a world of its own around it."""
    life = Life(driver, driver.folder)
    recorder = subprocess.Popen(  # our own recorder
        [sys.executable, str(HERE / "recorder.py"), life.socket, str(life._book)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "ready\n"
        yield life
    finally:
        recorder.kill()
        recorder.wait()
        assert recorder.stdout is not None
        recorder.stdout.close()


def check(life: Life, run: dict[str, Any], undisturbed: dict[str, Any]) -> None:  # JSON
    """Assert that nothing was done twice, left out, or guessed, and that the outcome is as if nobody had died."""
    effects, once = life.effects(), Counter(NAMES)
    assert effects == once, f"too often: {effects - once}, too seldom: {once - effects}"
    assert run["output"] == undisturbed["output"], run["output"]
    ledger = [(row["action"], row["status"]) for row in _rows(life, _EFFECTS)]
    assert sorted(ledger) == sorted((name, "done") for name in NAMES), ledger
    check_questions(life)


def check_questions(life: Life) -> None:
    """Assert that a person was asked what became of an attempt if, and only if, nothing else could tell."""
    journal = life.journal()
    begun = {(name, n) for boundary, name, n in journal if boundary == "after-intention"}
    ending = {(name, n) for boundary, name, n in journal if boundary == "before-result"}
    ended = {(name, n) for boundary, name, n in journal if boundary == "after-result"}
    died = {(name, n) for boundary, name, n in journal if boundary == f"{KILLED}before-result"}
    must = {each for each in (begun - ending) | died if each[0].startswith("plain")}
    asked = set(asked_about(life))
    assert must <= asked, (must, asked)
    assert all(name.startswith("plain") for name, _ in asked), asked
    assert not asked & ended, (asked, ended)


def asked_about(life: Life) -> list[tuple[str, int]]:
    """Return the actions, with their attempts, of which a person was asked whether they had happened."""
    rows = _rows(life, _DOUBTS)
    return [(row["args"]["action"], row["args"]["attempt"]) for row in rows]


_DOUBTS: LiteralString = """
    select payload #> '{action_requests,0,args}' as args
    from interlock.questions where thread_id = %s and kind = 'in_doubt'
"""
_EFFECTS: LiteralString = "select action, status from interlock.effects where thread_id = %s"


def _rows(life: Life, query: LiteralString) -> list[dict[str, Any]]:
    with psycopg.connect(life.driver.url, row_factory=dict_row) as connection:
        return connection.execute(query, (life.thread,)).fetchall()
