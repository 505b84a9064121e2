"""Tenants as roles of Postgres: row-level security lets each see its own rows, of every table."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from interlock.errors import DatabaseUnavailable, NotFound, UsageError
from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.schema import schema_of, with_options

SQL = load("tenants")

PATIENCE = 30.0
"""Seconds after which a table that others hold all the time is given up."""

PAUSE = 0.5
"""Seconds in which those who waited behind an attempt get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant.

    Attributes:
        role: of Postgres, which sees the tenant's rows and writes nothing.
    """

    name: str
    role: str
    added_by: str
    added_at: datetime


class TenantStore:
    """The tenants of a database; its pool is that of the tables' owner."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, name: str, *, by: str = "") -> Tenant:
        """Make a tenant's role, and part tenants from each other on all tables; again it does nothing.

        Raises:
            UsageError: the name is none.
            DatabaseUnavailable: this role may not make others, or a table is held by others all the time.
        """
        check_name(name)
        async with connected(self._pool) as connection:
            role, group = await _names(connection, name)
            try:
                await fetch(connection, SQL["make_role"], {"role": role, "group": group})
                await self._part(connection, group)
            except psycopg.errors.InsufficientPrivilege as error:
                raise _may_not(name, error) from error
            await execute(connection, SQL["add"], {"tenant": name, "role": role, "by": clean(by)})
        return await self.tenant(name)

    async def tenants(self) -> list[Tenant]:
        """Return all tenants, by name."""
        async with connected(self._pool) as connection:
            return [_tenant(row) for row in await fetch(connection, SQL["tenants"], {})]

    async def tenant(self, name: str) -> Tenant:
        """Return a tenant; raises `NotFound`."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["tenant"], {"tenant": name})
        if not rows:
            raise NotFound(
                f"There is no tenant {name!r}.", hint=f"`interlock tenants add {name}` adds it."
            )
        return _tenant(rows[0])

    async def remove(self, name: str) -> Tenant:
        """Forget a tenant and take its role away; its rows stay. Raises `NotFound`."""
        gone = await self.tenant(name)
        async with connected(self._pool) as connection, connection.transaction():
            await fetch(connection, SQL["remove"], {"tenant": name})
            await fetch(connection, SQL["remove_role"], {"role": gone.role})
        return gone

    async def part(self) -> list[str]:
        """Part tenants from each other on tables that were made since, and return those; raises as `add`."""
        async with connected(self._pool) as connection:
            _, group = await _names(connection, "")
            return await self._part(connection, group)

    async def script(self, name: str) -> str:
        """Return what somebody who may make roles runs, so that `add` needs no right to it."""
        check_name(name)
        async with connected(self._pool) as connection:
            role, group = await _names(connection, name)
            me = (await fetch(connection, SQL["me"], {}))[0]["role"]
        return _SCRIPT.format(role=role, group=group, me=me.replace('"', '""'))

    async def _part(self, connection: Connection, group: str) -> list[str]:
        parted = []
        for row in await fetch(connection, SQL["unparted"], {"group": group}):
            await _patiently(connection, {"table": row["relation"], "group": group})
            parted.append(str(row["table_name"]))
        return parted


_SCRIPT = """\
create role {group} nologin;  -- once; leave it out when it is there
create role {role} nologin;
grant {group} to {role};
grant {role} to "{me}";
"""


def seen_by(url: str, tenant: Tenant) -> str:
    """Return a database's address under which every session is the tenant's role and only reads."""
    return with_options(url, f"-c role={tenant.role} -c default_transaction_read_only=on")


async def check_role(pool: Pool, tenant: Tenant) -> None:
    """Raise `DatabaseUnavailable` unless the sessions of a pool are a tenant's: some poolers drop what is asked for."""
    async with connected(pool) as connection:
        role = (await fetch(connection, SQL["me"], {}))[0]["role"]
    if role != tenant.role:
        raise DatabaseUnavailable(
            f"A session for tenant {tenant.name} is that of {role}, and would see everybody's rows.",
            hint="Give the server an address of Postgres itself: this pooler drops options.",
        )


def check_name(name: str) -> None:
    """Raise `UsageError` for what is no tenant's name."""
    if not name or not name.isprintable() or len(name) > 255 or name == "*":
        raise UsageError("A tenant's name has 1 to 255 printable characters, and is not `*`.")


async def _names(connection: Connection, tenant: str) -> tuple[str, str]:
    """Return the role of a tenant and the group of all of them; both tell database and schema from others."""
    database = (await fetch(connection, SQL["here"], {}))[0]["database"]
    place = (database, schema_of(connection))
    readable = re.sub(r"[^a-z0-9]+", "_", tenant.lower()).strip("_")[:24]
    return (
        f"interlock_tenant_{readable}_{_digest(*place, tenant)}",
        f"interlock_tenants_{_digest(*place)}",
    )


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


async def _patiently(connection: Connection, values: dict[str, Any]) -> None:  # SQL values
    """Change one table, as often as it takes until it is free: who comes after a change that waits would wait too."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            async with connection.transaction():
                await fetch(connection, SQL["patience"], {})
                await fetch(connection, SQL["part"], values)
            return
        except (psycopg.errors.LockNotAvailable, DatabaseUnavailable):
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(PAUSE)


def _may_not(name: str, error: psycopg.Error) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The database role may not part tenant {name} from others: {str(error).splitlines()[0]}.",
        hint=f"It must own the tables, and needs CREATEROLE or what `interlock tenants sql {name}` prints.",
    )


def _tenant(row: dict[str, Any]) -> Tenant:  # SQL values
    return Tenant(
        name=row["tenant"],
        role=row["role_name"],
        added_by=row["added_by"],
        added_at=row["added_at"],
    )
