"""`wait`: until a run has ended, or waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from interlock.cli.call import Call, Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.facade import Interlock


@click.command(
    cls=Command,
    epilog=examples(
        "interlock wait 5d01c2aa",
        "interlock wait 3f2a9c1e --all --timeout 10m",
        "interlock wait 5d01c2aa --json",
    ),
)
@click.argument("name", metavar="RUN")
@click.option("--timeout", metavar="DURATION", help="Give up after so long, with exit code 124.")
@click.option("--all", "every", is_flag=True, help="Of a thread: also what is queued on it.")
def wait(name: str, timeout: str | None, every: bool) -> int:
    """Wait until a run has ended or waits for a person; RUN may name a thread, for the run that it is at.

    The exit code is the one that `interlock run` would have ended with.
    """
    call = this_call()
    with call.runtime() as il:
        return wait_for(il, call, name, timeout=timeout, every=every)


def wait_for(
    il: Interlock, call: Call, name: str, *, timeout: str | None = None, every: bool = False
) -> int:
    """Wait for a run, report it, and return the exit code."""
    from interlock.cli.following import exit_code
    from interlock.cli.reports import report_run, tell_if_no_worker
    from interlock.cli.watching import seconds_of

    seconds = seconds_of(timeout) if timeout else None
    if not call.as_json:
        tell_if_no_worker(il, il.standing(name))
    run = il.join(name, seconds) if every else il.wait(name, seconds)
    report_run(run, call)
    return exit_code(run, call)


__all__ = ["wait"]
