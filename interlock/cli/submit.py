"""`submit`: accept a run for workers, and return at once; or wait for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import click

from interlock.cli.call import Call
from interlock.cli.examples import examples
from interlock.cli.runs import Given, Graphs, given_options
from interlock.core.queueing import MultitaskStrategy
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.core.queueing import Options
    from interlock.core.runs import Run

TEXTS = {
    "--key": ("TEXT", "Idempotency key: the same one again is the same run."),
    "--start-at": ("TIME", "Not before this: 2026-03-01T08:00+01:00; without a zone it is local."),
    "--in": ("DURATION", "Not before so long from now: 90s, 30m, 6h, 2d."),
    "--deadline": ("TIME", "Cancel it unless it has ended by then; a time, or a duration."),
}


class Submitted(Graphs):
    """One command per graph, which hands a run of it to workers."""

    def own_options(self) -> list[click.Parameter]:
        """Return the options that each of them has beside those of its input."""
        return [*given_options(), *_option_list()]

    def begin(self, call: Call, given: Given) -> int:
        """Accept a run, and wait for it if that is asked for."""
        from interlock.cli.administering import asked_here
        from interlock.cli.reports import tell_if_no_worker

        options = options_from(given.params, datetime.now(UTC))
        with call.runtime() as il:
            run = il.submit(
                given.graph, given.input, **given.run, options=options, driving=asked_here(call)
            )
            if not given.params["wait"]:
                report_submitted(run, call)
                if not call.as_json:
                    tell_if_no_worker(il, run)
                return 0
            from interlock.cli.wait import wait_for

            return wait_for(il, call, run.run_id)


@click.group(
    cls=Submitted,
    subcommand_metavar="GRAPH [OPTIONS]",
    epilog=examples(
        'interlock submit research --question "What is a generator?" --sources notes',
        "interlock submit report --key nightly-2026-03-01 --in 6h --deadline 8h",
        "interlock submit chat --thread 3f2a9c1e --strategy interrupt --wait",
    ),
)
def submit() -> None:
    """Hand a run of a graph to workers (`interlock worker`), and return; options as for `run`."""


def options_from(params: Mapping[str, Any], now: datetime) -> Options:  # click's values
    """Return how a run is submitted; raises `UsageError` for a time that cannot be read."""
    from interlock.core.queueing import Options

    if params["start_at"] and params["in_"]:
        raise UsageError("Either --start-at or --in says when it starts.")
    start = params["start_at"] or params["in_"]
    return Options(
        idempotency_key=params["key"] or "",
        multitask_strategy=params["strategy"],
        priority=params["priority"],
        start_at=time_of(start, now) if start else None,
        deadline=time_of(params["deadline"], now) if params["deadline"] else None,
    )


def time_of(text: str, now: datetime) -> datetime:
    """Return a time that was written as one, or as a duration from now; without a zone it is local."""
    from interlock.cli.watching import seconds_of

    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    try:
        return now + timedelta(seconds=seconds_of(text))
    except UsageError as error:
        raise UsageError(
            f"{text!r} is neither a time nor a duration.",
            hint="Write 2026-03-01T08:00+01:00, or 30m.",
        ) from error


def _option_list() -> list[click.Parameter]:
    texts: list[click.Parameter] = [
        click.Option([name, "in_"] if name == "--in" else [name], metavar=metavar, help=text)
        for name, (metavar, text) in TEXTS.items()
    ]
    urgent = "From -1000 to 1000; each step is worth a minute of waiting."
    busy = "What if its thread has a run."
    strategies = click.Choice(get_args(MultitaskStrategy))
    return [
        *texts,
        click.Option(["--priority"], metavar="N", type=int, default=0, help=urgent),
        click.Option(
            ["--strategy"], type=strategies, default="reject", show_default=True, help=busy
        ),
        click.Option(["--wait"], is_flag=True, help="Wait for its end, as `interlock wait`."),
    ]


def report_submitted(run: Run, call: Call) -> None:
    """Tell of a run that workers will do, and what shows it."""
    from interlock.cli.output import print_json, remarks, results
    from interlock.documents.runs import run_document
    from interlock.wording import short

    if call.as_json:
        print_json(run_document(run))
        return
    results().print(run.run_id, soft_wrap=True)
    console, name = remarks(), short(run.run_id)
    console.print(f"{run.status}  run [cyan]{name}[/]  thread [cyan]{short(run.thread_id)}[/]")
    console.print(
        f"  [cyan]interlock watch {name}[/]  ·  [cyan]interlock wait {name}[/]"
        f"  ·  [cyan]interlock cancel {name}[/]",
        soft_wrap=True,
    )


__all__ = ["report_submitted", "submit"]
