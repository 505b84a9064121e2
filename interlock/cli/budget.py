"""`budget`: what runs, threads, graphs and tenants may take, have taken, and hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples
from interlock.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from interlock.core.budget import Account, Limits, ScopeKind, Unit

KINDS = ("run", "thread", "graph", "tenant")
KIND = click.Choice(KINDS)


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock budget",
        "interlock budget show thread 3f2a9c1e",
        "interlock budget set tenant acme usd=100",
        "interlock budget set run 3f2a9c1e usd=2 tokens=500000",
        "interlock budget remove tenant acme",
    ),
)
@click.pass_context
def budget(ctx: click.Context) -> int | None:
    """List budgets, and limit what runs, threads, graphs and tenants may take."""
    return _list(None, limited=False, limit=20) if ctx.invoked_subcommand is None else None


@budget.command("list")
@click.option("--kind", type=KIND, help="Only of runs, threads, graphs or tenants.")
@click.option("--limited", is_flag=True, help="Only those with a stored limit.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many.",
)
def list_(kind: ScopeKind | None, limited: bool, limit: int) -> int:
    """List the budgets that something was taken from lately."""
    return _list(kind, limited=limited, limit=limit)


@budget.command()
@click.argument("kind", type=KIND)
@click.argument("name")
def show(kind: ScopeKind, name: str) -> int:
    """Show what a budget allows, and what was taken; for a run its thread's id will do."""
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import budget_document

    call = this_call()
    with call.runtime() as il:
        account, limits = il.budget(kind, name), il.limits(kind, name)
    if call.as_json:
        print_json(budget_document(account, limits))
    else:
        print_account(account, limits, results())
    return 0


@budget.command("set")
@click.argument("kind", type=KIND)
@click.argument("name")
@click.argument("limits", nargs=-1, required=True, metavar="UNIT=NUMBER...")
def set_(kind: ScopeKind, name: str, limits: tuple[str, ...]) -> int:
    """Limit usd, tokens, input_tokens, output_tokens, model_calls, actions, steps or seconds; landing is a share."""
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import budget_document

    call, wanted = this_call(), limits_from(limits, "budget set")
    with call.runtime() as il:
        account = il.set_budget(kind, name, wanted)
        holds = il.limits(kind, name)
    if call.as_json:
        print_json(budget_document(account, holds))
    else:
        print_account(account, holds, results())
    return 0


@budget.command()
@click.argument("kind", type=KIND)
@click.argument("name")
def remove(kind: ScopeKind, name: str) -> int:
    """Remove the stored limits; what a graph declares and the settings name holds on."""
    from interlock.cli.output import print_json, results
    from interlock.core.budget import Limits
    from interlock.documents.bounds import budget_document

    call = this_call()
    with call.runtime() as il:
        before = il.budget(kind, name).limits
        account = il.remove_budget(kind, name)
        holds = il.limits(kind, name)
    if call.as_json:
        print_json(budget_document(account, holds))
    elif before != Limits():
        results().print(f"The stored limits of {account.kind} {account.name} are removed.")
    else:
        results().print(f"{account.kind} {account.name} has no stored limits: nothing was removed.")
    return 0


def limits_from(pairs: Sequence[str], what: str) -> Limits:
    """Return limits from `unit=number`; raises `UsageError` that says what is wrong."""
    from interlock.bounds import read_limits

    values: dict[str, float] = {}
    for pair in (each for given in pairs for each in given.split(",") if each.strip()):
        unit, equals, number = pair.partition("=")
        try:
            values[unit.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"{pair!r} is no limit.", hint="Write unit=number: usd=0.5.")
    return read_limits(values, what)


def print_account(account: Account, limits: Limits, console: Console) -> None:
    """Print one budget, a line for each unit."""
    from rich.table import Table

    from interlock.core.budget import UNITS, shown
    from interlock.documents.bounds import number

    console.print(f"[bold]{account.kind}[/] {account.name}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "spent", "held", "limit", "left"):
        table.add_column(name, justify="left" if not name else "right")
    units = [each for each in UNITS if _matters(account, limits, each)]
    for unit in units:
        limit = limits.of(unit)
        taken = account.spent.of(unit) + account.held.of(unit)
        left = "" if limit is None else number(unit, max(0.0, limit - taken))
        bound = "none" if limit is None else number(unit, limit)
        row = (number(unit, account.spent.of(unit)), number(unit, account.held.of(unit)))
        table.add_row(unit.replace("_", " "), *row, bound, left)
    console.print(table if units else "Nothing was taken, and nothing is limited.")
    if account.estimated:
        console.print(
            f"{account.estimated} calls were counted by Interlock: their provider told nothing.",
            style="dim",
        )
    over = {
        unit: most for unit, most in account.over.taken().items() if limits.of(unit) is not None
    }
    if over:  # where nothing is limited, nothing had to fit
        told = ", ".join(shown(unit, amount) for unit, amount in over.items())
        console.print(f"[red]More was taken than had been reserved[/]: {told}")
    if account.landed:
        console.print(f"[yellow]partial[/]: {account.landed.reason}")


def nearly_spent(accounts: Sequence[Account]) -> list[str]:
    """Return a line for each budget of which four fifths are taken; runs, which end, are left out."""
    from interlock.core.findings import is_nearly_spent
    from interlock.documents.bounds import of_limits

    return [
        f"{each.kind} {each.name}: {of_limits(each, each.limits)}"
        for each in accounts
        if each.kind != "run" and is_nearly_spent(each)
    ]


def _list(kind: ScopeKind | None, *, limited: bool, limit: int) -> int:
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import budget_document

    call = this_call()
    with call.runtime() as il:
        found = il.budgets(kind, limited=limited, limit=limit)
    if call.as_json:
        print_json({"budgets": [budget_document(each, each.limits) for each in found]})
    else:
        _print(found, results())
    return 0


def _print(found: Sequence[Account], console: Console) -> None:
    from rich.table import Table

    from interlock.wording import short

    if not found:
        console.print("Nothing was taken yet, and nothing is limited.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("of", "name", "calls", "tokens", "dollars", "actions", "limits"):
        right = name in ("calls", "tokens", "dollars", "actions")
        table.add_column(
            name,
            no_wrap=name not in ("name", "limits"),
            overflow="fold",
            justify="right" if right else "left",
        )
    for each in found:
        table.add_row(
            each.kind,
            short(each.name) if each.kind in ("run", "thread") else each.name,
            f"{each.spent.model_calls:,}",
            f"{each.spent.tokens:,}",
            f"{each.spent.usd:,.4f}",
            f"{each.spent.actions:,}",
            " ".join(f"{unit}={limit:.15g}" for unit, limit in each.limits.given().items()),
        )
    console.print(table)


def _matters(account: Account, limits: Limits, unit: Unit) -> bool:
    taken = account.spent.of(unit) or account.held.of(unit)
    return bool(taken) or limits.of(unit) is not None
