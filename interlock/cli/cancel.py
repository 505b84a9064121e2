"""`cancel`: stop a run for good, wherever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from interlock.cli.call import Call, Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.core.runs import Run


@click.command(
    cls=Command,
    epilog=examples(
        'interlock cancel 5d01c2aa --reason "asked twice"', "interlock cancel 3f2a9c1e --json"
    ),
)
@click.argument("name", metavar="RUN")
@click.option("--reason", metavar="TEXT", default="", help="For whoever finds it cancelled.")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def cancel(name: str, reason: str, by: str | None) -> int:
    """Cancel a run that has not ended, in whatever process it is; RUN may name a thread, for the run that it is at.

    The exit code is 0 when it is cancelled, and 1 when it had ended before, or has not stopped yet.
    """
    from interlock.cli.asking import login_name

    call = this_call()
    with call.runtime() as il:
        run = il.cancel(name, reason=reason, by=by or il.settings.user or login_name())
    _report(run, call)
    return 0 if run.status == "cancelled" else 1


def _report(run: Run, call: Call) -> None:
    from interlock.cli.output import print_json, remarks
    from interlock.documents.runs import run_document
    from interlock.wording import short

    if call.as_json:
        print_json(run_document(run))
        return
    console, name = remarks(), f"run [cyan]{short(run.run_id)}[/]"
    match run.status:
        case "cancelled":
            console.print(f"[green]cancelled[/]  {name}")
            console.print(run.error, markup=False)
        case "running":
            console.print(f"[yellow]ordered[/]  {name} has not stopped yet; the order stands.")
            console.print("A node that holds up its process is stopped when it comes back.")
        case status:
            console.print(f"[yellow]{status}[/]  {name} had ended before; nothing was changed.")


__all__ = ["cancel"]
