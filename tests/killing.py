"""A thread that is driven by processes of its own, which may be killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DRIVER = ROOT / "tests" / "kill_driver.py"
PATIENCE = 120


@dataclass
class Killable:
    """A thread that is driven by processes which may be killed."""

    config: Path
    url: str
    folder: Path
    thread: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def log(self) -> Path:
        return self.folder / f"{self.thread}.log"

    def command(self, *options: str) -> list[str]:
        head = [sys.executable, str(DRIVER), str(self.config), self.url, self.thread, str(self.log)]
        return [*head, *options]

    def begin(self, graph: str, given: dict[str, Any], *, kill: str = "") -> dict[str, Any] | None:
        return self.drive("--graph", graph, "--input", json.dumps(given), "--kill", kill)

    def resume(self, *, answer: str = "", kill: str = "") -> dict[str, Any] | None:
        return self.drive("--answer", answer, "--kill", kill)

    def drive(self, *options: str) -> dict[str, Any] | None:
        """Return the run, or None when the process was killed."""
        done = subprocess.run(  # our own driver
            self.command(*options),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=self.folder,
        )
        if done.returncode == -signal.SIGKILL:
            return None
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def lines(self) -> list[tuple[str, str, str]]:
        words = [line.split() for line in self.log.read_text().splitlines()]
        return [(word, node, task) for word, node, task in words]

    def begun(self) -> int:
        """How many tasks have started, over all processes."""
        return self.log.read_text().count("start ") if self.log.exists() else 0

    def finished(self, node: str) -> int:
        """How often a task of this node finished, over all processes."""
        return sum(1 for word, name, _ in self.lines() if (word, name) == ("finish", node))

    def redone(self) -> list[str]:
        """The nodes of tasks that started again after they had finished."""
        finished: set[str] = set()
        again = []
        for word, node, task in self.lines():
            if word == "finish":
                finished.add(task)
            elif task in finished:
                again.append(node)
        return again
