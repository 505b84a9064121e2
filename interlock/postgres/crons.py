"""Crons as rows: set, paused and removed, and fired by whoever comes first; each of their times once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.rows import DictRow

from interlock.core.cron import Cron, Firing, Step, following, step
from interlock.core.timing import Became
from interlock.errors import DatabaseUnavailable, InterlockError, NotFound
from interlock.postgres import timers
from interlock.postgres.plain import clean, jsonb
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("crons")
_OPTIONS = ("multitask_strategy", "priority", "within")
LIST = "`interlock cron list` shows them."

Submit = Callable[[Connection, Cron, datetime], Awaitable[tuple[str, str]]]
"""Accepts a cron's run inside a transaction, for one of its times, and returns its id and its thread's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which crons of clients of the server are looked for; what is left out says nothing."""

    name: str | None = None
    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON
    sort: str = "created_at desc"
    limit: int = 10
    offset: int = 0

    def values(self) -> dict[str, Any]:  # SQL values
        """Return them as parameters."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**said, "metadata": jsonb(self.metadata)}


class CronStore:
    """Every statement about crons; each method is one transaction."""

    def __init__(self, pool: Pool, serde: SerializerProtocol) -> None:
        self._pool = pool
        self._serde = serde

    async def set(self, cron: Cron) -> Cron:
        """Make a cron, or change it; it fires at the first of its times after now."""
        async with connected(self._pool) as connection, connection.transaction():
            values = self._row(cron) | {"next_at": await _first(connection, cron)}
            made = self._cron((await fetch(connection, SQL["set"], values))[0])
            await _schedule(connection, made)
            return made

    async def switch(self, name: str, *, enabled: bool) -> Cron:
        """Pause a cron, or let it go on with the first of its times after now; raises `NotFound`."""
        async with connected(self._pool) as connection, connection.transaction():
            if not (rows := await fetch(connection, SQL["hold"], {"name": name})):
                raise _unknown(name)
            if (cron := self._cron(rows[0])).enabled == enabled:
                return cron
            due = following(cron, rows[0]["now"]) if enabled else None
            values = {"name": name, "enabled": enabled, "next_at": due}
            changed = self._cron((await fetch(connection, SQL["switch"], values))[0])
            await _schedule(connection, changed)
            return changed

    async def remove(self, name: str) -> None:
        """Forget a cron; what it submitted stays. Raises `NotFound`."""
        async with connected(self._pool) as connection:
            if not await execute(connection, SQL["remove"], {"name": name}):
                raise _unknown(name)

    async def crons(self) -> list[Cron]:
        """Return all crons, by name."""
        async with connected(self._pool) as connection:
            return [
                self._cron(row) for row in await fetch(connection, SQL["crons"], {"name": None})
            ]

    async def cron(self, name: str, *, firings: int = 10) -> tuple[Cron, list[Firing]]:
        """Return a cron with what it did lately, newest first; raises `NotFound`."""
        async with connected(self._pool) as connection:
            if not (rows := await fetch(connection, SQL["crons"], {"name": name})):
                raise _unknown(name)
            values = {"name": name, "limit": firings}
            found = await fetch(connection, SQL["firings"], values)
        return self._cron(rows[0]), [Firing(**row) for row in found]

    async def search(self, wanted: Wanted) -> tuple[list[Cron], int]:
        """Return a page of the crons that clients of the server made and that fit, and how many do."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["search"], wanted.values())
            total = (await fetch(connection, SQL["count"], wanted.values()))[0]["count"]
        return [self._cron(row) for row in rows], int(total)

    async def now(self) -> datetime:
        """Return what time it is for crons."""
        async with connected(self._pool) as connection:
            now: datetime = (await fetch(connection, SQL["clock"], {}))[0]["now"]
            return now

    async def fire(self, graphs: Sequence[str], who: str, submit: Submit) -> Became | None:
        """Fire the cron of some graphs that is due first, and return what became of that; None when none is due.

        The timer, the run and the next timer are one transaction: a time is neither lost nor taken twice.
        """
        async with connected(self._pool) as connection, connection.transaction():
            values = {"graphs": list(graphs)}
            if not (rows := await fetch(connection, timers.SQL["claim_cron"], values)):
                return None
            try:
                async with connection.transaction():
                    became = await self._fired(connection, rows[0], submit)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # whatever the application's code raises
                await timers.failed(connection, rows[0]["id"], error)
                return "failed"
            if became != "held":
                await timers.settle(connection, rows[0]["id"], became, who)
            return became

    async def _fired(self, connection: Connection, timer: DictRow, submit: Submit) -> Became:
        """Do what a cron does at one of its times."""
        values = {"name": timer["cron"]}
        if not (rows := await fetch(connection, SQL["hold_or_skip"], values)):
            return "held"
        cron, due = self._cron(rows[0]), datetime.fromisoformat(timer["payload"]["due"])
        if not cron.enabled or timer["payload"]["revision"] != cron.revision:
            return "cancelled"
        now = step(cron, due, timer["now"])
        time = {"cron": cron.name, "due_at": due}
        if await fetch(connection, SQL["begin"], time):  # nobody did anything at this time before
            firing = await _submitted(connection, cron, due, submit) if now.fires else _missed(now)
            await execute(connection, SQL["end"], {**time, **firing})
        cron = replace(cron, next_at=now.next_at)
        await execute(connection, SQL["move"], {"name": cron.name, "next_at": cron.next_at})
        await _schedule(connection, cron)
        return "fired"

    def _row(self, cron: Cron) -> dict[str, Any]:  # SQL values
        kind, blob = self._serde.dumps_typed(cron.input)
        return {
            "name": cron.name,
            "graph": cron.graph,
            "input_type": kind,
            "input": blob,
            "schedule": cron.schedule,
            "zone": cron.zone,
            "catch_up": cron.catch_up,
            "thread_id": cron.thread_id,
            "context": jsonb(cron.context),
            "options": jsonb({name: getattr(cron, name) for name in _OPTIONS}),
            "enabled": cron.enabled,
            "created_by": clean(cron.created_by),
        }

    def _cron(self, row: DictRow) -> Cron:
        names = {each.name for each in fields(Cron)} - {"input", *_OPTIONS}
        given = self._serde.loads_typed((row["input_type"], row["input"]))
        return Cron(input=given, **{key: row[key] for key in row if key in names}, **row["options"])


async def _submitted(
    connection: Connection, cron: Cron, due: datetime, submit: Submit
) -> dict[str, str]:
    try:
        async with connection.transaction():
            run_id, thread_id = await submit(connection, cron, due)
    except DatabaseUnavailable:
        raise
    except InterlockError as error:  # its next time is another matter
        return _did("refused", detail=clean(str(error)[:1000]))
    return _did("submitted", run_id=run_id, thread_id=thread_id)


def _missed(now: Step) -> dict[str, str]:
    then = f"the next is {now.next_at.isoformat()}" if now.next_at else "there is no further one"
    return _did("missed", detail=f"Nobody kept time when it was due; {then}.")


def _did(
    outcome: str, *, run_id: str = "", thread_id: str = "", detail: str = ""
) -> dict[str, str]:
    return {"outcome": outcome, "run_id": run_id, "thread_id": thread_id, "detail": detail}


async def _first(connection: Connection, cron: Cron) -> datetime | None:
    if not cron.enabled:
        return None
    now = (await fetch(connection, SQL["clock"], {}))[0]["now"]
    return following(cron, now)


async def _schedule(connection: Connection, cron: Cron) -> None:
    """Set the timer of a cron's next time, and none beside it."""
    await execute(connection, SQL["unset"], {"name": cron.name})
    if cron.next_at is None:
        return
    due = {"due": cron.next_at.isoformat(), "revision": cron.revision}
    await timers.set_timer(
        connection,
        kind="cron",
        due_at=cron.next_at,
        cron=cron.name,
        graph=cron.graph,
        payload=due,
        dedupe=f"cron:{cron.name}:{cron.revision}:{cron.next_at.isoformat()}",
    )


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no cron {name!r}.", hint=LIST)
