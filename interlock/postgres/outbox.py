"""Notifications as rows: made from what happened to questions, claimed by one sender at a time, tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from interlock.core.questions import Notification, OpenQuestion
from interlock.postgres.plain import clean
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import note, question_of

SQL = load("outbox")

TRIES = 10
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 3600.0
"""Seconds between two tries: doubled after each, up to the longest."""

LEASE = 120.0
"""Seconds after which a claimed notification is due again: its sender has died. Longer than sending may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell a target: an event of a question.

    Attributes:
        id: of the notification; the same in each try.
        target: fingerprint of the target.
        event: `asked`, `reminded`, `escalated`, `expired` or `answered`.
        who: who did it; empty where nobody did.
        detail: more of the event, as JSON.
        question: as it stands now.
    """

    id: int
    target: str
    tries: int
    event: str
    who: str
    at: datetime
    detail: Mapping[str, Any]
    question: OpenQuestion


class Outbox:
    """Every statement about notifications; each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, targets: Mapping[str, str], limit: int = 8) -> list[Notice]:
        """Take what is due for some targets (fingerprint -> name as it is shown); nobody else gets it meanwhile."""
        names = {"targets": list(targets), "names": list(targets.values())}
        async with connected(self._pool) as connection, connection.transaction():
            await execute(connection, SQL["address"], names)
            await execute(connection, SQL["outdate"], {})
            values = {"targets": list(targets), "limit": limit, "lease": LEASE}
            return [_notice(row) for row in await fetch(connection, SQL["claim"], values)]

    async def sent(self, notice: Notice, name: str) -> None:
        """Note that a target has taken it, also in the question's history."""
        values = {"id": notice.id, "tries": notice.tries}
        async with connected(self._pool) as connection, connection.transaction():
            if await fetch(connection, SQL["sent"], values):
                about = {"target": name, "event": notice.event}
                await note(connection, notice.question.id, "notified", **about)

    async def not_sent(self, notice: Notice, name: str, error: str) -> None:
        """Note why it was not sent; it is due again after a pause, until it was tried often enough."""
        pause = min(FIRST_PAUSE * 2 ** (notice.tries - 1), LONGEST_PAUSE)
        values = {"id": notice.id, "tries": notice.tries, "error": clean(error[:500])}
        async with connected(self._pool) as connection, connection.transaction():
            rows = await fetch(
                connection, SQL["not_sent"], values | {"most": TRIES, "pause": pause}
            )
            if rows and rows[0]["status"] == "failed":
                about = {"target": name, "event": notice.event, "error": error[:500]}
                await note(connection, notice.question.id, "not_notified", **about)

    async def notifications(
        self, *, status: str | None = None, limit: int = 50
    ) -> list[Notification]:
        """Return what was told and what is to be told, newest first."""
        async with connected(self._pool) as connection:
            values = {"status": status, "limit": limit}
            rows = await fetch(connection, SQL["notifications"], values)
        return [Notification(**row) for row in rows]

    async def failed(self) -> int:
        """Return how many notifications were given up."""
        async with connected(self._pool) as connection:
            return int((await fetch(connection, SQL["count_failed"], {}))[0]["failed"])

    async def try_again(self) -> int:
        """Let what was given up be due at once, and return how many that are."""
        async with connected(self._pool) as connection:
            return await execute(connection, SQL["try_again"], {})


def _notice(row: DictRow) -> Notice:
    return Notice(
        id=row["notification"],
        target=row["target"],
        tries=row["tries"],
        event=row["event"],
        who=row["who"],
        at=row["happened_at"],
        detail=row["detail"],
        question=question_of(row),
    )
