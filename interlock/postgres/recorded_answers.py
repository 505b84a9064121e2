"""What people answered on the thread that is replayed: a replay asks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import DictRow

from interlock.core.actions import digest as digest_of
from interlock.core.lineage import Lineage
from interlock.core.questions import OpenQuestion
from interlock.core.site import Site
from interlock.errors import ReplayDiverged
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("approvals")


class RecordedAnswers:
    """The approvals of one replay: each question is answered as an equal one was, in their order."""

    def __init__(self, pool: Pool, lineage: Lineage) -> None:
        self._pool = pool
        self._lineage = lineage
        self._given: dict[str, Mapping[str, Any] | None] = {}
        self._used: Counter[tuple[str, str]] = Counter()

    async def answer(
        self, question_id: str, *, site: Site, digest: str
    ) -> Mapping[str, Any] | None:
        """Return what was answered then; None where the thread itself still waits for it.

        Raises:
            ReplayDiverged: the question was not asked then.
        """
        if question_id not in self._given:
            self._given[question_id] = await self._next(site, digest)
        return self._given[question_id]

    async def resumed(self, questions: Sequence[OpenQuestion]) -> dict[str, Any]:  # JSON
        """Return what LangGraph's own interrupts were resumed with then, by interrupt id, as far as it is known."""
        found = {}
        for question in questions:
            payload, used = dict(question.payload), (question.node, digest_of(question.payload))
            rows = [r for r in await self._asked(question.node) if r["payload"] == payload]
            answers = [row["answer"]["value"] for row in rows if row["answer"]]
            if self._used[used] < len(answers):
                found[question.interrupt_id] = answers[self._used[used]]
                self._used[used] += 1
        return found

    async def _next(self, site: Site, digest: str) -> Mapping[str, Any] | None:
        rows = await self._asked(site.agent)
        equal = [row for row in rows if row["digest"] == digest]
        number = self._used[(site.agent, digest)]
        self._used[(site.agent, digest)] += 1
        if number >= len(equal):
            raise _diverged(site, rows)
        answer = equal[number]["answer"]
        value = answer.get("value") if answer else None
        if not isinstance(value, Mapping):
            return None
        return {**value, "question": equal[number]["question_id"]}

    async def _asked(self, agent: str) -> list[DictRow]:
        sources = self._lineage.sources
        values = {
            "agent": agent,
            "threads": [each.thread_id for each in sources],
            "since": [each.since for each in sources],
            "before": [each.before for each in sources],
        }
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL["asked_there"], values)


def _diverged(site: Site, rows: list[DictRow]) -> ReplayDiverged:
    recorded = next((f"{row['action']} with {row['arguments']}" for row in rows), "")
    then = f"; it asked about {recorded}" if recorded else ""
    return ReplayDiverged(
        f"The replay stopped in node {site.node!r}: it asks a person what was not asked then{then}.",
        hint="Fork the thread to ask it; nothing was done now.",
        node=site.node,
        kind="question",
        requested="a question to a person",
        recorded=recorded,
    )
