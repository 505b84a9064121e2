"""What waits for people, read page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg.rows import DictRow

from interlock.core.questions import OpenQuestion
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import question_of

SQL = load("inbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which questions are listed.

    Attributes:
        thread_id: of this thread; None for any.
        graph: of this graph; empty for any.
        action: about this action; empty for any.
    """

    thread_id: str | None = None
    graph: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many questions of a graph wait about an action; it is empty for those that are no approvals."""

    graph: str
    action: str
    many: int


class InboxStore:
    """Reads open questions, the oldest first; each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, wanted: Wanted, *, offset: int, limit: int) -> list[OpenQuestion]:
        """Return open questions from a place on."""
        rows = await self._fetch("inbox", wanted, offset=offset, limit=limit)
        return [question_of(row) for row in rows]

    async def before(self, wanted: Wanted, question_id: str) -> int:
        """Return how many stand before a question, open or not; 0 where there is no such question."""
        rows = await self._fetch("inbox_before", wanted, question_id=question_id)
        return int(rows[0]["before"])

    async def kinds(self, wanted: Wanted) -> list[Waiting]:
        """Return how many wait, by graph and action; only the thread narrows that."""
        return [Waiting(**row) for row in await self._fetch("inbox_kinds", wanted)]

    async def _fetch(self, name: str, wanted: Wanted, **more: Any) -> list[DictRow]:  # parameters
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[name], asdict(wanted) | more)


def fitting(kinds: Sequence[Waiting], wanted: Wanted) -> int:
    """Return how many of what waits are wanted."""
    return sum(
        each.many
        for each in kinds
        if wanted.graph in ("", each.graph) and wanted.action in ("", each.action)
    )
