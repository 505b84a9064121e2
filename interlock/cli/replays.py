"""`replay`: run a thread again out of its records, and tell whether it comes to the same end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from interlock.cli.call import Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from rich.console import Console

    from interlock.errors import ReplayDiverged
    from interlock.replays import Replay


@click.command(
    cls=Command,
    epilog=examples(
        "interlock replay 3f2a9c1e                  from the beginning",
        "interlock replay 3f2a9c1e --at 7           from a step",
        "interlock replay 3f2a9c1e --live clock     let the tool `clock` be called",
    ),
)
@click.argument("thread")
@click.option("--at", metavar="STEP", help="Step number or checkpoint id; default: the first.")
@click.option(
    "--live",
    "live_tools",
    metavar="TOOL",
    multiple=True,
    help="A tool that is no action and may be called all the same.",
)
def replay(thread: str, at: str | None, live_tools: tuple[str, ...]) -> int:
    """Run a thread again out of its records: no model is called, nothing is done, nobody is asked.

    The exit code is 0 when it comes to the same end, else 1.
    """
    from interlock.cli.output import print_json, results

    call = this_call()
    with call.runtime() as il:
        found = il.replay(thread, at=at, live_tools=live_tools)
        steps = len(il.history(found.run.thread_id))
    if call.as_json:
        print_json(document(found))
    else:
        print_replay(found, steps, results())
    return 0 if found.same else 1


def document(replay: Replay) -> dict[str, Any]:  # JSON
    """Return a replay as one JSON object."""
    from interlock.documents.runs import plain, run_document

    stopped = replay.divergence
    return {
        "of": replay.of,
        "same": replay.same,
        "model_calls_answered": replay.model_calls,
        "effects_answered": replay.effects,
        "changed": {
            key: {"then": plain(then), "now": plain(now)}
            for key, (then, now) in replay.changed.items()
        },
        "divergence": None if stopped is None else _divergence_document(stopped),
        "run": run_document(replay.run),
    }


def print_replay(replay: Replay, steps: int, console: Console) -> None:
    """Print what came of a replay."""
    from interlock.wording import counted, short

    answered = (
        f"{counted(replay.model_calls, 'model call')} and {counted(replay.effects, 'effect')} "
        "answered from records; none was made"
    )
    if replay.divergence is not None:
        _print_divergence(replay.divergence, console)
        console.print(f"Until then: {answered}.")
    else:
        end = "the same end" if replay.same else "another end"
        console.print(f"Replayed {counted(steps, 'step')} to {end}: {answered}.")
        _print_changed(replay, console)
    name = short(replay.run.thread_id)
    console.print(f"[cyan]interlock history {name}[/] shows the replay's own steps.")


def _print_divergence(stopped: ReplayDiverged, console: Console) -> None:
    from rich.text import Text

    console.print(Text(f"Diverged in node {stopped.node}", style="bold red"))
    console.print(Text(f"  it asked for  {stopped.requested}"))
    console.print(Text(f"  recorded was  {stopped.recorded or 'nothing like it'}"))
    for line in stopped.differs:
        console.print(Text(f"  differs       {line}"))


def _print_changed(replay: Replay, console: Console) -> None:
    from rich.text import Text

    from interlock.cli.texts import line_of
    from interlock.wording import clipped

    for key, (then, now) in replay.changed.items():
        was, is_now = clipped(line_of(then), 60), clipped(line_of(now), 60)
        console.print(Text(f"  {key}: then {was}, now {is_now}"))


def _divergence_document(stopped: ReplayDiverged) -> dict[str, Any]:  # JSON
    return {
        "node": stopped.node,
        "kind": stopped.kind,
        "requested": stopped.requested,
        "recorded": stopped.recorded,
        "differs": list(stopped.differs),
        "message": str(stopped),
    }
