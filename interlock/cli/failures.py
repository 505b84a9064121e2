"""What went wrong, as one line or one JSON document, and the exit code that says of which kind it is."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass

import click

from interlock.cli.call import Call
from interlock.errors import InterlockError

FAILED, USAGE, WAITING, LIMIT, KILLED, CANCELLED = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure as a person and a program read it."""

    kind: str
    message: str
    hint: str = ""
    exit_code: int = FAILED
    thread_id: str = ""


class RunFailed(InterlockError):
    """A node raised an error; what ran before it is saved."""


def failure_of(error: BaseException, call: Call) -> Failure:
    """Return what to tell about an error."""
    match error:
        case KeyboardInterrupt() | click.Abort():
            return Failure(
                kind="Stopped",
                message="Stopped.",
                hint=going_on(call.thread_id),
                exit_code=stop_code(call.stopped_by),
                thread_id=call.thread_id,
            )
        case InterlockError():
            return Failure(
                kind=type(error).__name__,
                message=_sentence(str(error.args[0])),
                hint=error.hint or going_on(call.thread_id),
                exit_code=error.exit_code,
                thread_id=call.thread_id,
            )
        case click.ClickException():
            path = (
                error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
            )
            return Failure(
                kind="UsageError",
                message=_sentence(error.format_message()),
                hint=f"`{path or 'interlock'} --help` shows how.",
                exit_code=USAGE,
            )
        case _:
            return _unexpected(error, call)


def going_on(thread_id: str) -> str:
    """Return the sentence that says how to go on with a thread; empty without one."""
    from interlock.wording import short

    return f"Nothing is lost: `interlock resume {short(thread_id)}` goes on." if thread_id else ""


def stop_code(number: int) -> int:
    """Return the exit code after a signal asked to stop, as shells give it; Ctrl-C when none did."""
    return 128 + (number or signal.SIGINT)


def report(failure: Failure, *, as_json: bool) -> int:
    """Tell a failure, as JSON on standard output or as one line on standard error, and return its code."""
    if as_json:
        error = {"kind": failure.kind, "message": failure.message, "hint": failure.hint}
        thread = {"thread_id": failure.thread_id} if failure.thread_id else {}
        click.echo(json.dumps({"error": error, **thread}, ensure_ascii=False, indent=2))
    else:
        text = f"{failure.message} {failure.hint}".strip()
        click.echo(_coloured(failure) + text, err=True)
    return failure.exit_code


def _unexpected(error: BaseException, call: Call) -> Failure:
    said = (str(error).strip().splitlines() or [""])[0]
    return Failure(
        kind=type(error).__name__,
        message=f"Unexpected {type(error).__name__}: {said}".rstrip(": ") + ".",
        hint=" ".join(["Run again with --debug to see where.", going_on(call.thread_id)]).strip(),
        thread_id=call.thread_id,
    )


def _sentence(message: str) -> str:
    """Return a message on one line, with the stop that keeps it apart from what follows."""
    text = " ".join(message.split())
    return text if text.endswith((".", "!", "?", ":", "?)")) else f"{text}."


def _coloured(failure: Failure) -> str:
    if failure.kind == "Stopped":
        return ""
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return click.style("Error: ", fg="red", bold=True)
    return "Error: "
