"""How switches look: on a screen, and as JSON. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from interlock.wording import counted, short

if TYPE_CHECKING:
    from interlock.core.kills import Kill
    from interlock.documents.bounds import Told


def kill_line(kill: Kill) -> Text:
    """Return a switch that stands as one line that nobody overlooks."""
    return Text.assemble(
        (" KILLED ", "bold white on red"),
        (f" {kill.whose} ", "bold red"),
        f"by {kill.by or 'somebody'} at {kill.at.astimezone():%Y-%m-%d %H:%M:%S}: {kill.reason}  ",
        (f"interlock kill lift {kill.id}", "cyan"),
    )


def print_kills(told: list[Told], console: Console) -> None:
    """Print switches, and what each stopped and holds."""
    if not told:
        console.print("Nothing is killed.")
    for each in told:
        print_kill(each, console)


def print_kill(told: Told, console: Console) -> None:
    """Print a switch, and what it did."""
    kill = told.kill
    line = kill_line(kill) if kill.lifted_at is None else _lifted(kill)
    console.print(line, soft_wrap=True)
    stopped = [each for each in told.events if each.kind == "stopped"]
    for text, style in (
        (_those("stopped", [each.thread_id for each in stopped]), ""),
        (_those("holds", [each.thread_id for each in told.held]), ""),
        (_those("still at work", [each.thread_id for each in told.working]), "bold red"),
        (told.notice, "yellow"),
    ):
        if text:
            console.print(Text(f"  {text}", style=style), soft_wrap=True)


def _lifted(kill: Kill) -> Text:
    return Text.assemble(
        (f"{kill.id} ", "dim"),
        f"{kill.whose}, killed by {kill.by or 'somebody'} at {kill.at.astimezone():%Y-%m-%d %H:%M:%S}: {kill.reason}; ",
        (f"lifted by {kill.lifted_by or 'somebody'}", "green"),
    )


def _those(what: str, threads: list[str]) -> str:
    named = ", ".join(short(each) for each in threads[:10])
    more = f" and {len(threads) - 10:,} more" if len(threads) > 10 else ""
    return f"{what}: {counted(len(threads), 'run')} of thread {named}{more}" if threads else ""
