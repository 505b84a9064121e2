"""`cron`: runs that are submitted again and again at certain times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

import click

from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples
from interlock.core.queueing import MultitaskStrategy, Options
from interlock.core.timing import CatchUp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interlock.core.cron import Cron, Firing
    from interlock.facade import Interlock


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock cron set digest research '30 7 * * mon-fri' --zone Europe/Berlin --input @digest.json",
        "interlock cron list",
        "interlock cron pause digest",
        "interlock cron remove digest",
    ),
)
@click.pass_context
def cron(ctx: click.Context) -> int | None:
    """Submit runs again and again at certain times; workers fire and run them."""
    return _list() if ctx.invoked_subcommand is None else None


@cron.command("list", epilog=examples("interlock cron list", "interlock cron list --json"))
def list_() -> int:
    """List the crons, and when each fires next."""
    return _list()


@cron.command(epilog=examples("interlock cron show digest", "interlock cron show digest --json"))
@click.argument("name")
def show(name: str) -> int:
    """Show a cron, its next five times, and what it did lately."""
    with this_call().runtime() as il:
        found, firings = il.cron(name)
        return _report(il, found, firings)


@cron.command(
    "set",
    epilog=examples(
        "interlock cron set digest research '30 7 * * mon-fri' --input @digest.json",
        "interlock cron set hourly report '0 * * * *' --catch-up all --within 30m",
    ),
)
@click.argument("name")
@click.argument("graph")
@click.argument("schedule")
@click.option("--input", "given", metavar="JSON", default="{}", help="Of its runs, or @FILE.")
@click.option("--zone", metavar="ZONE", default="UTC", show_default=True, help="As Europe/Berlin.")
@click.option(
    "--catch-up",
    type=click.Choice(get_args(CatchUp)),
    default="once",
    show_default=True,
    help="Of times that were missed.",
)
@click.option("--thread", metavar="ID", default="", help="Of all of its runs; default: new ones.")
@click.option("--model", metavar="NAME", help="The chat model, provider:name  [INTERLOCK_MODEL]")
@click.option(
    "--strategy",
    type=click.Choice(get_args(MultitaskStrategy)),
    default="reject",
    show_default=True,
    help="While the thread is busy.",
)
@click.option("--priority", metavar="N", type=int, default=0, help="From -1000 to 1000.")
@click.option("--within", metavar="TIME", help="A run is stopped after so long: 90s, 30m, 2h.")
@click.option("--paused", is_flag=True, help="It does not fire before `resume`.")
def set_(name: str, graph: str, schedule: str, given: str, **chosen: Any) -> int:  # click's values
    """Make a cron, or change the one of this name; SCHEDULE is minute, hour, day, month, weekday."""
    from interlock.cli.administering import asked_here
    from interlock.cli.graph_options import read_input
    from interlock.cli.watching import seconds_of

    strategy = cast("MultitaskStrategy", chosen["strategy"])
    with this_call().runtime() as il:
        made = il.cron_set(
            name,
            graph,
            read_input(given),
            schedule,
            zone=chosen["zone"],
            catch_up=chosen["catch_up"],
            thread_id=chosen["thread"],
            model=chosen["model"],
            options=Options(multitask_strategy=strategy, priority=chosen["priority"]),
            within=seconds_of(chosen["within"]) if chosen["within"] else None,
            enabled=not chosen["paused"],
            driving=asked_here(this_call()),
        )
        return _report(il, made, il.cron(name)[1])


@cron.command(epilog=examples("interlock cron pause digest"))
@click.argument("name")
def pause(name: str) -> int:
    """Let a cron fire no more until it is resumed."""
    with this_call().runtime() as il:
        paused = il.cron_pause(name)
        return _report(il, paused, il.cron(name)[1])


@cron.command(epilog=examples("interlock cron resume digest"))
@click.argument("name")
def resume(name: str) -> int:
    """Let a cron fire again; what was due meanwhile is not made up for."""
    with this_call().runtime() as il:
        resumed = il.cron_resume(name)
        return _report(il, resumed, il.cron(name)[1])


@cron.command(epilog=examples("interlock cron remove digest"))
@click.argument("name")
def remove(name: str) -> int:
    """Forget a cron; the runs that it submitted stay."""
    from interlock.cli.output import print_json, remarks

    with this_call().runtime() as il:
        il.cron_remove(name)
    if this_call().as_json:
        print_json({"removed": name})
    else:
        remarks().print(f"The cron {name} is gone; its runs stay.", markup=False)
    return 0


def _list() -> int:
    from interlock.cli.cron_views import print_crons
    from interlock.cli.output import print_json, results
    from interlock.documents.times import cron_document

    with this_call().runtime() as il:
        found, now = il.crons(), il.cron_clock()
    if this_call().as_json:
        print_json({"crons": [cron_document(each, now) for each in found]})
    else:
        print_crons(found, now, results())
    return 0


def _report(il: Interlock, found: Cron, firings: Sequence[Firing]) -> int:
    from interlock.cli.cron_views import print_cron
    from interlock.cli.output import print_json, results
    from interlock.documents.times import cron_document

    now = il.cron_clock()
    if this_call().as_json:
        print_json(cron_document(found, now, firings))
    else:
        print_cron(found, now, firings, results())
    return 0
