"""`watch`: follow a run while it works, in whatever process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import click

from interlock.cli.call import Call, Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.core.happening import Event, Standing
    from interlock.facade import Interlock

LOOK_SECONDS = 0.5
STOPPED = 130


class View(Protocol):
    """Shows a run that somebody else works on."""

    def show(self, event: Event) -> None:
        """Show what happened."""

    def stands(self, standing: Standing) -> None:
        """Show how it stands."""

    def close(self) -> None:
        """Leave the last picture."""


@click.command(
    cls=Command,
    epilog=examples(
        "interlock watch 3f2a9c1e",
        "interlock watch 3f2a9c1e --follow",
        "interlock watch 3f2a9c1e --json | jq -c 'select(.kind == \"act\")'",
    ),
)
@click.argument("name", metavar="RUN|THREAD")
@click.option("--follow", is_flag=True, help="Stay while it waits or sleeps, until it has ended.")
@click.option("--since", metavar="CURSOR", default="", help="Only what came after this event.")
def watch(name: str, follow: bool, since: str) -> int:
    """Show what a run did so far and what it does, until it ends, waits or sleeps; nothing is changed."""
    call = this_call()
    with call.runtime() as il:
        if call.as_json:
            return _lines(il, call, name, follow=follow, since=since)
        return _shown(il, call, name, follow=follow, since=since)


def _lines(il: Interlock, call: Call, name: str, *, follow: bool, since: str) -> int:
    from interlock.documents.happening import event_document

    standing = il.standing(name)
    for event in il.watch(standing.run_id, since=since, follow=follow):
        print(json.dumps(event_document(event), ensure_ascii=False), flush=True)
    return _code(il.standing(standing.run_id), call)


def _shown(il: Interlock, call: Call, name: str, *, follow: bool, since: str) -> int:
    from interlock.cli.output import remarks
    from interlock.core.sync import run_sync
    from interlock.wording import short

    standing = il.standing(name)
    view = view_of(standing)
    try:
        run_sync(_watch(il, standing, view, follow=follow, since=since))
    except KeyboardInterrupt:
        view.close()
        remarks().print(f"The run goes on: [cyan]interlock watch {short(standing.thread_id)}[/]")
        return STOPPED
    except BaseException:
        view.close()
        raise
    view.close()
    ended = il.standing(standing.run_id)
    _tell_end(ended)
    return _code(ended, call)


def watched(il: Interlock, standing: Standing, view: View | None, *, since: str) -> str:
    """Show a run until it rests, if there is a view, and return the cursor of the last event."""
    from interlock.core.sync import run_sync

    if view is None:
        for event in il.watch(standing.run_id, since=since):
            since = event.cursor
        return since
    try:
        return run_sync(_watch(il, standing, view, follow=False, since=since))
    finally:
        view.close()


async def _watch(il: Interlock, standing: Standing, view: View, *, follow: bool, since: str) -> str:
    """Show events as they come, and beside them again and again how the run stands; return the last one's cursor."""
    import asyncio

    events = il.awatch(standing.run_id, since=since, follow=follow, values=True)
    beside = asyncio.create_task(_look_again(il, standing.run_id, view))
    try:
        async for event in events:
            view.show(event)
            since = event.cursor
    finally:
        beside.cancel()
    return since


async def _look_again(il: Interlock, run_id: str, view: View) -> None:
    import asyncio
    from contextlib import suppress

    from interlock.errors import DatabaseUnavailable

    while True:
        with suppress(
            DatabaseUnavailable
        ):  # whoever reads the events says when that takes too long
            view.stands(await il.astanding(run_id))
        await asyncio.sleep(LOOK_SECONDS)


def view_of(standing: Standing) -> View:
    """Return a picture that is kept up to date where there is a terminal, else one line per event."""
    import sys

    from interlock.cli.watch_views import EventLines, EventScreen

    return EventScreen(standing) if sys.stderr.isatty() else EventLines(standing)


def _tell_end(standing: Standing) -> None:
    """Say how it stands and what to do next."""
    from interlock.cli.output import remarks
    from interlock.cli.reports import STYLES
    from interlock.wording import short

    console, thread = remarks(), short(standing.thread_id)
    console.print(
        f"[{STYLES.get(standing.status, 'yellow')}]{standing.status}[/]  thread [cyan]{thread}[/]"
    )
    if standing.error:
        console.print(standing.error, style="red", markup=False)
    next_steps = {
        "succeeded": f"interlock show {thread}",
        "waiting": "interlock approvals",
        "failed": f"interlock resume {thread}",
        "dead": "interlock letters",
        "killed": "interlock kill list",
    }
    if standing.status == "waiting" and standing.due_at:
        console.print(f"It sleeps until {standing.due_at.astimezone():%Y-%m-%d %H:%M:%S %Z}.")
    elif standing.status in next_steps:
        console.print(next_steps[standing.status], style="cyan")


def _code(standing: Standing, call: Call) -> int:
    from interlock.cli.following import exit_code

    return exit_code(standing, call)
