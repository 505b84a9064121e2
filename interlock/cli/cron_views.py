"""How crons and timers look: on a screen, and as JSON. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.cli.texts import ago, duration, lines_of
from interlock.core.cron import Cron, Firing, explained
from interlock.core.timing import Timer
from interlock.documents.times import next_times
from interlock.wording import clipped, counted, short

NARROW = 90
"""Columns below which a list leaves out what `show` tells."""

OUTCOMES = {"submitted": "green", "missed": "yellow", "refused": "red"}
STATES = {"set": "", "fired": "green", "cancelled": "dim", "failed": "bold red"}


def print_crons(crons: Sequence[Cron], now: datetime, console: Console) -> None:
    """Print crons as rows, and what to do next."""
    if not crons:
        console.print(
            "No crons. [cyan]interlock cron set NAME GRAPH '30 7 * * mon-fri'[/] makes one."
        )
        return
    wide = console.width >= NARROW
    table = _table("cron", "graph", "schedule", *["zone"] * wide, "next", *["catch up"] * wide)
    for each in crons:
        table.add_row(
            Text(each.name, style="cyan"),
            Text(each.graph),
            Text(each.schedule),
            *[Text(each.zone)] * wide,
            _next(each, now, wide=wide),
            *[Text(each.catch_up)] * wide,
        )
    console.print(table)
    console.print(Text("interlock cron show NAME", style="cyan"))


def print_cron(cron: Cron, now: datetime, firings: Sequence[Firing], console: Console) -> None:
    """Print a cron with its next times, and what it did lately."""
    paused = "" if cron.enabled else "  paused"
    console.print(Text.assemble((cron.name, "bold cyan"), f"  {cron.graph}", (paused, "yellow")))
    console.print(Text(f"{cron.schedule}   {explained(cron.schedule)}, {cron.zone}"))
    for line in _facts(cron):
        console.print(Text(f"  {line}"), soft_wrap=True)
    for line in lines_of(dict(cron.input), depth=1) if cron.input else ():
        console.print(Text(f"  {line}", style="dim"), soft_wrap=True)
    _print_next(cron, now, console)
    for each in firings:
        console.print(_firing(each, cron.zone, now), soft_wrap=True)
    if not firings:
        console.print(Text("It has not fired yet.", style="dim"))


def print_timers(timers: Sequence[Timer], now: datetime, console: Console) -> None:
    """Print timers as rows, and what to do about those that were set aside."""
    if not timers:
        console.print("No such timers. Runs that start later, sleep or retry have one each.")
        return
    table = _table("timer", "kind", "what for", "due", "stands")
    for each in timers:
        table.add_row(
            Text(str(each.id), style="cyan"),
            Text(each.kind),
            Text(each.cron or f"thread {short(each.thread_id)}"),
            Text(_when(each.fired_at or each.due_at, now)),
            Text(_standing(each), style=STATES[each.state]),
        )
    console.print(table)
    if failed := [each for each in timers if each.state == "failed"]:
        were = "timer was" if len(failed) == 1 else "timers were"
        console.print(f"{len(failed):,} {were} set aside: [cyan]interlock timers retry ID[/]")


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 1))
    for title in titles:
        table.add_column(title, no_wrap=title != "stands", overflow="ellipsis")
    return table


def _facts(cron: Cron) -> list[str]:
    thread = f"on thread {cron.thread_id}" if cron.thread_id else "each run on a thread of its own"
    busy = f"; {cron.multitask_strategy} while it is busy" if cron.thread_id else ""
    found = [f"{thread}{busy}", f"missed times: {cron.catch_up}"]
    if cron.priority:
        found.append(f"priority {cron.priority}")
    if cron.within:
        found.append(f"a run is stopped after {duration(cron.within)}")
    return found


def _print_next(cron: Cron, now: datetime, console: Console) -> None:
    for number, each in enumerate(next_times(cron, now)):
        head = "next" if number == 0 else ""
        console.print(f"  {head:6}{each:%a %Y-%m-%d %H:%M:%S %Z}  [dim]{_in(each, now)}[/]")
    if not cron.enabled:
        console.print(f"  It does not fire: [cyan]interlock cron resume {cron.name}[/]")


def _next(cron: Cron, now: datetime, *, wide: bool) -> Text:
    if not cron.enabled:
        return Text("paused", style="yellow")
    if cron.next_at is None:
        return Text("never", style="yellow")
    local = cron.next_at.astimezone(ZoneInfo(cron.zone))
    then = f" ({_away(local, now)})" if wide else ""
    return Text(f"{local:%m-%d %H:%M %Z}{then}")


def _firing(firing: Firing, zone: str, now: datetime) -> Text:
    style = OUTCOMES[firing.outcome]
    said = f"thread {short(firing.thread_id)}" if firing.thread_id else clipped(firing.detail, 100)
    when = f"{firing.due_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S %Z}"
    return Text.assemble(
        (f"{firing.outcome:10}", style), f"{when}  {said}  ", (ago(firing.due_at, now), "dim")
    )


def _standing(timer: Timer) -> str:
    if timer.state in ("set", "failed") and timer.error:
        tried = (
            f" after {counted(timer.tries, 'try').replace('trys', 'tries')}" if timer.tries else ""
        )
        return f"{timer.state}{tried}: {clipped(timer.error, 100)}"
    return timer.state


def _when(moment: datetime, now: datetime) -> str:
    told = f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"{told} ({_away(moment, now)})"


def _away(moment: datetime, now: datetime) -> str:
    return ago(moment, now) if moment <= now else _in(moment, now)


def _in(moment: datetime, now: datetime) -> str:
    seconds = max(int((moment - now).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"in {seconds // size} {unit}"
    return f"in {seconds} s"
