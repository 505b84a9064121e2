"""The entry point: parse, run one command, and turn whatever happens into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

import click

from interlock import __version__
from interlock.cli.approvals import approvals
from interlock.cli.audit import audit
from interlock.cli.budget import budget
from interlock.cli.call import Call, Group
from interlock.cli.cancel import cancel
from interlock.cli.check import check
from interlock.cli.cron import cron
from interlock.cli.database import db
from interlock.cli.demo import demo
from interlock.cli.effects import effects
from interlock.cli.failures import failure_of, report
from interlock.cli.graphs import graph
from interlock.cli.keys import keys
from interlock.cli.kill import kill
from interlock.cli.letters import letters
from interlock.cli.limits import limits
from interlock.cli.policy import policy
from interlock.cli.replays import replay
from interlock.cli.runs import resume, run
from interlock.cli.serve import serve
from interlock.cli.status import status
from interlock.cli.steps import diff, fork, history, show
from interlock.cli.storage import storage
from interlock.cli.submit import submit
from interlock.cli.tenants import tenants
from interlock.cli.timers import timers
from interlock.cli.trust import trust
from interlock.cli.wait import wait
from interlock.cli.watch import watch
from interlock.cli.worker import worker
from interlock.errors import InterlockError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments))


def execute(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code, which docs/cli.md lists."""
    call = Call.read(arguments)
    _ready_streams()
    try:
        code = int(_dispatch(arguments, call) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        return 1
    except OSError as error:
        _drop_stdout()
        click.echo(f"Error: Standard output cannot be written: {error.strerror}.", err=True)
        return 1
    return code


def _dispatch(arguments: Sequence[str], call: Call) -> int | None:
    try:
        code: int | None = program.main(
            list(arguments), prog_name="interlock", standalone_mode=False, obj=call
        )
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if _shows_traceback(call, error):
            raise
        return report(failure_of(error, call), as_json=call.as_json)
    return code


def _shows_traceback(call: Call, error: BaseException) -> bool:
    wanted = call.debug or os.environ.get("INTERLOCK_DEBUG", "") in ("1", "true", "yes", "on")
    expected = isinstance(error, InterlockError | click.ClickException | KeyboardInterrupt)
    if wanted and not expected:
        return True
    if wanted:
        import traceback

        traceback.print_exception(error)
    return False


def _ready_streams() -> None:
    """Give a stream that was closed a place to go, and write `?` for what an encoding lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # to the process's end
        elif name == "stdout" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_stdout() -> None:
    """Let the interpreter flush into nothing at its end: nobody reads it, or it is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=Group,
    name="interlock",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="interlock %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Run AI agents that survive a crash, stop for approval, and can be rewound."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in (
    run,
    resume,
    submit,
    wait,
    cancel,
    worker,
    serve,
    approvals,
    effects,
    budget,
    limits,
    kill,
    letters,
    cron,
    timers,
    status,
    watch,
    history,
    show,
    fork,
    replay,
    diff,
    graph,
    policy,
    trust,
    check,
    storage,
    keys,
    tenants,
    audit,
    db,
    demo,
):
    program.add_command(_command)
