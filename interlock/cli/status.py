"""`status`: how the installation stands, what happened lately, and on which server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click
from typing_extensions import TypedDict

from interlock.cli.call import Call, Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.core.health import Health
    from interlock.facade import Interlock

UNREACHABLE = 2
"""The exit code of `--check` where nothing answers."""


class Needs(TypedDict):
    """What a person should look at: what is killed, counts, budgets that are nearly spent, a broken policy file."""

    killed: list[dict[str, object]]
    questions: int
    effects_in_doubt: int
    failed_notifications: int
    budgets: list[str]
    policy: str


@click.command(
    cls=Command,
    epilog=examples(
        "interlock status",
        "interlock status --live",
        "interlock status --check || page-somebody",
        "interlock status --json | jq .health.sums",
    ),
)
@click.option("--graph", metavar="NAME", help="Only threads of this graph.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="How many threads.",
)
@click.option("--live", is_flag=True, help="Stay, and show what changes, until Ctrl-C.")
@click.option(
    "--check", is_flag=True, help="For probes: 0 fine, 1 something needs a person, 2 not reachable."
)
def status(graph: str | None, limit: int, live: bool, check: bool) -> int:
    """Show how the installation stands, and the threads that something happened on lately."""
    call = this_call()
    if check:
        return _check(call)
    with call.runtime() as il:
        if live:
            from interlock.cli.status_live import show_live

            return show_live(il, call, graph=graph, limit=limit)
        return _show(il, call, graph, limit)


def _show(il: Interlock, call: Call, graph: str | None, limit: int) -> int:
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.screens import notice_for, print_threads
    from interlock.core.sync import run_sync
    from interlock.documents.health import health_document
    from interlock.documents.runs import thread_document

    threads = il.threads(graph=graph, limit=limit) if limit else []
    pending = il.pending([each.thread_id for each in threads])
    counts = run_sync(il.store.counts())
    server, health = server_of(il), il.health()
    if call.as_json:
        found = [
            thread_document(each) | {"pending": pending.get(each.thread_id)} for each in threads
        ]
        told = {"server": server, "counts": counts, "needs": _needs(il, health)}
        print_json(told | {"health": health_document(health), "threads": found})
        return 0
    console = results()
    _print_health(il, health, server)
    if counts:
        console.print("threads: " + " · ".join(f"{many} {kind}" for kind, many in counts.items()))
    if limit:
        print_threads(threads, console, pending)
    print_notice(console, notice_for(each.model for each in threads))
    return 0


def _print_health(il: Interlock, health: Health, server: str) -> None:
    """Print the picture where there is anything for workers; else what a person should look at, and nothing more."""
    from interlock.cli.kill_views import kill_line
    from interlock.cli.output import results
    from interlock.cli.status_views import HealthPicture

    console = results()
    for kill in health.kills:
        console.print(kill_line(kill), soft_wrap=True)
    console.print(server, markup=False, soft_wrap=True)
    if health.uses_workers:
        console.print(HealthPicture(health))
        if problem := il.policy_problem():
            console.print(_policy_line(problem), soft_wrap=True)
        return
    for line in _told(_needs(il, health)):
        console.print(line, soft_wrap=True)


def _needs(il: Interlock, health: Health) -> Needs:
    """Return what a person should look at."""
    from interlock.cli.budget import nearly_spent
    from interlock.documents.bounds import kill_facts

    return {
        "killed": [kill_facts(each) for each in health.kills],
        "questions": health.questions.questions,
        "effects_in_doubt": health.doubts,
        "failed_notifications": health.unsent,
        "budgets": nearly_spent(health.budgets),
        "policy": il.policy_problem(),
    }


def _told(needs: Needs) -> list[str]:
    from interlock.wording import counted

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
        lines.append(_policy_line(needs["policy"]))
    return lines


def _policy_line(problem: str) -> str:
    return f"[red]the policy's file is broken; the last good one holds[/]: {problem}"


def server_of(il: Interlock) -> str:
    """Return which server it is, without its password."""
    if this_call().address():
        return il.url
    from interlock.cli.database import without_password
    from interlock.postgres.embedded import default_data_dir

    if il.settings.database_url:
        return without_password(il.settings.database_url)
    return f"embedded Postgres in {il.settings.data_dir or default_data_dir()}"


def _check(call: Call) -> int:
    """Say what needs a person, and return the exit code; needs no application, and starts no server."""
    from interlock.cli.output import print_json, results
    from interlock.cli.status_views import finding_line
    from interlock.documents.health import health_document
    from interlock.errors import DatabaseUnavailable

    try:
        health = _looked(call)
    except DatabaseUnavailable as error:
        return _unreachable(call, error)
    if call.as_json:
        print_json(health_document(health))
    else:
        console = results()
        for finding in health.findings:
            console.print(finding_line(finding), soft_wrap=True)
        if not health.needs_a_person:
            console.print("Nothing needs a person.")
    return 1 if health.needs_a_person else 0


def _unreachable(call: Call, error: Any) -> int:  # DatabaseUnavailable
    from dataclasses import replace

    from interlock.cli.failures import failure_of, report

    return report(replace(failure_of(error, call), exit_code=UNREACHABLE), as_json=call.as_json)


def _looked(call: Call) -> Health:
    import asyncio

    if call.address():
        with call.remote() as remote:
            return cast("Health", remote.ask("health"))
    return asyncio.run(_look(_address(call)))


async def _look(url: str) -> Health:
    from interlock.errors import DatabaseUnavailable
    from interlock.postgres.health import HealthStore
    from interlock.postgres.migrations import pending
    from interlock.postgres.pool import open_pool, translated

    async with open_pool(url, size=1) as pool:
        with translated():
            waiting = await pending(url)
        if waiting:
            raise DatabaseUnavailable(
                f"The database lacks {len(waiting)} migrations of this version.",
                hint="`interlock db migrate` makes them.",
            )
        return await HealthStore(pool).look()


def _address(call: Call) -> str:
    """Return the database's address; raises `DatabaseUnavailable` where the embedded server does not run."""
    from interlock.errors import DatabaseUnavailable
    from interlock.postgres import embedded
    from interlock.postgres.pool import check_address
    from interlock.postgres.schema import placed

    settings = call.settings()
    url = settings.database_url or embedded.status(settings.data_dir).url
    if url is None:
        raise DatabaseUnavailable(
            "The embedded server does not run.",
            hint="It runs while something uses it: `interlock db url --hold` keeps it up.",
        )
    check_address(url)
    return placed(url, settings.schema)
