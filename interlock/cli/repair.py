"""`letters repair`: let the repair agent look for a change under which a dead run can go on."""

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
        "interlock letters repair 3f2a9c1e",
        "interlock letters repair 3f2a9c1e --model openai:gpt-5 --wait",
        'interlock letters repair 3f2a9c1e --hint "the order has 4 pieces, not 0"',
    ),
)
@click.argument("letter", metavar="ID")
@click.option("--model", metavar="PROVIDER:NAME", help="Who diagnoses and proposes.")
@click.option("--hint", metavar="TEXT", default="", help="What you know already.")
@click.option("--wait", "waits", is_flag=True, help="Wait until it asks, as `interlock wait`.")
def repair(letter: str, model: str | None, hint: str, waits: bool) -> int:
    """Look for one change under which the run can go on, try it without effects, and ask before it is made.

    It is a run itself, of the graph `interlock.repair`: workers do it, or `interlock resume THREAD` here.
    """
    call = this_call()
    with call.runtime() as il:
        run = il.letter_repair(letter, model=model, hint=hint)
        if waits:
            from interlock.cli.wait import wait_for

            return wait_for(il, call, run.run_id)
    _report(run, call)
    return 0


def _report(run: Run, call: Call) -> None:
    from interlock.cli.output import print_json, remarks, results
    from interlock.documents.runs import run_document
    from interlock.wording import short

    if call.as_json:
        print_json(run_document(run))
        return
    results().print(run.thread_id, soft_wrap=True)
    thread = short(run.thread_id)
    remarks().print(
        f"A repair was begun on thread [cyan]{thread}[/]. It asks you in the end, or says why it cannot help."
    )
    remarks().print(
        f"  [cyan]interlock wait {thread}[/]  ·  [cyan]interlock approvals[/]"
        f"  ·  without a worker: [cyan]interlock resume {thread}[/]",
        soft_wrap=True,
    )


__all__ = ["repair"]
