"""How rate limits look: on a screen, and as JSON. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.cli.texts import duration
from interlock.core.rates import Rate
from interlock.wording import clipped, counted, short

if TYPE_CHECKING:
    from interlock.core.rates import Standing, Waiting

SHOWN = 20
"""How many calls that wait are listed."""

NONE = "Nothing is limited, nobody waits, and nothing is out of order."
NEXT = "interlock limits set provider:openai --rpm 500 --tpm 200000 --concurrent 20"

_FOR = {
    "requests": "its share of requests",
    "tokens": "its share of tokens",
    "concurrent": "a free slot",
    "told": "the provider, which said so",
    "breaker": "the provider, which is out of order",
}


def matters(standing: Standing) -> bool:
    """Say whether a target is limited, out of order, or waited for."""
    loud = standing.breaker != "closed" or standing.not_before is not None
    return standing.rate != Rate() or loud or standing.waiting > 0


def print_limits(found: Sequence[Standing], waits: Sequence[Waiting], console: Console) -> None:
    """Print limits, and who waits."""
    if not found:
        console.print(NONE)
        console.print(Text.assemble("Set a limit: ", (NEXT, "cyan")), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("target", "a minute", "full", "calls", "waiting", "state"):
        right = name in ("full", "calls", "waiting")
        table.add_column(name, overflow="fold", justify="right" if right else "left")
    for each in found:
        table.add_row(
            each.name,
            _limits(each.rate)
            or Text("" if each.calls is not None else "not limited", style="dim"),
            _full(each),
            _calls(each),
            Text(str(each.waiting), style="yellow") if each.waiting else "",
            _state(each),
        )
    console.print(table)
    _print_told(found, console)
    _print_waits(waits, console)


def _print_waits(waits: Sequence[Waiting], console: Console) -> None:
    now = datetime.now(UTC)
    for each in waits[:SHOWN]:
        since, left = (now - each.since).total_seconds(), (each.until - now).total_seconds()
        where = f" in {each.caller.node}" if each.caller.node else ""
        thread = f" of thread {short(each.caller.thread_id)}" if each.caller.thread_id else ""
        console.print(
            Text.assemble(
                (" waits ", "yellow"),
                f"{each.caller.model}{where}{thread}: {duration(max(0.0, since))} for {_FOR[each.why]}"
                f" ({each.name}), its turn in {duration(max(0.0, left))}",
            ),
            soft_wrap=True,
        )
    if len(waits) > SHOWN:
        console.print(f" and {counted(len(waits) - SHOWN, 'more call')}", style="dim")


def _limits(rate: Rate) -> str:
    told = [
        f"{rate.requests:,.15g} requests" if rate.requests else "",
        f"{rate.tokens:,.15g} tokens" if rate.tokens else "",
    ]
    return "\n".join(each for each in told if each)


def _full(standing: Standing) -> str:
    shares = [each for each in (standing.requests, standing.tokens) if each is not None]
    if standing.calls is not None and standing.rate.concurrent:
        shares.append(standing.calls / standing.rate.concurrent)
    return f"{min(1.0, max(shares)):.0%}" if shares else ""


def _calls(standing: Standing) -> str:
    return "" if standing.calls is None else f"{standing.calls:,} of {standing.rate.concurrent:,}"


def _state(standing: Standing) -> Text:
    if standing.breaker == "open" and standing.open_until is not None:
        when = standing.open_until.astimezone()
        return Text.assemble(("open", "bold red"), f", tried at {when:%H:%M:%S}")
    if standing.breaker != "closed":
        return Text.assemble(("half-open", "yellow"), ", one call tries")
    if standing.not_before is not None:
        until = standing.not_before.astimezone()
        return Text.assemble(("told to wait", "yellow"), f" until {until:%H:%M:%S}")
    if standing.failures:
        return Text(f"{counted(standing.failures, 'failure')} lately", style="dim")
    return Text("in order", style="dim")


def _print_told(found: Sequence[Standing], console: Console) -> None:
    for each in found:
        if each.told and (each.breaker != "closed" or each.not_before or each.failures):
            said = Text.assemble((" said ", "red"), f"{each.name}: {clipped(each.told, 160)}")
            console.print(said, soft_wrap=True)
