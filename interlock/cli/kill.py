"""`kill`: stop what runs and refuse what is new, until the switch is lifted; works without the application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from interlock.cli.administering import noted
from interlock.cli.call import Call, Group, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.core.kills import Kill, KillScope
    from interlock.documents.bounds import Told
    from interlock.postgres.kills import KillStore
    from interlock.postgres.pool import Pool

T = TypeVar("T")
Throw = Callable[..., int]

LOOK_SECONDS = 0.02
LOOK_SECONDS_THERE = 0.2
WAIT_SECONDS = 5.0
"""How long the command waits for what it kills to have stopped."""


@click.group(
    cls=Group,
    epilog=examples(
        'interlock kill thread 3f2a9c1e --reason "sends the same mail again and again"',
        'interlock kill all --reason "the provider\'s bill"',
        "interlock kill list",
        "interlock kill lift 3",
    ),
)
def kill() -> None:
    """Stop what runs and refuse what is new, in every process, until the switch is lifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be killed, why, and who says so."""

    scope: KillScope
    name: str
    reason: str
    by: str


def _throwing(command: Throw) -> Throw:
    """Add the options of every command that throws a switch."""
    for option in (
        click.option("--by", metavar="NAME", help="Who says so; default: the login name."),
        click.option(
            "--reason", metavar="TEXT", required=True, help="For whoever finds it stopped."
        ),
    ):
        command = option(command)
    return command


@kill.command(epilog=examples('interlock kill run 5d01c2aa --reason "wrong input"'))
@click.argument("name", metavar="RUN")
@_throwing
def run(name: str, reason: str, by: str | None) -> int:
    """Kill one run, and what goes on with it after an answer; another run of its thread may begin."""
    return _throw("run", name, reason, by)


@kill.command(epilog=examples('interlock kill thread 3f2a9c1e --reason "goes round in circles"'))
@click.argument("name", metavar="THREAD")
@_throwing
def thread(name: str, reason: str, by: str | None) -> int:
    """Kill a thread: what runs on it, and every new run."""
    return _throw("thread", name, reason, by)


@kill.command(epilog=examples('interlock kill graph research --reason "a bad release"'))
@click.argument("name", metavar="GRAPH")
@_throwing
def graph(name: str, reason: str, by: str | None) -> int:
    """Kill every run of a graph, by its name in langgraph.json."""
    return _throw("graph", name, reason, by)


@kill.command(epilog=examples('interlock kill tenant acme --reason "they asked for it"'))
@click.argument("name", metavar="TENANT")
@_throwing
def tenant(name: str, reason: str, by: str | None) -> int:
    """Kill every run on behalf of a tenant."""
    return _throw("tenant", name, reason, by)


@kill.command("all", epilog=examples('interlock kill all --reason "the key has leaked"'))
@_throwing
def all_(reason: str, by: str | None) -> int:
    """Kill everything that runs on this database."""
    return _throw("all", "", reason, by)


@kill.command("list", epilog=examples("interlock kill list", "interlock kill list --all --json"))
@click.option("--all", "lifted", is_flag=True, help="Also those that were lifted.")
def list_(lifted: bool) -> int:
    """List the switches that stand, with what they hold."""
    from interlock.cli.kill_views import print_kills
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import kill_document

    async def found(store: KillStore, pool: Pool) -> list[Told]:
        kills = await (store.kills() if lifted else store.standing())
        return [await _told(store, pool, each) for each in kills]

    if this_call().address():
        with this_call().remote() as remote:
            told = remote.kills_told(lifted=lifted)
    else:
        told = _with_kills(this_call(), found)
    if this_call().as_json:
        print_json({"kills": [kill_document(each) for each in told]})
    else:
        print_kills(told, results())
    return 0


@kill.command(epilog=examples("interlock kill show 3"))
@click.argument("number", metavar="NUMBER", type=int)
def show(number: int) -> int:
    """Show one switch: who threw it and why, what it stopped, what it holds, and who lifted it."""

    async def found(store: KillStore, pool: Pool) -> Told:
        return await _told(store, pool, await store.kill(number))

    if this_call().address():
        with this_call().remote() as remote:
            return _report(remote.kill_told(number))
    return _report(_with_kills(this_call(), found))


@kill.command(epilog=examples("interlock kill lift 3", 'interlock kill lift 3 --reason "mended"'))
@click.argument("number", metavar="NUMBER", type=int)
@click.option("--reason", metavar="TEXT", default="", help="For whoever looks later.")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def lift(number: int, reason: str, by: str | None) -> int:
    """Lift a switch; `resume` then goes on with what it stopped."""
    who = _who(this_call(), by)

    async def lifted(store: KillStore, pool: Pool) -> Told:
        gone = await store.lift(number, reason=reason, by=who)
        await noted(pool, who, "kill.lift", str(number), {"reason": reason})
        return await _told(store, pool, gone)

    if this_call().address():
        with this_call().remote() as remote:
            return _report(remote.kill_lifted(number, reason=reason))
    return _report(_with_kills(this_call(), lifted))


def _throw(scope: KillScope, name: str, reason: str, by: str | None) -> int:
    if this_call().address():
        return _report(_thrown_there(scope, name, reason))
    order = Order(scope=scope, name=name, reason=reason, by=_who(this_call(), by))

    async def thrown(store: KillStore, pool: Pool) -> Told:
        kill = await store.throw(order.scope, order.name, reason=order.reason, by=order.by)
        about = f"{kill.scope} {kill.name}".strip()
        await noted(pool, order.by, "kill", about, {"reason": order.reason})
        return await _stopped(store, pool, kill)

    return _report(_with_kills(this_call(), thrown))


def _thrown_there(scope: KillScope, name: str, reason: str) -> Told:
    """Throw a switch at a server, and wait as `_stopped` does."""
    from dataclasses import replace

    deadline = time.monotonic() + WAIT_SECONDS
    with this_call().remote() as remote:
        thrown = told = remote.kill_thrown(scope, name, reason=reason)
        while told.working and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS_THERE)
            told = remote.kill_told(told.kill.id)
    return replace(told, notice=thrown.notice)


async def _stopped(store: KillStore, pool: Pool, kill: Kill) -> Told:
    """Wait until what is killed has stopped, or for as long as a person has patience."""
    import asyncio
    from dataclasses import replace

    deadline = time.monotonic() + WAIT_SECONDS
    while (  # noqa: ASYNC110  # it waits for other processes
        told := await _told(store, pool, kill)
    ).working and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
    if kill.scope == "graph" and not await store.knows_graph(kill.name):
        return replace(told, notice=f"No graph {kill.name!r} ever ran here; is the name right?")
    return told


async def _told(store: KillStore, pool: Pool, kill: Kill) -> Told:
    from interlock.documents.bounds import Told
    from interlock.postgres import locks

    found = await store.held(kill.id) if kill.lifted_at is None else []
    alive = await locks.held(pool, [each.thread_id for each in found])
    return Told(
        kill=kill,
        events=await store.events(kill.id),
        working=[each for each in found if each.thread_id in alive],
        held=[each for each in found if each.thread_id not in alive],
    )


def _report(told: Told) -> int:
    from interlock.cli.kill_views import print_kill
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import kill_document

    if this_call().as_json:
        print_json(kill_document(told))
    else:
        print_kill(told, results())
    return 0


def _who(call: Call, by: str | None) -> str:
    from interlock.cli.asking import login_name

    return by or call.settings().user or login_name()


def _with_kills(call: Call, work: Callable[[KillStore, Pool], Awaitable[T]]) -> T:
    """Do something with the switches of the database that the call is about; a broken application hinders nobody."""
    import asyncio

    from interlock.cli.database import database

    async def on(url: str) -> T:
        async with _opened(url) as (store, pool):
            return await work(store, pool)

    with database(call) as url:
        return asyncio.run(on(url))


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[Any, Any]]:  # the store and its pool
    from interlock.postgres.kills import KillStore
    from interlock.postgres.migrations import migrate
    from interlock.postgres.pool import open_pool

    await migrate(url)
    async with open_pool(url, size=1) as pool:
        yield KillStore(pool), pool
