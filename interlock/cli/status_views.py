"""How an installation stands, as a picture and as JSON. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from interlock.core.health import Brake, Finding, Health, Line, Server, Worker
from interlock.documents.health import ENDINGS
from interlock.wording import clipped, counted, short

NARROW = 72
"""Columns below which what can be looked up elsewhere is left out."""

GROUPS = 8
TABLES = 3
TROUBLES = ("retried", "lost", "dead", "killed", "cancelled", "failed")


def finding_line(finding: Finding) -> Text:
    """Return one finding with what to do."""
    alarm = finding.severity == "alarm"
    head = (" ! ", "bold white on red") if alarm else (" · ", "yellow")
    do = ("  " + finding.do, "cyan") if finding.do else ""
    return Text.assemble(head, " ", (finding.what, "bold red" if alarm else ""), do)


class HealthPicture:
    """How an installation stands, a line or two for each part; what is empty is left out."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        health, wide = self._health, options.max_width >= NARROW
        yield from map(finding_line, health.findings)
        if not health.findings:
            yield Text.assemble((" ✓ ", "bold green"), " nothing needs a person")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, told in _parts(health, wide=wide):
            grid.add_row(label, told)
        yield grid


def _parts(health: Health, *, wide: bool) -> Iterator[tuple[str, RenderableType]]:
    yield "workers", _workers(health, wide=wide)
    yield "queue", _queue(health, wide=wide)
    yield "pace", _pace(health)
    if health.timers:
        yield "timers", _timers(health)
    if health.brakes:
        yield "models", _brakes(health)
    if health.letters:
        yield "letters", _counts(health.letters)
    if health.server is not None:
        yield "server", _server(health.server, wide=wide)


def _workers(health: Health, *, wide: bool) -> RenderableType:
    if not health.workers:
        return Text("none")
    slots = sum(each.concurrency for each in health.workers)
    head = f"{len(health.workers)} · {health.claimed} of {counted(slots, 'slot')} at work"
    table = Table.grid(padding=(0, 1))
    for number in range(5 if wide else 3):
        table.add_column(no_wrap=number < 4, justify="right" if number in (2, 3) else "left")
    for each in health.workers:
        table.add_row(*_worker_row(each, health.at, wide=wide))
    return Group(Text(head), table)


def _worker_row(worker: Worker, now: datetime, *, wide: bool) -> list[Text]:
    gone = worker.lease_seconds < 0
    style = "bold red" if gone else "yellow" if worker.state != "working" else "green"
    name = Text(clipped(worker.process, 40 if wide else 24), style="cyan")
    state = Text("lease over" if gone else worker.state, style=style)
    load = Text(f"{worker.runs}/{worker.concurrency}")
    if not wide:
        return [name, state, load]
    beat = Text(f"beat {age(worker.beat_seconds)}", style="dim")
    up = f"up {age((now - worker.started_at).total_seconds())}"
    return [name, state, load, beat, Text(_about(worker, up), style="dim")]


def _about(worker: Worker, up: str) -> str:
    only = [f"only {', '.join(each)}" for each in (worker.graphs, worker.tenants) if each]
    threads = " ".join(short(each) for each in worker.threads[:3])
    more = f" +{worker.runs - 3}" if worker.runs > 3 else ""
    return " · ".join(each for each in (up, *only, f"{threads}{more}") if each)


def _queue(health: Health, *, wide: bool) -> RenderableType:
    if not health.queue:
        return Text("empty")
    parts = [f"{health.ready:,} ready"]
    if health.behind:
        parts.append(f"{health.behind:,} behind others")
    parts.append(f"{health.claimed:,} at work")
    if health.ready:
        parts.append(f"oldest {age(health.oldest_seconds)}")
    if len(health.queue) == 1 and not health.queue[0].tenant:
        return Text(f"{' · '.join(parts)} · {health.queue[0].graph}")
    return Group(Text(" · ".join(parts)), _lines(health, wide=wide))


def _lines(health: Health, *, wide: bool) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for number in range(4 if wide else 3):
        table.add_column(no_wrap=True, justify="right" if number else "left")
    for each in health.queue[:GROUPS]:
        table.add_row(*_line_row(each, wide=wide))
    if len(health.queue) > GROUPS:
        table.add_row(Text(f"and {len(health.queue) - GROUPS} more", style="dim"))
    return table


def _line_row(line: Line, *, wide: bool) -> list[Text]:
    whose = f"{line.tenant} {line.graph}".strip() + (f" p{line.priority}" if line.priority else "")
    row = [
        Text(clipped(whose, 40 if wide else 20)),
        Text(f"{line.ready + line.behind:,} queued"),
        Text(f"{line.claimed:,} at work", style="dim"),
    ]
    oldest = f"oldest {age(line.oldest_seconds)}" if line.ready else ""
    return [*row, Text(oldest, style="dim")] if wide else row


def _pace(health: Health) -> Text:
    pace = health.pace
    ended = sum(pace.events.get(each, 0) for each in ENDINGS)
    if not ended and not pace.events:
        return Text("nothing in the last minute", style="dim")
    parts = [f"{pace.rate(*ENDINGS):.1f} runs/s", f"{ended:,} in {pace.seconds:.0f} s"]
    troubles = [f"{pace.events[each]:,} {each}" for each in TROUBLES if pace.events.get(each)]
    return Text.assemble(
        " · ".join(parts), (f" · {', '.join(troubles)}", "yellow") if troubles else ""
    )


def _timers(health: Health) -> Text:
    first = min(health.timers, key=lambda each: each.next_at)
    due = "now" if first.late_seconds >= 0 else f"in {age(-first.late_seconds)}"
    kinds = ", ".join(f"{each.timers:,} {each.kind}" for each in health.timers)
    asleep = f" · {counted(health.asleep, 'thread')} asleep" if health.asleep else ""
    return Text(f"next {first.kind} {due} · {kinds}{asleep}")


def _brakes(health: Health) -> Group:
    return Group(*(Text(clipped(_brake(each), 120)) for each in health.brakes[:GROUPS]))


def _brake(brake: Brake) -> str:
    parts = [f"{brake.name}:"]
    if brake.is_open:
        parts.append(f"breaker open for {age(brake.open_seconds)}")
    if brake.told_seconds:
        parts.append(f"left alone for {age(brake.told_seconds)}")
    if brake.waiting:
        parts.append(f"{brake.waiting:,} waiting, first for {age(brake.oldest_seconds)}")
    return " ".join(parts)


def _counts(counts: Mapping[str, int]) -> Text:
    return Text(" · ".join(f"{many:,} {kind}" for kind, many in counts.items()))


def _server(server: Server, *, wide: bool) -> Text:
    parts = [f"{server.connections} of {server.most_connections} connections", size(server.bytes)]
    if wide:
        largest = ", ".join(f"{each.name} {size(each.bytes)}" for each in server.tables[:TABLES])
        parts.append(largest)
    if server.dead_queue_rows > 10_000:
        parts.append(f"{server.dead_queue_rows:,} dead rows in the queue")
    return Text(" · ".join(parts))


def age(seconds: float) -> str:
    """Return a time in its largest unit, in as little room as it takes: `4 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(number: int) -> str:
    """Return a number of bytes in the unit that fits."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
