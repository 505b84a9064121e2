"""`db`: the database behind it all: where it is, bring it up to date, empty it, stop it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import click

from interlock.cli.call import Call, Group, this_call
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.postgres.maintenance import DatabaseFacts


@click.group(cls=Group)
def db() -> None:
    """Look after the database."""


@db.command()
def migrate() -> int:
    """Bring the database up to this version."""
    from interlock.cli.output import print_json
    from interlock.postgres.migrations import migrate as bring_up

    call = this_call()
    with database(call) as url:
        done = asyncio.run(bring_up(url))
    if call.as_json:
        print_json({"migrated": done})
    else:
        click.echo(f"Migrated: {', '.join(done)}." if done else "The database is up to date.")
    return 0


@db.command()
@click.option("--hold", is_flag=True, help="Keep the embedded server up until Ctrl-C.")
def url(hold: bool) -> int:
    """Print the database's address, for psql and everything else."""
    from interlock.cli.output import print_json

    call = this_call()
    with database(call) as address:
        if call.as_json:
            print_json({"url": address})
        else:
            click.echo(address)
        sys.stdout.flush()
        if hold:
            click.echo("Ctrl-C ends it.", err=True)
            _wait()
        elif not call.settings().database_url:
            click.echo("The server stops with its last user; --hold keeps it up.", err=True)
    return 0


@db.command()
def keys() -> int:
    """List the encryption keys that stored values need, by fingerprint, and which of them are set."""
    from interlock.cli.output import print_json, results
    from interlock.postgres.encryption import fingerprint
    from interlock.postgres.maintenance import keys_in_use, plain_items

    call = this_call()
    ours = [fingerprint(key) for key in call.settings().encryption_key or ()]
    with database(call) as address:
        used = asyncio.run(keys_in_use(address))
        plain = asyncio.run(plain_items(address))
    found = {each: {"rows": used.get(each, 0), "set": each in ours} for each in {*used, *ours}}
    if call.as_json:
        print_json({"writes": ours[0] if ours else None, "keys": found, "plain_items": plain})
        return 0
    for each, facts in sorted(found.items()):
        told = "set" if facts["set"] else "NOT SET"
        told = f"{told}, writes" if ours[:1] == [each] else told
        results().print(f"{each}  {facts['rows']} rows  {told}")
    if not found:
        results().print("Nothing is encrypted, and no key is set.")
    if ours and plain:
        results().print(f"{_items(plain)} not encrypted: `interlock db seal-items` does it.")
    return 0


@db.command("seal-items")
def seal_items() -> int:
    """Encrypt what the store holds with the present key, and from now on what is put there."""
    from interlock.cli.output import print_json

    call = this_call()
    with call.runtime() as il:
        sealed = il.seal_items()
    if call.as_json:
        print_json({"sealed": sealed})
    else:
        click.echo(f"{_items(sealed)} encrypted.")
    return 0


@db.command("index-items")
@click.option("--forget", is_flag=True, help="Delete all vectors instead.")
def index_items(forget: bool) -> int:
    """Make the vectors of the store's items anew, as langgraph.json says now."""
    from interlock.cli.output import print_json

    call = this_call()
    with call.runtime() as il:
        indexed = 0 if forget else il.index_items()
        if forget:
            il.unindex_items()
    if call.as_json:
        print_json({"indexed": indexed})
    else:
        click.echo("All vectors are deleted." if forget else f"{_items(indexed)} indexed.")
    return 0


@db.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> int:
    """Remove every thread, checkpoint, question and document from the database."""
    from interlock.cli.output import is_conversation, print_json
    from interlock.postgres.maintenance import reset as remove_all
    from interlock.postgres.migrations import migrate as bring_up

    call = this_call()
    with database(call) as address:
        where = without_password(address)
        if not yes and (call.as_json or not is_conversation()):
            raise UsageError(f"This removes everything from {where}.", hint="Say --yes to do it.")
        if not yes:
            click.confirm(f"Remove everything from {where}?", abort=True, err=True)
        asyncio.run(remove_all(address))
        asyncio.run(bring_up(address))
    if call.as_json:
        print_json({"reset": where})
    else:
        click.echo("The database is empty.")
    return 0


@db.command()
@click.option(
    "--force", is_flag=True, help="Also while other processes use it; what is committed stays."
)
def stop(force: bool) -> int:
    """Stop the embedded server."""
    from interlock.cli.output import print_json
    from interlock.postgres import embedded

    call = this_call()
    settings = call.settings()
    if settings.database_url:
        raise UsageError(
            "This database is not an embedded one; stop it with its own tools.",
            hint="Leave out --url and INTERLOCK_DATABASE_URL to stop the embedded one.",
        )
    stopped = embedded.stop(settings.data_dir, force=force)
    if call.as_json:
        print_json({"stopped": stopped})
    else:
        click.echo("The server is stopped." if stopped else "The server was not running.")
    return 0


@db.command()
def info() -> int:
    """Say where the database is, whether it runs, its version and its size; starts nothing."""
    from interlock.cli.output import print_json, results
    from interlock.cli.texts import lines_of

    call = this_call()
    facts = _facts(call)
    if call.as_json:
        print_json(facts)
    else:
        for line in lines_of(facts, full=True):
            results().print(line, markup=False, soft_wrap=True)
    return 0


def without_password(address: str) -> str:
    """Return a database's address without the password in it."""
    parts = urlsplit(address)
    if parts.password is None:
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


@contextmanager
def database(call: Call) -> Iterator[str]:
    """Hold the database that a call is about, without an application."""
    from interlock.postgres import embedded
    from interlock.postgres.schema import placed

    settings = call.settings()
    if settings.database_url:
        yield placed(settings.database_url, settings.schema)
        return
    with embedded.start(settings.data_dir, port=settings.postgres_port) as server:
        yield placed(server.url, settings.schema)


def _items(many: int) -> str:
    from interlock.wording import counted

    return counted(many, "item")


def _facts(call: Call) -> dict[str, Any]:  # a JSON object
    from interlock.postgres import embedded
    from interlock.postgres.maintenance import look
    from interlock.postgres.schema import placed

    settings = call.settings()
    if settings.database_url:
        found = asyncio.run(look(placed(settings.database_url, settings.schema)))
        return {"url": without_password(settings.database_url), **_measured(found)}
    server = embedded.status(settings.data_dir)
    place = {"data_dir": str(server.data_dir), "log": str(server.log)}
    if server.url is None:
        return {**place, "running": False}
    found = asyncio.run(look(placed(server.url, settings.schema)))
    return {**place, "running": True, "pid": server.pid, "url": server.url, **_measured(found)}


def _measured(facts: DatabaseFacts) -> dict[str, Any]:  # a JSON object
    size = f"{facts.bytes / 1e6:.1f} MB"
    return asdict(facts) | {
        "pending": list(facts.pending) or "none",
        "bytes": facts.bytes,
        "size": size,
    }


def _wait() -> None:
    """Wait for Ctrl-C or SIGTERM, and take either as the end that was asked for."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.sigwait(signals)
