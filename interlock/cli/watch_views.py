"""How a run looks to somebody who watches it from outside: what happened above, and what it does now below."""

from __future__ import annotations

import sys
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from interlock.cli.output import remarks
from interlock.cli.status_views import age
from interlock.cli.texts import clock, spent
from interlock.cli.views import ID_WIDTH, MARKS, line_row
from interlock.cli.watch_lines import Detail, hour, line_for
from interlock.core.happening import Event, Standing
from interlock.core.runs import Usage
from interlock.documents.runs import notice_of
from interlock.wording import clipped, counted, names, short


def now_of(standing: Standing, nodes: list[str]) -> str:
    """Return in a line what a run does now, or what it waits for."""
    if standing.stopping:
        return f"is told to stop ({standing.stopping})"
    match standing.status:
        case "running":
            return _working(standing, nodes)
        case "queued":
            return _queued(standing)
        case "waiting" if standing.due_at:
            return f"sleeps until {hour(standing.due_at)}"
        case "waiting":
            return "waits for a person"
        case _:
            return standing.status


def _queued(standing: Standing) -> str:
    if standing.due_at:
        return f"queued until {hour(standing.due_at)}"
    if not standing.queued:
        return f"nobody works on it: interlock resume {short(standing.thread_id)}"
    return "waits for a worker" if standing.ready else "waits for the run before it on its thread"


def _working(standing: Standing, nodes: list[str]) -> str:
    if standing.alive is False:
        return f"its process is gone: interlock resume {short(standing.thread_id)}"
    parts = [names(nodes) or "at work"]
    if standing.calls:
        calls = counted(standing.calls, "model call")
        parts.append(f"{calls} under way for {age(standing.calls_seconds)}")
    if standing.limited:
        parts.append(f"{standing.limited} waiting for {standing.limited_by}")
    return " · ".join([*parts, standing.worker or standing.process])


class EventLines:
    """Prints each event as one line."""

    def __init__(self, standing: Standing) -> None:
        self._run = standing
        self._now = ""
        self._print(f"{standing.graph} {standing.thread_id}")
        if notice := notice_of(standing.model):
            self._print(notice)

    def show(self, event: Event) -> None:
        """Print what happened."""
        if (line := line_for(event)) is not None:
            elapsed = clock(_since(self._run, event.at))
            self._print(
                f"{elapsed:>5} {MARKS[line.tone]} {clipped(line.who, ID_WIDTH):<{ID_WIDTH}} {line.text}"
            )

    def stands(self, standing: Standing) -> None:
        """Say what it waits for, once, where that is not a step."""
        now = now_of(standing, [])
        if standing.status == "queued" and now != self._now:
            self._print(f"      {MARKS['plain']} {'run':<{ID_WIDTH}} {now}")
        self._now = now

    def close(self) -> None:
        """End; there is nothing to clear away."""

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class EventScreen:
    """Keeps what the run does now at the bottom of the terminal, and what happened above it."""

    def __init__(self, standing: Standing) -> None:
        self._run = standing
        self._standing = standing
        self._nodes: list[str] = []
        self._usage = Usage()
        self._ended = False
        self._spinner = Spinner("dots", style="cyan")
        console = remarks()
        head = Text.assemble((standing.graph, "bold"), " ", (short(standing.thread_id), "cyan"))
        if notice := notice_of(standing.model):
            head.append(f"  {notice}", "yellow")
        console.print(head)
        self._live = Live(self, console=console, refresh_per_second=10, redirect_stdout=False)
        self._live.start()

    def show(self, event: Event) -> None:
        """Print what happened above the picture, and let the picture follow."""
        if event.kind == "step":
            self._nodes = [str(each) for each in event.detail["next"]]
        if event.kind == "model_call":
            self._usage += _usage(event.detail)
        line = line_for(event)
        if line is not None and not line.detail:
            self._live.console.print(line_row(line, _since(self._run, event.at)))

    def stands(self, standing: Standing) -> None:
        """Take note of how it stands."""
        self._standing = standing

    def close(self) -> None:
        """Leave the last picture standing."""
        self._ended = True
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        moment = self._standing.finished_at or self._standing.at
        used = spent(self._usage) if self._usage.calls else ""
        now = "" if self._ended else now_of(self._standing, self._nodes)
        parts = [clock(_since(self._run, moment)), now, used]
        text = clipped(" · ".join(each for each in parts if each), options.max_width - 4)
        if self._ended:
            yield Text(f"  {text}", style="dim")
            return
        row = Table.grid(padding=(0, 1))
        row.add_row("", self._spinner, Text(text, style="dim"))
        yield row


def _usage(detail: Detail) -> Usage:
    return Usage(
        calls=1,
        input_tokens=detail["input_tokens"],
        output_tokens=detail["output_tokens"],
        cost=detail["cost"],
        seconds=detail["seconds"],
    )


def _since(run: Standing, at: datetime) -> float:
    return max((at - run.created_at).total_seconds(), 0.0)
