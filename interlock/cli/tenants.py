"""`tenants`: who is parted from others by row-level security."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from interlock.cli.administering import actor, noted, with_pool
from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.postgres.pool import Pool
    from interlock.postgres.tenants import Tenant


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock tenants add acme",
        "interlock keys create ann --role operator --tenant acme",
        "interlock tenants list",
        "interlock tenants sql acme | psql $ADMIN_URL",
    ),
)
@click.pass_context
def tenants(ctx: click.Context) -> int | None:
    """Part tenants from each other in Postgres: each has a role that sees its own rows alone."""
    return _list() if ctx.invoked_subcommand is None else None


@tenants.command(epilog=examples("interlock tenants add acme"))
@click.argument("name")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def add(name: str, by: str | None) -> int:
    """Add a tenant: make its role, and the policies of all tables; again it does nothing."""
    from interlock.cli.output import print_json, results
    from interlock.postgres.tenants import TenantStore

    who = actor(this_call(), by)

    async def added(pool: Pool) -> Tenant:
        tenant = await TenantStore(pool).add(name, by=who)
        await noted(pool, who, "tenant.add", name, {"role": tenant.role})
        return tenant

    tenant = with_pool(this_call(), added)
    if this_call().as_json:
        print_json({"tenant": _document(tenant)})
    else:
        results().print(f"{tenant.name} is a tenant; its role is {tenant.role}.", markup=False)
    return 0


@tenants.command("list", epilog=examples("interlock tenants list --json"))
def list_() -> int:
    """List the tenants with their roles of Postgres."""
    return _list()


@tenants.command(epilog=examples("interlock tenants remove acme"))
@click.argument("name")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def remove(name: str, by: str | None) -> int:
    """Take a tenant's role away; its rows stay, its keys open nothing any more."""
    from interlock.cli.output import print_json, results
    from interlock.postgres.tenants import TenantStore

    who = actor(this_call(), by)

    async def removed(pool: Pool) -> Tenant:
        gone = await TenantStore(pool).remove(name)
        await noted(pool, who, "tenant.remove", name)
        return gone

    gone = with_pool(this_call(), removed)
    if this_call().as_json:
        print_json({"removed": _document(gone)})
    else:
        results().print(f"{gone.name} is no tenant any more; its rows stay.", markup=False)
    return 0


@tenants.command(epilog=examples("interlock tenants sql acme"))
@click.argument("name")
def sql(name: str) -> int:
    """Print what somebody runs who may make roles, where Interlock's own role may not; then `add` works."""
    from interlock.cli.output import print_json
    from interlock.postgres.tenants import TenantStore

    async def written(pool: Pool) -> str:
        return await TenantStore(pool).script(name)

    script = with_pool(this_call(), written)
    if this_call().as_json:
        print_json({"sql": script})
    else:
        click.echo(script, nl=False)
    return 0


def _list() -> int:
    from interlock.cli.output import print_json, results
    from interlock.postgres.tenants import TenantStore

    async def found(pool: Pool) -> list[Tenant]:
        return await TenantStore(pool).tenants()

    shown = with_pool(this_call(), found)
    if this_call().as_json:
        print_json({"tenants": [_document(each) for each in shown]})
        return 0
    for each in shown:
        line = f"{each.name}  {each.role}  since {each.added_at:%Y-%m-%d}"
        results().print(line, markup=False)
    if not shown:
        results().print("There is no tenant. `interlock tenants add NAME` adds one.")
    return 0


def _document(tenant: Tenant) -> dict[str, str]:
    return {
        "name": tenant.name,
        "role": tenant.role,
        "added_by": tenant.added_by,
        "added_at": tenant.added_at.isoformat(),
    }
