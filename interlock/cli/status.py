"""`status`: what happened lately, and on which server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from typing_extensions import TypedDict

from interlock.cli.call import Command, this_call

if TYPE_CHECKING:
    from interlock.facade import Interlock


class Needs(TypedDict):
    """What a person should look at: what is killed, counts, budgets that are nearly spent, a broken policy file."""

    killed: list[dict[str, object]]
    questions: int
    effects_in_doubt: int
    failed_notifications: int
    budgets: list[str]
    policy: str


@click.command(cls=Command)
@click.option("--graph", metavar="NAME", help="Only threads of this graph.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many.",
)
def status(graph: str | None, limit: int) -> int:
    """List the threads that something happened on lately."""
    from interlock.cli.documents import thread_document
    from interlock.cli.kill_views import kill_line
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.screens import notice_for, print_threads
    from interlock.core.sync import run_sync

    call = this_call()
    with call.runtime() as il:
        threads = il.threads(graph=graph, limit=limit)
        counts = run_sync(il.store.counts())
        server, needs, killed = _server(il), _needs(il), il.kills()
    if call.as_json:
        found = [thread_document(each) for each in threads]
        print_json({"server": server, "counts": counts, "needs": needs, "threads": found})
        return 0
    console = results()
    for each in killed:
        console.print(kill_line(each), soft_wrap=True)
    console.print(server, markup=False, soft_wrap=True)
    if counts:
        console.print("threads: " + " · ".join(f"{many} {kind}" for kind, many in counts.items()))
    for line in _told(needs):
        console.print(line, soft_wrap=True)
    print_threads(threads, console)
    print_notice(console, notice_for(each.model for each in threads))
    return 0


def _needs(il: Interlock) -> Needs:
    """Return what a person should look at."""
    from interlock.cli.budget import nearly_spent
    from interlock.cli.kill_views import kill_facts
    from interlock.core.sync import run_sync

    return {
        "killed": [kill_facts(each) for each in il.kills()],
        "questions": len(il.questions()),
        "effects_in_doubt": len(il.effects(in_doubt=True)),
        "failed_notifications": run_sync(il.outbox.failed()),
        "budgets": nearly_spent(il.budgets(limited=True, limit=200)),
        "policy": il.policy_problem(),
    }


def _told(needs: Needs) -> list[str]:
    from interlock.cli.texts import counted

    lines = []
    if questions := needs["questions"]:
        lines.append(f"{counted(questions, 'question')} open: [cyan]interlock approvals[/]")
    if in_doubt := needs["effects_in_doubt"]:
        lines.append(
            f"[bold red]{counted(in_doubt, 'effect')} in doubt[/]: [cyan]interlock effects --in-doubt[/]"
        )
    if failed := needs["failed_notifications"]:
        lines.append(
            f"[red]{counted(failed, 'notification')} failed[/]: "
            "[cyan]interlock approvals notifications --failed[/]"
        )
    lines += [f"[yellow]nearly spent[/]: {each}" for each in needs["budgets"]]
    if needs["policy"]:
        lines.append(
            f"[red]the policy's file is broken; the last good one holds[/]: {needs['policy']}"
        )
    return lines


def _server(il: Interlock) -> str:
    from interlock.cli.database import without_password
    from interlock.postgres.embedded import default_data_dir

    if il.settings.database_url:
        return without_password(il.settings.database_url)
    return f"embedded Postgres in {il.settings.data_dir or default_data_dir()}"
