"""`keys`: who may call the server, made, rotated and revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.administering import actor, noted, with_pool
from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.postgres.keys import Key, NewKey
    from interlock.postgres.pool import Pool

ROLES = ("viewer", "operator", "approver", "admin")
"""Those of `interlock.server.callers`, which is not imported before it is needed; a test holds them together."""

BY = click.option("--by", metavar="NAME", help="Who says so; default: the login name.")

FIRST = "It is the first: from now on servers that only this machine reaches ask for a key, too."


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock keys create ci --role operator --expires 90d",
        "interlock keys create ann --role approver --role viewer --tenant acme",
        "interlock keys rotate ci --grace 24h",
        "interlock keys revoke 3f2a9c1e0b7d",
    ),
)
@click.pass_context
def keys(ctx: click.Context) -> int | None:
    """Make, rotate and revoke the keys with which clients call the server."""
    return _list(every=False) if ctx.invoked_subcommand is None else None


@keys.command(epilog=examples("interlock keys create ci --role operator --expires 90d"))
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    required=True,
    help="What its holder may do; may be repeated.",
)
@click.option("--tenant", metavar="NAME", help="Whose rows it sees; default: everybody's.")
@click.option("--expires", metavar="TIME", help="After how long: 90d, 12h; default: never.")
@BY
def create(
    name: str, roles: tuple[str, ...], tenant: str | None, expires: str | None, by: str | None
) -> int:
    """Make a key, and print it: it is stored nowhere, and cannot be shown again."""
    from interlock.postgres.keys import KeyStore
    from interlock.postgres.tenants import TenantStore

    who, lasts = actor(this_call(), by), _span(expires)
    asked = this_call().settings().server_key

    async def made(pool: Pool) -> NewKey:
        if tenant is not None:
            await TenantStore(pool).tenant(tenant)  # one that nobody added would open nothing
        first = not await KeyStore(pool).any()
        new = await KeyStore(pool).create(name, roles, tenant=tenant, expires=lasts, by=who)
        if first and asked is None:
            click.echo(FIRST, err=True)
        await noted(pool, who, "key.create", new.key.id, _told(new.key))
        return new

    return _hand_over(with_pool(this_call(), made))


@keys.command("list", epilog=examples("interlock keys list --all", "interlock keys list --json"))
@click.option("--all", "every", is_flag=True, help="Also those that have ended.")
def list_(every: bool) -> int:
    """List the keys; never their secrets."""
    return _list(every=every)


@keys.command(epilog=examples("interlock keys rotate ci", "interlock keys rotate ci --grace 1h"))
@click.argument("key", metavar="ID")
@click.option(
    "--grace",
    metavar="TIME",
    default="24h",
    show_default=True,
    help="How long the old one still holds; 0 for not at all.",
)
@BY
def rotate(key: str, grace: str, by: str | None) -> int:
    """Make a key in the place of another, by its id or its name; the old one ends after the grace."""
    from interlock.postgres.keys import KeyStore

    who = actor(this_call(), by)
    span = timedelta() if grace == "0" else _span(grace) or timedelta()

    async def rotated(pool: Pool) -> NewKey:
        old = await KeyStore(pool).key(key)
        new = await KeyStore(pool).rotate(old.id, grace=span, by=who)
        await noted(pool, who, "key.rotate", old.id, {"new": new.key.id, "grace": grace})
        return new

    return _hand_over(with_pool(this_call(), rotated))


@keys.command(epilog=examples("interlock keys revoke 3f2a9c1e0b7d"))
@click.argument("key", metavar="ID")
@BY
def revoke(key: str, by: str | None) -> int:
    """End a key, by its id or its name, and the sessions that were begun with it, within five seconds."""
    from interlock.cli.output import print_json, results
    from interlock.postgres.keys import KeyStore

    who = actor(this_call(), by)

    async def revoked(pool: Pool) -> Key:
        gone = await KeyStore(pool).revoke(key, by=who)
        await noted(pool, who, "key.revoke", gone.id)
        return gone

    gone = with_pool(this_call(), revoked)
    if this_call().as_json:
        print_json({"revoked": _document(gone)})
    else:
        results().print(f"The key {gone.id} ({gone.name}) has ended.", markup=False)
    return 0


def _list(*, every: bool) -> int:
    from interlock.cli.output import print_json, results
    from interlock.postgres.keys import KeyStore

    async def found(pool: Pool) -> list[Key]:
        return await KeyStore(pool).keys()

    shown = [each for each in with_pool(this_call(), found) if every or each.valid]
    if this_call().as_json:
        print_json({"keys": [_document(each) for each in shown]})
        return 0
    for each in shown:
        whose = f"  tenant {each.tenant}" if each.tenant is not None else ""
        line = f"{each.id}  {each.name}  {', '.join(each.roles)}{whose}  {_standing(each)}"
        results().print(line, markup=False)
    if not shown:
        results().print("There is no key. `interlock keys create NAME --role admin` makes one.")
    return 0


def _hand_over(new: NewKey) -> int:
    from interlock.cli.output import print_json, remarks

    if this_call().as_json:
        print_json({"key": _document(new.key), "secret": new.secret})
        return 0
    click.echo(new.secret)
    remarks().print(
        f"This is key {new.key.id} ({new.key.name}), {_standing(new.key)}. It cannot be shown again.",
        markup=False,
    )
    return 0


def _standing(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "never expires"
    told = f"expires {key.expires_at:%Y-%m-%d %H:%M}" if key.valid else "expired"
    return f"{told}, replaced by {key.replaced_by}" if key.replaced_by else told


def _document(key: Key) -> dict[str, Any]:  # JSON
    return {
        "id": key.id,
        **_told(key),
        "created_by": key.created_by,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "replaced_by": key.replaced_by or None,
        "valid": key.valid,
    }


def _told(key: Key) -> dict[str, Any]:  # JSON
    return {
        "name": key.name,
        "roles": list(key.roles),
        "tenant": key.tenant,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
    }


def _span(text: str | None) -> timedelta | None:
    from interlock.cli.watching import seconds_of

    return timedelta(seconds=seconds_of(text)) if text else None
