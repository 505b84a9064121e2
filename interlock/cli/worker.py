"""`worker`: take on the runs that were submitted, until a signal asks to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from interlock.cli.call import Call, Command, this_call
from interlock.cli.examples import examples
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.postgres.workers import Plan
    from interlock.worker.log import Log


@click.command(
    cls=Command,
    epilog=examples(
        "interlock worker",
        "interlock worker --concurrency 64 --graphs research,report",
        "interlock worker --tenants acme --json-logs 2>worker.log",
    ),
)
@click.option(
    "--concurrency", type=click.IntRange(1), metavar="N", help="Runs at once; default: 16."
)
@click.option("--graphs", metavar="NAMES", help="Only these graphs, with commas between them.")
@click.option("--tenants", metavar="NAMES", help="Only these tenants, with commas between them.")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="After a signal to stop, how long runs may take to their next checkpoint.",
)
@click.option(
    "--lease",
    type=click.FloatRange(0.5),
    metavar="SECONDS",
    help="How long it counts as alive after its last heartbeat; default: 10.",
)
@click.option("--verbose", is_flag=True, help="Tell of each run.")
@click.option("--json-logs", is_flag=True, help="Write the log as JSON, a line an event.")
def worker(  # each parameter is an option
    concurrency: int | None,
    graphs: str | None,
    tenants: str | None,
    grace: float,
    lease: float | None,
    verbose: bool,
    json_logs: bool,
) -> NoReturn:
    """Take on the runs that were submitted, until Ctrl-C or SIGTERM; a second signal stops at once."""
    from interlock.postgres.workers import CONCURRENCY, Plan
    from interlock.worker.log import Log, to_stderr

    plan = Plan(
        concurrency=concurrency or CONCURRENCY,
        graphs=_names(graphs, "--graphs"),
        tenants=_names(tenants, "--tenants"),
        **({"lease": lease} if lease else {}),
    )
    log = Log(write=to_stderr, verbose=verbose, as_json=json_logs)
    _work(this_call(), plan, grace, log)


def _work(call: Call, plan: Plan, grace: float, log: Log) -> NoReturn:
    """Work on an event loop of this thread, and leave when it is over, whatever nodes still do in others."""
    from uvicorn.loops.auto import auto_loop_factory

    from interlock.core.enduring import run_to_its_end

    # uvloop's where it is installed: all that waits for sockets takes less CPU.
    run_to_its_end(auto_loop_factory()(), _until_signal(call, plan, grace, log))
    sys.stderr.flush()
    os._exit(0)  # the interpreter would wait for those threads; all that counts is written


async def _until_signal(call: Call, plan: Plan, grace: float, log: Log) -> None:
    import asyncio

    from interlock.app import aopen
    from interlock.cli.following import SIGNALS
    from interlock.core.garbage import settle_soon
    from interlock.worker.working import Worker

    loop = asyncio.get_running_loop()
    async with aopen(settings=call.settings()) as il:
        _check_graphs(plan, il.application.names)
        working = Worker(il, plan, grace=grace, log=log)
        for number in SIGNALS:
            loop.add_signal_handler(number, working.stop)
        settle_soon(loop)
        await working.run()


def _check_graphs(plan: Plan, known: Sequence[str]) -> None:
    names = set(known)
    if unknown := sorted(set(plan.graphs or ()) - names):
        raise UsageError(
            f"There is no graph {unknown[0]!r}.",
            hint=f"langgraph.json names: {', '.join(sorted(names)) or 'none'}.",
        )


def _names(text: str | None, option: str) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(each.strip() for each in text.split(",") if each.strip())
    if not names:
        raise UsageError(f"{option} names nothing.", hint="Leave it out for all.")
    return names
