"""Two views of a running graph: a live picture for terminals, and one plain line per event for everything else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from interlock.cli.board import Board, TaskRow, after
from interlock.cli.following import say_now
from interlock.cli.output import remarks
from interlock.cli.telling import Line, Tone
from interlock.cli.texts import clock, spent
from interlock.core.runs import Run, Usage
from interlock.documents.runs import notice_of
from interlock.wording import clipped, counted, names, short

if TYPE_CHECKING:
    from interlock.execution import Part

STYLES: dict[Tone, str] = {"plain": "", "good": "green", "warning": "yellow", "bad": "red"}
MARKS: dict[Tone, str] = {"plain": "·", "good": "✓", "warning": "!", "bad": "✗"}
TASK_MARKS: dict[str, tuple[str, str]] = {
    "waiting": ("○", "dim"),
    "met": ("✓", "green"),
    "partial": ("◐", "yellow"),
    "failed": ("✗", "red"),
    "open": ("\N{EN DASH}", "red"),
}
STOPPING = "Stopping after this step; Ctrl-C again to stop now."
USAGE_SECONDS = 0.5
WHO_WIDTH = 10
ID_WIDTH = 18


class LineView:
    """Prints each event as one line on standard error; a reader that goes away does not stop the run."""

    def __init__(self, run: Run) -> None:
        self.board = Board()
        self._run = run
        self._began = time.monotonic()
        self._begun = False
        self._open = True

    def show(self, part: Part) -> None:
        """Print what a part tells; before the first one, what runs."""
        self._print_head()
        self.board, lines = after(self.board, part)
        for line in lines:
            elapsed = clock(time.monotonic() - self._began)
            self._print(
                f"{elapsed:>5} {MARKS[line.tone]} {clipped(line.who, ID_WIDTH):<{ID_WIDTH}} {line.text}"
            )

    def stopping(self) -> None:
        """Say that the run stops after its present step."""
        say_now(STOPPING)

    def close(self) -> None:
        """End; there is nothing to clear away."""

    def _print_head(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._print(f"{self._run.graph} {self._run.thread_id}")
        if notice := notice_of(self._run.model):
            self._print(notice)

    def _print(self, text: str) -> None:
        if not self._open:
            return
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            self._open = False


class LiveView:
    """Keeps a small picture of the run at the bottom of the terminal, and what happened above it."""

    def __init__(self, run: Run, usage: Callable[[], Usage]) -> None:
        self.board = Board()
        self._run = run
        self._usage = usage
        self._used = Usage()
        self._asked_at = 0.0
        self._began = time.monotonic()
        self._stopping = False
        self._ended = False
        self._spinner = Spinner("dots", style="cyan")
        self._console = remarks()
        self._live = Live(self, console=self._console, refresh_per_second=10, redirect_stdout=False)

    def _start(self) -> None:
        head = Text.assemble((self._run.graph, "bold"), " ", (short(self._run.thread_id), "cyan"))
        if notice := notice_of(self._run.model):
            head.append(f"  {notice}", "yellow")
        self._console.print(head)
        self._live.start()

    def show(self, part: Part) -> None:
        """Print what happened above the picture, and let the picture follow."""
        if not self._live.is_started:
            self._start()
        self.board, lines = after(self.board, part)
        for line in lines:
            if not (line.detail and self.board.tasks):
                self._live.console.print(line_row(line, time.monotonic() - self._began))
        if part["type"] == "tasks" and not part["ns"]:
            self._count()

    def stopping(self) -> None:
        """Let the picture say that the run stops after its present step."""
        self._stopping = True

    def close(self) -> None:
        """Leave the last picture standing."""
        if not self._live.is_started:
            return
        self._used = self._usage()
        self._ended = True
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield picture(self.board, options.max_width, self._spinner)
        yield self._status(options.max_width)

    def _count(self) -> None:
        if time.monotonic() - self._asked_at >= USAGE_SECONDS:
            self._used, self._asked_at = self._usage(), time.monotonic()

    def _status(self, width: int) -> RenderableType:
        parts = [clock(time.monotonic() - self._began), _now(self.board), spent(self._used)]
        text = clipped(" · ".join(each for each in parts if each), width - 4)
        if self._stopping and not self._ended:
            return Text(f"  {STOPPING}", style="yellow")
        if self._ended:
            return Text(f"  {text}", style="dim")
        row = Table.grid(padding=(0, 1))
        row.add_row("", self._spinner, Text(text, style="dim"))
        return row


def line_row(line: Line, elapsed: float) -> RenderableType:
    """Return one event as a terminal shows it; a long one is wrapped under itself."""
    style = STYLES[line.tone]
    row = Table.grid(padding=(0, 1))
    row.add_column(width=5, justify="right", style="dim")
    row.add_column(width=1)
    row.add_column(width=WHO_WIDTH)
    row.add_column(overflow="fold")
    mark = Text(MARKS[line.tone] if line.who else "", style=style)
    who = Text(clipped(line.who, WHO_WIDTH), style=f"bold {style}".strip())
    row.add_row(clock(elapsed), mark, who, Text(line.text))
    return row


def picture(board: Board, width: int, spinner: Spinner) -> RenderableType:
    """Return the plan's tasks and how each stands, or a progress bar, or nothing."""
    rows: list[RenderableType] = []
    if board.progress:
        rows.append(_progress(board.progress, width))
    if board.tasks:
        table = Table.grid(padding=(0, 1), pad_edge=True)
        for task in board.tasks.values():
            table.add_row(*_task_row(task, width, spinner))
        rows.append(table)
    return Group(*rows)


def _task_row(task: TaskRow, width: int, spinner: Spinner) -> tuple[RenderableType, ...]:
    mark, style = TASK_MARKS.get(task.status, ("", "cyan"))
    found = counted(task.found, "quotation") if task.found else ""
    about = task.doing if task.status == "working" and task.doing else found
    room = max(width - 8, 20)
    left = room * 3 // 5
    return (
        spinner if task.status == "working" else Text(mark, style=style),
        Text(clipped(task.text, left), style="dim" if task.status == "waiting" else ""),
        Text(clipped(about, room - left), style="cyan" if task.status == "working" else style),
    )


def _progress(progress: tuple[int, int], width: int) -> RenderableType:
    done, total = progress
    row = Table.grid(padding=(0, 1), pad_edge=True)
    bar = ProgressBar(total=max(total, 1), completed=done, width=min(40, width // 2))
    row.add_row(Text("reading"), bar, Text(f"{done:,} of {total:,}", style="dim"))
    return row


def _now(board: Board) -> str:
    return names(list(board.running.values()))
