"""How dead letters look: on a screen, and as JSON. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.cli.texts import ago, duration, line_of, lines_of, spent
from interlock.core.effects import Effect
from interlock.core.letters import CallsOf, Closed, Letter, LetterDetail, RunEvent
from interlock.core.runs import Usage
from interlock.wording import ID_LENGTH, clipped, counted, short

TAIL = 14
"""Lines of a traceback that are shown: where it was raised stands at its end."""

EVENTS = 12

NARROW = 90
"""Columns below which a list leaves out what `show` tells."""

STATUS_STYLES = {"open": "bold red", "replayed": "green", "repaired": "green", "discarded": "dim"}


def print_letters(letters: Sequence[Letter], console: Console, *, filtered: bool) -> None:
    """Print letters as rows, and what to do next."""
    if not letters:
        console.print(
            "No such letter: [cyan]interlock letters list --all[/] lists every one."
            if filtered
            else "No dead letters. Runs that fail for good while nobody waits for them are listed here."
        )
        return
    now = datetime.now(UTC)
    closed = any(each.status != "open" for each in letters)
    wide = console.width >= NARROW
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 1))
    titles = ("letter", "kind", "graph", *["node"] * wide, *["stands"] * closed, "error", "died")
    for title in titles:
        table.add_column(title, no_wrap=title != "error", overflow="ellipsis")
    for each in letters:
        middle = [Text(each.node)] * wide
        middle += [Text(each.status, style=STATUS_STYLES[each.status])] * closed
        table.add_row(
            Text(each.id[:ID_LENGTH], style="cyan"),
            each.kind,
            each.graph,
            *middle,
            Text(clipped(each.error, max(2 * (console.width - 60), 30))),
            ago(each.buried_at, now),
        )
    console.print(table)
    if first := next((each for each in letters if each.status == "open"), None):
        console.print(f"[cyan]interlock letters show {first.id[:ID_LENGTH]}[/] tells all of one.")


def print_detail(detail: LetterDetail, console: Console, *, full: bool) -> None:
    """Print a letter: what failed, where and why, what was done, and what a replay would do."""
    letter = detail.letter
    console.print(_head(letter), soft_wrap=True)
    console.print(Text(letter.error, style="bold"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, lines in _rows(detail, full=full):
        table.add_row(name, Text("\n").join(lines))
    console.print(table)
    _print_lines("traceback", _tail(letter.traceback, full=full), console)
    _print_lines("state at the last checkpoint", _state(detail, full=full), console)
    _print_next(detail, console)


def print_closed(done: Sequence[Closed], what: str, console: Console) -> None:
    """Print what became of letters."""
    if not done:
        console.print("No open letter fits.")
    for each in done:
        name = each.letter.id[:ID_LENGTH]
        if each.refused:
            console.print(Text.assemble(("refused ", "bold red"), f"{name}: {each.refused}"))
            continue
        about = f"{name}: {each.letter.graph}, thread {short(each.letter.thread_id)}"
        console.print(Text.assemble((f"{what} ", "green"), about))
    if what == "replayed" and any(not each.refused for each in done):
        console.print(
            "Workers go on with what was replayed; without any, `interlock resume THREAD` does."
        )


def _head(letter: Letter) -> Text:
    word, style = (
        ("DEAD", "bold white on red")
        if letter.status == "open"
        else (letter.status.upper(), "bold")
    )
    when = f"{letter.buried_at.astimezone():%Y-%m-%d %H:%M:%S}"
    return Text.assemble(
        (f" {word} ", style),
        (f" {letter.kind} ", "bold red"),
        f"in {letter.graph}, {ago(letter.buried_at, datetime.now(UTC))} ({when})",
    )


def _rows(detail: LetterDetail, *, full: bool) -> Iterator[tuple[str, list[Text]]]:
    letter = detail.letter
    after = "before its first step" if detail.step is None else f"after step {detail.step}"
    yield "where", [Text(f"{letter.node or ', '.join(detail.next) or 'not in a node'}, {after}")]
    yield "not retried", [Text(f"{letter.because}; {counted(letter.attempts, 'attempt')} in all")]
    names = f"letter {letter.id}, thread {short(letter.thread_id)}, run {short(letter.run_id)}"
    yield "names", [Text(names + (f", tenant {letter.tenant}" if letter.tenant else ""))]
    for name, lines in (
        ("happened", _events(detail, full=full)),
        ("done", [_act(each) for each in detail.done]),
        ("in doubt", [_act(each, "bold red") for each in detail.in_doubt]),
        ("models", [_calls(each) for each in detail.calls]),
        ("behind it", _behind(detail)),
        ("closed", _closed(letter)),
    ):
        if lines:
            yield name, lines


def _events(detail: LetterDetail, *, full: bool) -> list[Text]:
    events = detail.events if full else detail.events[-EVENTS:]
    earlier = len(detail.events) - len(events)
    lines = [Text(f"… {earlier} earlier", style="dim")] if earlier else []
    return lines + [_event(each, known=detail.letter.error) for each in events]


def _event(event: RunEvent, *, known: str) -> Text:
    """Return an event as one line; an error that stands above it already is not repeated."""
    detail = event.detail
    error = str(detail.get("error", ""))
    told = [str(detail.get("failure", "")), "" if known.startswith(error) else clipped(error, 90)]
    if "retry_seconds" in detail:
        told.append(f"again after {duration(float(detail['retry_seconds']))}")
    told.append(clipped(str(detail.get("why", "")), 90))
    told += [f"by {who}" for who in (event.worker_id[:8], str(detail.get("by", ""))) if who]
    return Text.assemble(
        (f"{event.at.astimezone():%H:%M:%S} ", "dim"),
        f"{event.kind}  ",
        (" · ".join(filter(None, told)), "dim"),
    )


def _act(effect: Effect, style: str = "") -> Text:
    undo = "" if effect.reversible else "  cannot be undone"
    borrowed = "  (its parent did)" if effect.source else ""
    return Text.assemble(
        (effect.action, style or "bold"),
        f"  {clipped(line_of(dict(effect.arguments)), 90)}",
        (f"  {effect.key[:12]}{borrowed}", "dim"),
        (undo, "yellow"),
    )


def _calls(calls: CallsOf) -> Text:
    names: Mapping[str, Any] = asdict(calls)
    usage = Usage(
        **{name: names[name] for name in ("calls", "input_tokens", "output_tokens", "cost")}
    )
    return Text(f"{calls.node}  {calls.model}  {spent(usage)}")


def _behind(detail: LetterDetail) -> list[Text]:
    if not detail.behind:
        return []
    waits = "until the letter is closed" if detail.letter.holds else "for their turn"
    return [Text(f"{counted(detail.behind, 'run')} of its thread, waiting {waits}")]


def _closed(letter: Letter) -> list[Text]:
    if letter.status == "open" or letter.closed_at is None:
        return []
    by = f" by {letter.closed_by}" if letter.closed_by else ""
    why = f": {letter.closed_why}" if letter.closed_why else ""
    return [Text(f"{letter.status}{by} at {letter.closed_at.astimezone():%Y-%m-%d %H:%M:%S}{why}")]


def _tail(text: str, *, full: bool) -> list[str]:
    """Return a traceback, in short without what is not the application's own."""
    lines = text.rstrip().splitlines()
    if full:
        return lines
    own = [line for line, foreign in zip(lines, _foreign(lines), strict=True) if not foreign]
    left_out = ["… (--full shows all of it)"] if len(own[-TAIL:]) < len(lines) else []
    return [*left_out, *own[-TAIL:]]


def _foreign(lines: Sequence[str]) -> Iterator[bool]:
    """Say of each line of a traceback whether it is of a frame in an installed library."""
    foreign = False
    for line in lines:
        if line.startswith("  File "):
            foreign = any(each in line for each in ("site-packages", "/lib/python"))
        elif not line.startswith("   "):
            foreign = False
        yield foreign


def _state(detail: LetterDetail, *, full: bool) -> list[str]:
    if detail.state is None:
        return [detail.state_problem] if detail.state_problem else []
    return lines_of(detail.state, full=full) if detail.state else ["(empty)"]


def _print_lines(title: str, lines: Sequence[str], console: Console) -> None:
    if lines:
        console.print(Text(f"\n{title}", style="dim"))
    for each in lines:
        console.print(Text(f"  {each}"), soft_wrap=True)


def _print_next(detail: LetterDetail, console: Console) -> None:
    letter = detail.letter
    if letter.status != "open":
        return
    name = letter.id[:ID_LENGTH]
    console.print(Text("\na replay", style="dim"))
    for each in detail.replaying:
        console.print(Text(f"  {each}"), soft_wrap=True)
    console.print()
    if not detail.refused:
        console.print(f'  [cyan]interlock letters replay {name} --reason "…"[/]')
        console.print(f"  [cyan]interlock letters repair {name}[/]")
    if detail.step is not None:
        fork = f"interlock fork {short(letter.thread_id)} --at {detail.step} --set KEY=VALUE"
        console.print(f"  [cyan]{fork}[/]", soft_wrap=True)
    console.print(f'  [cyan]interlock letters discard {name} --reason "…"[/]')
