"""Follow a run to its end: show what happens, stop when asked to, ask the person who is there."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from interlock.cli.board import Board
from interlock.cli.call import Call
from interlock.cli.failures import CANCELLED, KILLED, LIMIT, WAITING, RunFailed, going_on, stop_code
from interlock.core.runs import Run, Usage
from interlock.core.sync import run_sync
from interlock.errors import InterlockError
from interlock.wording import short

if TYPE_CHECKING:
    from interlock.core.happening import Standing
    from interlock.execution import Part
    from interlock.facade import Interlock

MODES = ("tasks", "custom")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class View(Protocol):
    """Shows a run while it runs."""

    board: Board

    def show(self, part: Part) -> None:
        """Show a part of the stream; the first one opens the view."""

    def stopping(self) -> None:
        """Say that the run stops after its present step; called from a signal handler."""

    def close(self) -> None:
        """Leave the last picture."""


def follow(il: Interlock, call: Call, run: Run, *, model: str | None = None) -> Run:
    """Go on with a run until it ends, waits or is stopped, and return it as it ended.

    Raises:
        RunFailed: a node raised an error that is none of ours.
        KeyboardInterrupt: a second signal asked to stop at once; what was done is recorded.
    """
    call.thread_id = run.thread_id
    view = view_of(il, run)
    ended = run
    parts = il.resume_stream(run.thread_id, model=model, stream_mode=MODES)
    with _shown(view), stopping(il, call, view) as stop, closing(parts):
        try:
            for part in parts:
                ended = part["data"] if part["type"] == "end" else ended
                view.show(part)
                if stop.asked:  # a signal may have come before there was something to drain
                    il.drain()
        except (InterlockError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise _failed(run, error) from error
    call.stopped_by = stop.asked if ended.status == "queued" else 0
    return ended


def exit_code(run: Run | Standing, call: Call) -> int:
    """Return the code that says how a run stands."""
    match run.status:
        case "succeeded":
            return 0
        case "waiting":
            return WAITING
        case "queued" | "running":
            return stop_code(call.stopped_by)
        case "killed":
            return KILLED
        case "cancelled":
            return CANCELLED
        case "failed" | "dead":
            return LIMIT if run.error_kind in ("LimitReached", "BudgetSpent") else 1


def view_of(il: Interlock, run: Run) -> View:
    """Return a live picture where there is a terminal, else one line per event."""
    from interlock.cli.views import LineView, LiveView

    def usage() -> Usage:
        return sum(run_sync(il.store.usage(run.thread_id)).values(), Usage())

    return LiveView(run, usage) if sys.stderr.isatty() else LineView(run)


@dataclass(slots=True)
class Stop:
    """Whether a signal asked to stop, and which."""

    asked: int = 0


@contextmanager
def stopping(il: Interlock, call: Call, view: View) -> Iterator[Stop]:
    """Let the first Ctrl-C or SIGTERM drain the run, and the second stop it at once."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            call.stopped_by = number
            raise KeyboardInterrupt
        stop.asked = number
        il.drain()
        view.stopping()

    with handled(ask):
        yield stop


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Answer the signals that ask to stop with a function, for the length of a block."""
    before = {each: signal.signal(each, handler) for each in SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def say_now(text: str) -> None:
    """Write a line to standard error past every buffer: the only way that is safe in a signal handler."""
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        return  # nobody listens any more, and the run goes on


@contextmanager
def _shown(view: View) -> Iterator[None]:
    try:
        yield
    finally:
        view.close()


def _failed(run: Run, error: Exception) -> RunFailed:
    from interlock.core.doubt import doubts
    from interlock.failing import remedy_of

    said = (str(error).strip().splitlines() or [""])[0]
    what = f"{type(error).__name__}: {said}".rstrip(": ")
    failed = f"The graph {run.graph!r} failed in thread {short(run.thread_id)}: {what.rstrip('.')}."
    remedies = [remedy] if (remedy := remedy_of(error, said)) else []
    return RunFailed(
        " ".join([failed, *remedies, *doubts(error)]),
        hint=f"What ran before is saved: `interlock resume {short(run.thread_id)}` tries again from there.",
    )


__all__ = ["Stop", "View", "exit_code", "follow", "going_on", "say_now", "view_of"]
