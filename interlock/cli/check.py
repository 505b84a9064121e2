"""`check`: what would break if this code took over the threads that have not ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Command, this_call

if TYPE_CHECKING:
    from interlock.checking import Broken, Checked

EXAMPLES = """\b
Examples:
  interlock check                    before a deployment, with the new code
  interlock check --graph research   only threads of one graph
  interlock check --json             for a pipeline; exit code 1 when any would break
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.option("--graph", metavar="NAME", help="Only threads of this graph.")
def check(graph: str | None) -> int:
    """Compare this code with every thread that has not ended, and list those that would break."""
    from interlock.cli.output import print_json

    call = this_call()
    with call.runtime() as il, _progress(shown=not call.as_json) as progress:
        found = il.check(graph=graph, progress=progress)
    if call.as_json:
        print_json(asdict(found))
    else:
        _print(found)
    return 1 if found.broken else 0


def _print(found: Checked) -> None:
    from interlock.cli.output import results
    from interlock.wording import counted

    looked_at = f"{counted(found.threads, 'thread')} that {'has' if found.threads == 1 else 'have'} not ended"
    if not found.broken:
        results().print(f"This code can go on with {looked_at}.", style="green")
        return
    for each in found.broken:
        _print_broken(each)
    results().print(f"{len(found.broken)} of {looked_at} would break.", style="red")


def _print_broken(broken: Broken) -> None:
    from interlock.cli.output import results

    console = results()
    console.print(
        f"{broken.thread_id}  {broken.graph}  {broken.status}", markup=False, soft_wrap=True
    )
    for each in broken.problems:
        console.print(f"  {each.kind}: {each.text}.", markup=False, soft_wrap=True)
        if each.hint:
            console.print(f"    {each.hint}", markup=False, soft_wrap=True)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a line that counts, where a person looks on."""
    from rich.progress import Progress

    from interlock.cli.output import remarks

    console = remarks()
    with Progress(
        console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("Comparing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
