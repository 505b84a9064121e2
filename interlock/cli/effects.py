"""`effects`: what was done to the world, what is in doubt, and what was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Group, this_call
from interlock.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from interlock.core.effects import Effect, Refused

LIMIT = click.IntRange(1, 10_000)


EXAMPLES = """\b
Examples:
  interlock effects --in-doubt
  interlock effects show 3f2a9c
  interlock effects resolve 3f2a9c --happened --result '{"id": "re_1"}'
  interlock effects resolve 3f2a9c --did-not
"""


@click.group(cls=Group, invoke_without_command=True, epilog=EXAMPLES)
@click.option("--thread", metavar="ID", help="Only of this thread.")
@click.option("--in-doubt", is_flag=True, help="Only those whose outcome is unknown.")
@click.pass_context
def effects(ctx: click.Context, thread: str | None, in_doubt: bool) -> int | None:
    """List what agents did to the world, and settle what is in doubt."""
    return _list(thread, in_doubt, 50) if ctx.invoked_subcommand is None else None


@effects.command("list")
@click.option("--thread", metavar="ID", help="Only of this thread.")
@click.option("--in-doubt", is_flag=True, help="Only those whose outcome is unknown.")
@click.option("--limit", metavar="N", type=LIMIT, default=50, show_default=True, help="How many.")
def list_(thread: str | None, in_doubt: bool, limit: int) -> int:
    """List effects, the newest last."""
    return _list(thread, in_doubt, limit)


@effects.command()
@click.argument("key")
def show(key: str) -> int:
    """Show one effect: arguments, result, who permitted it, and how it stands."""
    from interlock.cli.output import print_json, results
    from interlock.documents.effects import effect_document

    call = this_call()
    with call.runtime() as il:
        effect = il.effect(key)
    if call.as_json:
        print_json(effect_document(effect))
    else:
        print_effect(effect, results())
    return 0


@effects.command()
@click.option("--thread", metavar="ID", help="Only of this thread.")
@click.option("--limit", metavar="N", type=LIMIT, default=50, show_default=True, help="How many.")
def refused(thread: str | None, limit: int) -> int:
    """List what was not permitted, and why."""
    from interlock.cli.output import print_json, results
    from interlock.documents.effects import effect_document

    call = this_call()
    with call.runtime() as il:
        found = il.refusals(thread, limit=limit)
    if call.as_json:
        print_json({"refused": [effect_document(each) for each in found]})
    else:
        _print_refused(found, results())
    return 0


@effects.command()
@click.argument("key")
@click.option(
    "--happened/--did-not", "happened", default=None, help="What you found when you looked."
)
@click.option("--result", metavar="JSON", help="What the action returned, if it happened.")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def resolve(key: str, happened: bool | None, result: str | None, by: str | None) -> int:
    """Say what became of an effect in doubt; `resume` then goes on with its thread."""
    from interlock.cli.asking import login_name
    from interlock.cli.output import print_json, results
    from interlock.cli.texts import read_json_or_text
    from interlock.documents.effects import effect_document
    from interlock.wording import short

    if happened is None:
        raise UsageError("Say what became of it.", hint="Add --happened or --did-not.")
    if result is not None and not happened:
        raise UsageError("What did not happen has no result.", hint="Leave --result out.")
    call = this_call()
    with call.runtime() as il:
        who = by or il.settings.user or login_name()
        given = None if result is None else read_json_or_text(result, "--result")
        effect = il.resolve_effect(key, happened=happened, result=given, by=who)
    if call.as_json:
        print_json(effect_document(effect))
        return 0
    said = "happened" if effect.status == "done" else "did not happen"
    results().print(
        f"Written down: {effect.action} {said}. "
        f"[cyan]interlock resume {short(effect.thread_id)}[/] goes on."
    )
    return 0


def print_effect(effect: Effect, console: Console) -> None:
    """Print all that is known of one effect."""
    from rich.table import Table
    from rich.text import Text

    from interlock.cli.texts import lines_of

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(effect):
        table.add_row(name, Text(value))
    console.print(table)
    console.print(f"\n{effect.action} with", style="dim")
    for name, value in effect.arguments.items():
        console.print(Text(f"  {name}  " + "\n".join(lines_of(value))))
    if effect.status == "in_doubt":
        start = f"interlock effects resolve {effect.key[:12]}"
        console.print(
            f"\nWhether it happened is not known. Look, then:\n  [cyan]{start} --happened --result JSON[/]"
            f"\n  [cyan]{start} --did-not[/]"
        )


def _rows(effect: Effect) -> list[tuple[str, str]]:
    import json

    rows = [
        ("effect", effect.key),
        ("status", effect.status.replace("_", " ")),
        ("thread", effect.thread_id),
        ("node", effect.node if effect.node == effect.agent else f"{effect.agent} / {effect.node}"),
        ("intended", effect.intended_at.astimezone().isoformat(" ", "seconds")),
        (
            "finished",
            effect.finished_at.astimezone().isoformat(" ", "seconds") if effect.finished_at else "",
        ),
        ("attempts", str(effect.attempt)),
        (
            "result",
            json.dumps(effect.result, ensure_ascii=False) if effect.status == "done" else "",
        ),
        ("error", effect.error),
        ("cost", f"${effect.cost:,.2f}" if effect.cost else ""),
        ("undo", "can be undone" if effect.reversible else "cannot be undone"),
        ("rule", str(effect.verdict.get("rule", ""))),
        ("approval", effect.approval),
        ("from parent", effect.source),
        ("settled by", effect.settled_by),
    ]
    return [(name, value) for name, value in rows if value]


def _list(thread: str | None, in_doubt: bool, limit: int) -> int:
    from interlock.cli.output import print_json, results
    from interlock.documents.effects import effect_document

    call = this_call()
    with call.runtime() as il:
        found = il.effects(thread, in_doubt=in_doubt, limit=limit)
    if call.as_json:
        print_json({"effects": [effect_document(each) for each in found]})
    else:
        _print(found, results(), in_doubt=in_doubt)
    return 0


COLORS = {"done": "green", "in_doubt": "bold red", "underway": "yellow", "not_done": "dim"}


def _print(found: list[Effect], console: Console, *, in_doubt: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from interlock.cli.texts import ago, line_of
    from interlock.wording import clipped, short

    if not found:
        console.print("Nothing is in doubt." if in_doubt else "Nothing was done yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("effect", "action", "status", "with", "agent", "thread", "when"):
        table.add_column(name, no_wrap=name != "with", overflow="ellipsis")
    now = datetime.now(UTC)
    for each in found:
        status = "answered from parent" if each.source else each.status.replace("_", " ")
        table.add_row(
            each.key[:12],
            each.action,
            Text(status, style=COLORS[each.status]),
            clipped(line_of(dict(each.arguments)), 60),
            each.agent,
            short(each.thread_id),
            ago(each.intended_at, now),
        )
    console.print(table)
    if doubted := [each for each in found if each.status == "in_doubt"]:
        first = doubted[0].key[:12]
        console.print(f"Whether it happened is not known: [cyan]interlock effects show {first}[/]")


def _print_refused(found: list[Refused], console: Console) -> None:
    from rich.table import Table

    from interlock.cli.texts import ago
    from interlock.wording import short

    if not found:
        console.print("Nothing was refused.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("action", "why", "reason", "agent", "thread", "when"):
        table.add_column(name, no_wrap=name != "reason", overflow="fold")
    now = datetime.now(UTC)
    for each in found:
        row = (each.action, each.kind, each.reason, each.agent)
        table.add_row(*row, short(each.thread_id), ago(each.refused_at, now))
    console.print(table)
