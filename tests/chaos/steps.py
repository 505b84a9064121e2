"""The beginnings of steps, noted outside: one line each, in a file that all processes add to."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "RUNNING_FOLDER"
"""The variable that names the folder with the notes."""

STEPS = 12
FILE = "steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A step that a process began; `at` is the machine's clock, which the database's is too."""

    name: str
    step: int
    pid: int
    at: float


def note(folder: Path, name: str, step: int) -> None:
    """Note that this process begins a step."""
    line = f"{name} {step} {os.getpid()} {time.time():.6f}\n".encode()
    file = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line)  # at once: so short a line is never torn
    finally:
        os.close(file)


def read(folder: Path) -> list[Begun]:
    """Return all steps that were begun, in the order in which they were noted."""
    path = folder / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return [_begun(line) for line in lines]


def _begun(line: str) -> Begun:
    name, step, pid, at = line.split(" ")
    return Begun(name=name, step=int(step), pid=int(pid), at=float(at))
