"""What a worker tells: one line per event on standard error, as words or as JSON."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Write = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Write a line to standard error; nobody need listen."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def nowhere(line: str) -> None:
    """Write nothing."""


@dataclass(slots=True, kw_only=True)
class Log:
    """Events of a worker; safe to be used by several threads.

    Attributes:
        verbose: tell of each run, and not only of what went wrong.
        as_json: a JSON object a line.
    """

    write: Write = nowhere
    verbose: bool = False
    as_json: bool = False
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def detail(self, action: str, **facts: Any) -> None:  # JSON
        """Tell of something of which there are many."""
        if self.verbose:
            self._tell("debug", action, facts)

    def info(self, action: str, **facts: Any) -> None:  # JSON
        """Tell of something that is as it should be."""
        self._tell("info", action, facts)

    def warn(self, action: str, **facts: Any) -> None:  # JSON
        """Tell of something that somebody should look at."""
        self._tell("warning", action, facts)

    def _tell(self, level: str, action: str, facts: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        line = _as_json(now, level, action, facts) if self.as_json else _as_text(now, action, facts)
        with self._turn:
            self.write(line)


def _as_json(now: datetime, level: str, action: str, facts: dict[str, Any]) -> str:
    return json.dumps(
        {"at": now.isoformat(timespec="milliseconds"), "level": level, "action": action, **facts},
        ensure_ascii=False,
        default=str,
    )


def _as_text(now: datetime, action: str, facts: dict[str, Any]) -> str:
    told = " ".join(f"{key}={_plain(value)}" for key, value in facts.items())
    return f"{now:%H:%M:%S}.{now.microsecond // 1000:03d} {action} {told}".rstrip()


def _plain(value: object) -> str:
    text = " ".join(str(value).split())
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
