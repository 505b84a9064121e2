"""`status --live`: the same picture, kept up to date in place until Ctrl-C."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.text import Text

from interlock.cli.call import Call, this_call
from interlock.cli.following import handled
from interlock.cli.kill_views import kill_line
from interlock.cli.output import results
from interlock.cli.screens import threads_table
from interlock.cli.status_views import HealthPicture
from interlock.core.sync import run_sync
from interlock.documents.health import health_document
from interlock.documents.runs import notice_of, thread_document
from interlock.errors import DatabaseUnavailable, UsageError
from interlock.postgres.health import NEWS
from interlock.postgres.hearing import Hearing
from interlock.wording import clipped

if TYPE_CHECKING:
    from interlock.core.health import Health
    from interlock.core.runs import ThreadSummary
    from interlock.facade import Interlock

EVERY_SECONDS = 1.0
AT_MOST_SECONDS = 0.25
"""However much happens, it is looked at so seldom at most."""

SHARE = 8.0
"""Looking may take one part in so many of the time, where there is much to look at."""


def show_live(il: Interlock, call: Call, *, graph: str | None, limit: int) -> int:
    """Show the picture again and again until Ctrl-C or SIGTERM, and return 0; as JSON a document a line."""
    if not call.as_json and not sys.stdout.isatty():
        raise UsageError(
            "--live needs a terminal.", hint="--live --json prints a line each second."
        )
    screen = Screen(il, graph, limit)
    try:
        with handled(_stop), closing(screen):
            return _lines(screen) if call.as_json else _pictures(screen)
    except KeyboardInterrupt:
        return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _pictures(screen: Screen) -> int:
    screen.look()
    with Live(screen, console=results(), screen=True, auto_refresh=False) as live:
        while True:
            live.refresh()
            screen.wait()
            screen.look()


def _lines(screen: Screen) -> int:
    while True:
        screen.look()
        print(json.dumps(screen.document(), ensure_ascii=False), flush=True)
        screen.wait()


@dataclass(slots=True)
class Screen:
    """What is shown: looked at again whenever something is told, and each second."""

    il: Interlock
    graph: str | None
    limit: int
    health: Health | None = None
    threads: list[ThreadSummary] = field(default_factory=list)
    pending: dict[str, str] = field(default_factory=dict)
    lost: str = ""
    _looked_at: float = 0.0
    _took: float = 0.0
    _hearing: Hearing | None = field(init=False)

    def __post_init__(self) -> None:
        there = this_call().address()  # a server is asked, and tells nothing of its own accord
        self._hearing = None if there else Hearing(self.il.url, NEWS)

    def look(self) -> None:
        """Look again; when the database does not answer, what was seen last stays."""
        self._looked_at = time.monotonic()
        try:
            self.health = self.il.health()
            self.threads = self.il.threads(graph=self.graph, limit=self.limit) if self.limit else []
            self.pending = self.il.pending([each.thread_id for each in self.threads])
            self.lost = ""
        except DatabaseUnavailable as error:
            self.lost = str(error.args[0])
        self._took = time.monotonic() - self._looked_at

    def wait(self) -> None:
        """Wait for news, and at most a second."""
        if self._hearing is None:
            time.sleep(EVERY_SECONDS)
            return
        run_sync(self._hearing.wait(EVERY_SECONDS))
        rest = max(AT_MOST_SECONDS, SHARE * self._took)
        time.sleep(max(0.0, self._looked_at + rest - time.monotonic()))

    def close(self) -> None:
        """Stop listening."""
        if self._hearing is not None:
            run_sync(self._hearing.close())

    def document(self) -> dict[str, object]:
        """Return what was seen as JSON."""
        found = [
            thread_document(each) | {"pending": self.pending.get(each.thread_id)}
            for each in self.threads
        ]
        health = health_document(self.health) if self.health else None
        return {"error": self.lost or None, "health": health, "threads": found}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.lost:
            yield Text(clipped(f"{self.lost} It is asked again.", 300), style="bold red")
        if self.health is None:
            return
        rows: list[RenderableType] = [_head(self.health, options.max_width)]
        rows += [kill_line(each) for each in self.health.kills]
        rows.append(HealthPicture(self.health))
        yield from rows
        if any(notice_of(each.model) for each in self.threads):
            yield Text(clipped(next(filter(None, (notice_of(e.model) for e in self.threads))), 200))
        yield threads_table(self.threads, self.pending)


def _head(health: Health, width: int) -> Text:
    left, right = "interlock", f"{health.at.astimezone():%Y-%m-%d %H:%M:%S}  Ctrl-C leaves"
    room = max(width - len(left) - len(right), 1)
    return Text.assemble((left, "bold"), " " * room, (right, "dim"))
