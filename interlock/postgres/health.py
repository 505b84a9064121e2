"""How an installation stands, read from its tables: one cheap statement for each part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg.rows import DictRow

from interlock.core.budget import Account
from interlock.core.findings import is_nearly_spent, judged
from interlock.core.health import (
    Brake,
    Health,
    Line,
    Pace,
    Questions,
    Server,
    Table,
    Timers,
    Worker,
)
from interlock.postgres.budgets import account_of
from interlock.postgres.kill_watch import kill_of
from interlock.postgres.pool import Connection, Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("health")
KILLS = load("kills")
OUTBOX = load("outbox")
NEWS = (SQL["hear_queue"], SQL["hear_ended"], SQL["hear_timers"], KILLS["listen"])
"""Listens to everything that is told of; for `interlock.postgres.hearing`."""


class HealthStore:
    """Looks at everything that a person who keeps an installation running wants to know."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def look(self) -> Health:
        """Return how the installation stands now, with what is wrong; raises `DatabaseUnavailable`."""
        async with connected(self._pool) as connection, connection.transaction():
            return judged(await _look(connection))

    async def pending(self, threads: Sequence[str]) -> dict[str, str]:
        """Return which of some threads are `queued`, `asleep`, `retrying` or to begin `later`."""
        async with connected(self._pool) as connection:
            found = await fetch(connection, SQL["pending"], {"threads": list(threads)})
        return {row["thread_id"]: row["how"] for row in found}


async def ping(pool: Pool) -> None:
    """Return once the database has answered; raises `DatabaseUnavailable`."""
    async with connected(pool) as connection:
        await fetch(connection, SQL["ping"], {})


async def _look(connection: Connection) -> Health:
    # In one transaction that writes nothing: it ends with the connection's answer to the last statement.
    async def rows(statement: LiteralString, **values: Any) -> list[DictRow]:  # SQL values
        return await fetch(connection, statement, values)

    facts = (await rows(SQL["server"]))[0]
    counted = (await rows(SQL["counts"]))[0]
    return Health(
        at=facts.pop("at"),
        workers=tuple(_worker(row) for row in await rows(SQL["workers"])),
        queue=tuple(Line(**row) for row in await rows(SQL["queue"])),
        runs={row["status"]: row["runs"] for row in await rows(SQL["runs"])},
        pace=_pace(await rows(SQL["pace"])),
        timers=tuple(Timers(**row) for row in await rows(SQL["timers"])),
        questions=Questions(**(await rows(SQL["questions"]))[0]),
        letters={row["kind"]: row["letters"] for row in await rows(SQL["letters"])},
        brakes=tuple(Brake(**row) for row in await rows(SQL["brakes"])),
        kills=tuple(kill_of(row) for row in await rows(KILLS["standing"])),
        budgets=_nearly_spent(await rows(SQL["limited"])),
        failed_timers=counted["failed_timers"],
        doubts=counted["doubts"],
        unsent=(await rows(OUTBOX["count_failed"]))[0]["failed"],
        server=Server(**facts, tables=tuple(Table(**row) for row in await rows(SQL["tables"]))),
    )


def _worker(row: DictRow) -> Worker:
    lists = {
        name: None if row[name] is None else tuple(row[name]) for name in ("graphs", "tenants")
    }
    return Worker(**{**row, **lists, "threads": tuple(row["threads"])})


def _pace(rows: list[DictRow]) -> Pace:
    if not rows:
        return Pace()
    return Pace(seconds=rows[0]["seconds"], events={row["kind"]: row["events"] for row in rows})


def _nearly_spent(rows: list[DictRow]) -> tuple[Account, ...]:
    accounts = [account_of(row) for row in rows]
    return tuple(each for each in accounts if is_nearly_spent(each))
