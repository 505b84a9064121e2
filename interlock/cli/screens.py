"""Tables for people: questions, threads, steps, differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.cli.texts import ago, changes, duration, line_of, lines_of, ran, spent, tokens
from interlock.core.runs import Step, Usage
from interlock.documents.runs import notice_of
from interlock.wording import clipped, counted, money, names, short

if TYPE_CHECKING:
    from interlock.core.effects import Effect
    from interlock.core.runs import ThreadSummary
    from interlock.differences import Difference

STATUS_STYLES = {
    "succeeded": "green",
    "waiting": "yellow",
    "running": "cyan",
    "queued": "cyan",
    "asleep": "blue",
    "later": "blue",
    "retrying": "yellow",
    "failed": "red",
    "dead": "bold red",
    "cancelled": "dim",
    "killed": "bold red",
    "lost": "red",
    "stopped": "yellow",
}


def notice_for(models: Iterable[str]) -> str:
    """Return the notice that a screen of several runs must carry."""
    return next((notice for model in models if (notice := notice_of(model))), "")


def print_threads(
    threads: Sequence[ThreadSummary], console: Console, pending: Mapping[str, str] | None = None
) -> None:
    """Print the latest threads; `pending` as for `threads_table`."""
    if not threads:
        console.print("No thread yet: [cyan]interlock run[/] starts one.")
        return
    console.print(threads_table(threads, pending or {}))


def threads_table(threads: Sequence[ThreadSummary], pending: Mapping[str, str]) -> Table:
    """Return threads as rows; `pending` tells of those that a worker, or a timer, has yet to begin."""
    table = _table("thread", "graph", "status", "about", "last")
    now = datetime.now(UTC)
    for each in threads:
        status = standing(each, pending.get(each.thread_id, ""))
        about = clipped(each.title, 200) + (
            f" — {clipped(each.error, 120)}" if status in ("failed", "dead", "killed") else ""
        )
        fork = f" ⑂ {short(each.parent_thread_id)}" if each.parent_thread_id else ""
        table.add_row(
            Text(short(each.thread_id), style="cyan"),
            each.graph,
            Text(status, style=STATUS_STYLES.get(status, "")),
            Text(about + fork),
            ago(each.updated_at, now),
        )
    return table


def standing(thread: ThreadSummary, pending: str = "") -> str:
    """Return a thread's status as a person means it: a running one without a process is lost."""
    if pending and thread.status in ("queued", "waiting"):
        return pending
    if thread.status == "running" and not thread.alive:
        return "lost"
    if thread.status == "queued":
        return "running" if thread.alive else "stopped"
    return thread.status


def print_history(steps: Sequence[Step], console: Console) -> None:
    """Print a thread's steps."""
    table = _table("step", "ran", "what changed", "next")
    for title in ("tokens", "cost", "took"):
        table.add_column(title, justify="right", no_wrap=True)
    before: Mapping[str, Any] = {}  # state
    for step in steps:
        table.add_row(*_history_row(step, before))
        before = step.values
    console.print(table)
    total = sum((step.usage for step in steps), Usage())
    taken = sum(step.seconds for step in steps)
    console.print(
        f"{counted(len(steps), 'step')} · {duration(taken)} · {spent(total)}", style="dim"
    )


def print_step(step: Step, console: Console, *, key: str | None, full: bool) -> None:
    """Print the state at a step, or one key of it."""
    if key is not None:
        _print_lines(step.values[key], console, full=full)
        return
    console.print(
        f"[bold]step {step.number}[/] · {ran(step)} · "
        f"{step.created_at.astimezone():%Y-%m-%d %H:%M:%S} · checkpoint [cyan]{step.checkpoint_id}[/]"
    )
    if step.next:
        console.print(f"next: {names(step.next)}", style="dim")
    for name, value in step.values.items():
        lines = lines_of({name: value}, full=full)
        head = Text(lines[0])
        head.stylize("bold green" if name in step.changed else "bold", 0, len(name) + 1)
        for line in (head, *lines[1:]):
            console.print(line, soft_wrap=full, markup=False)


def print_difference(difference: Difference, console: Console) -> None:
    """Print how two threads differ: where they part, what each did, and how they end."""
    console.print(_paths(difference))
    sides = _table("", f"A {short(difference.a)}", f"B {short(difference.b)}")
    sides.add_row("since then", spent(difference.usage_a), spent(difference.usage_b))
    only_a, only_b = difference.effects_only_a, difference.effects_only_b
    sides.add_row("actions", _acts(only_a), _acts(only_b))
    for key, (a, b) in difference.changed.items():
        sides.add_row(Text(key, style="bold"), _brief(a), _brief(b))
    console.print(sides)
    if difference.effects_both:
        console.print(Text(f"Both did:\n{_acts(difference.effects_both)}"))
    if not difference.changed:
        console.print("Both end with the same state.")


def _paths(difference: Difference) -> Table:
    """Return a picture of where two threads part; a long way is wrapped under itself."""
    common = f"{counted(difference.common_steps, 'step')} in common"
    picture = Table.grid(padding=(0, 1))
    picture.add_column(no_wrap=True, style="dim")
    picture.add_column(no_wrap=True)
    picture.add_column()
    picture.add_row(f"{common} ─┬─", Text("A", style="bold green"), _path(difference.path_a))
    turn = " " * (len(common) + 2) + "╰─"
    picture.add_row(turn, Text("B", style="bold magenta"), _path(difference.path_b))
    return picture


def _path(path: Sequence[str]) -> str:
    return " → ".join(names(each.split("+")) for each in path) or "(nothing more)"


def _history_row(step: Step, before: Mapping[str, Any]) -> list[str | Text]:  # state
    following = names(step.next)
    if step.questions:
        following += " asks a person"
    return [
        str(step.number),
        ran(step),
        changes(step.changed, before, step.values),
        Text(following, style="yellow" if step.questions else "dim"),
        tokens(step.usage) if step.usage.calls else "",
        money(step.usage.cost) if step.usage.calls else "",
        duration(step.seconds),
    ]


def _print_lines(value: Any, console: Console, *, full: bool) -> None:  # a value of any state
    for line in lines_of(value, full=full):
        console.print(Text(line), soft_wrap=full)


def _brief(value: Any) -> str:  # a value of any state
    if isinstance(value, list):
        return counted(len(value), "item")
    if isinstance(value, dict):
        return "\n".join(clipped(line, 80) for line in lines_of(value, depth=0))
    return clipped(line_of(value) if value is not None else "—", 160)


def _acts(effects: Sequence[Effect]) -> str:
    return "\n".join(map(_act, effects)) or "none"


def _act(effect: Effect) -> str:
    given = (f"{name}={line_of(value)}" for name, value in effect.arguments.items())
    return clipped(f"{effect.action}({', '.join(given)})", 160)


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 1))
    for number, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=number == 0)
    return table
