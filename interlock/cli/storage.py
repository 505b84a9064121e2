"""`storage`: what takes how much, threads folded to what matters, blobs collected that nothing names."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.storage import Pruned, Pruning, Stored

PRUNE = "interlock storage prune; deleting threads"
SHRINKS = {
    **dict.fromkeys(
        ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "checkpoint_content"), PRUNE
    ),
    "blobs": "interlock storage collect",
    "streams": "itself, INTERLOCK_STREAM_HOURS after a run's end",
    "store": "a lifetime of its items, or deleting them",
    **dict.fromkeys(("audit", "ledger"), "nothing: what was done stays known"),
    **dict.fromkeys(
        ("runs", "threads", "recordings", "questions", "outcomes", "letters"),
        "deleting threads",
    ),
}
"""What takes rows away, by what they are for."""

HINT = "What was freed is used again; `vacuum full` gives it back to the disk."


@click.group(
    cls=Group,
    epilog=examples(
        "interlock storage show",
        "interlock storage prune --dry-run",
        "interlock storage prune --keep 50 --older-than 30",
        "interlock storage collect",
    ),
)
def storage() -> None:
    """See what takes how much, fold old steps, and collect blobs."""


@storage.command(epilog=examples("interlock storage show --json"))
def show() -> int:
    """Show what takes how much, indexes included."""
    from interlock.cli.output import print_json

    call = this_call()
    with call.runtime() as il:
        stored = il.storage()
    if call.as_json:
        print_json(asdict(stored) | {"bytes": stored.bytes})
    else:
        _print_stored(stored)
    return 0


@storage.command(
    epilog=examples(
        "interlock storage prune --dry-run",
        "interlock storage prune 3f2a9c1e --keep 5 --older-than 0",
        "interlock storage prune --json",
    )
)
@click.argument("thread", required=False)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Newest steps of each graph on a thread to keep.",
)
@click.option(
    "--older-than",
    "days",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    help="Keep what is younger.",
)
@click.option("--calls", is_flag=True, help="Keep steps of recorded calls, too.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def prune(thread: str | None, keep: int, days: float, calls: bool, dry_run: bool) -> int:
    """Fold old steps of a thread, or of all, into those that matter.

    Kept are the first and the last step, those that questions, forks, replays and actions point to, and milestones.
    """
    from interlock.cli.output import print_json

    call = this_call()
    age = timedelta(days=days)
    with call.runtime() as il:
        done = il.prune(
            thread,
            keep=keep,
            older_than=age,
            calls=calls,
            dry_run=dry_run,
            told=_teller(quiet=call.as_json),
        )
    if call.as_json:
        print_json(_document(done))
    else:
        _print_pruning(done)
    return 0


@storage.command(epilog=examples("interlock storage collect --dry-run"))
@click.option(
    "--older-than",
    "hours",
    metavar="HOURS",
    type=click.FloatRange(min=0),
    default=1,
    show_default=True,
    help="Keep what was stored more recently.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def collect(hours: float, dry_run: bool) -> int:
    """Take away the blobs that nothing names any more."""
    from interlock.cli.output import print_json
    from interlock.wording import counted

    call = this_call()
    with call.runtime() as il:
        done = il.collect_blobs(older_than=timedelta(hours=hours), dry_run=dry_run)
    if call.as_json:
        print_json(asdict(done) | {"unread": list(done.unread), "dry_run": dry_run})
        return 0
    verb = "would be collected" if dry_run else "collected"
    click.echo(f"{counted(done.blobs, 'blob')} {verb}: {_size(done.bytes)}.")
    for each in done.unread:
        click.echo(f"Thread {each} cannot be read here; all that it named is kept.", err=True)
    return 0


def _teller(*, quiet: bool) -> Callable[[Pruned], None]:
    """Return what tells of each thread that was looked at while others follow."""

    def tell(pruned: Pruned) -> None:
        if quiet:
            return
        before, after = pruned.checkpoints_before, pruned.checkpoints_after
        if pruned.skipped:
            click.echo(f"{pruned.thread_id[:8]}  {pruned.skipped}", err=True)
        elif before != after:
            sizes = f"{_size(pruned.bytes_before)} to {_size(pruned.bytes_after)}"
            click.echo(f"{pruned.thread_id[:8]}  {before:,} steps to {after:,}, {sizes}", err=True)

    return tell


def _print_stored(stored: Stored) -> None:
    from rich import box
    from rich.table import Table

    from interlock.cli.output import results
    from interlock.wording import counted

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("what")
    table.add_column("takes", justify="right")
    table.add_column("rows, about", justify="right")
    table.add_column("gets smaller by")
    for name, taken in stored.tables.items():
        table.add_row(name, _size(taken), f"{stored.rows.get(name, 0):,}", SHRINKS.get(name, ""))
    console = results()
    console.print(table)
    console.print(
        f"{counted(stored.threads, 'thread')} · {counted(stored.checkpoints, 'checkpoint')} · "
        f"{counted(stored.blobs, 'blob')} of {_size(stored.blob_bytes)} · {_size(stored.bytes)}",
        style="dim",
    )


def _print_pruning(done: Pruning) -> None:
    from interlock.wording import counted

    before, after = done.checkpoints
    verb = "would be folded" if done.dry_run else "folded"
    click.echo(
        f"{counted(len(done.threads), 'thread')}: {before - after:,} of {before:,} steps {verb}, "
        f"{_size(done.bytes[0])} to {_size(done.bytes[1])}."
    )
    if before > after and not done.dry_run:
        click.echo(HINT, err=True)


def _document(done: Pruning) -> dict[str, Any]:  # a JSON object
    before, after = done.checkpoints
    return {
        "dry_run": done.dry_run,
        "checkpoints": {"before": before, "after": after},
        "bytes": {"before": done.bytes[0], "after": done.bytes[1]},
        "skipped": done.skipped,
        "threads": [asdict(each) for each in done.threads],
    }


def _size(size: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
