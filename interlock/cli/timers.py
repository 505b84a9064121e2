"""`timers`: what is to happen at a time, and what was set aside because it went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples
from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interlock.core.timing import TimerState

LIMIT = click.IntRange(1, 10_000)


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock timers",
        "interlock timers list --thread 3f2a9c1e --over",
        "interlock timers list --failed",
        "interlock timers retry 12",
    ),
)
@click.pass_context
def timers(ctx: click.Context) -> int | None:
    """List what is to happen at a time: runs that start later, sleep, retry, or have a deadline."""
    if ctx.invoked_subcommand is not None:
        return None
    return _list(None, ("set", "failed"), 50)


@timers.command(
    "list", epilog=examples("interlock timers list --failed", "interlock timers list --json")
)
@click.option("--thread", metavar="THREAD", help="Only of this thread.")
@click.option("--failed", is_flag=True, help="Only those that were set aside.")
@click.option("--over", is_flag=True, help="Also those that fired or were cancelled lately.")
@click.option("--limit", metavar="N", type=LIMIT, default=50, show_default=True, help="How many.")
def list_(thread: str | None, failed: bool, over: bool, limit: int) -> int:
    """List timers, the earliest first."""
    states: Sequence[TimerState] = ("failed",) if failed else ("set", "failed")
    return _list(thread, (*states, "fired", "cancelled") if over else states, limit)


@timers.command(epilog=examples("interlock timers retry 12", "interlock timers retry --all"))
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--all", "every", is_flag=True, help="All that were set aside.")
def retry(number: int | None, every: bool) -> int:
    """Let a timer that was set aside be tried again at once."""
    from interlock.cli.output import print_json, remarks
    from interlock.wording import counted

    if (number is None) != every:
        raise UsageError(
            "Name a timer or say --all.", hint="`interlock timers list --failed` lists them."
        )
    with this_call().runtime() as il:
        again = il.retry_timer(number)
    if this_call().as_json:
        print_json({"retried": again})
    else:
        remarks().print(f"{counted(again, 'timer')} will be tried again by the next worker.")
    return 0


def _list(thread: str | None, states: Sequence[TimerState], limit: int) -> int:
    from interlock.cli.cron_views import print_timers
    from interlock.cli.output import print_json, results
    from interlock.documents.times import timer_document

    with this_call().runtime() as il:
        found, now = il.timers(thread, states=states, limit=limit), il.cron_clock()
    if this_call().as_json:
        print_json({"timers": [timer_document(each) for each in found]})
    else:
        print_timers(found, now, results())
    return 0
