"""Trust in Postgres: judgements as rows, and the standing that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Rollback

from interlock.core.policy import PolicySource
from interlock.core.trust import Standing, after, rules_of
from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("trust")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What somebody judged about an effect or a question."""

    agent: str
    action: str
    right: bool
    reason: str
    judged_at: datetime


class PostgresTrust:
    """Trust that is shared by all processes.

    Args:
        pool: connections to the database.
        policies: where the rules of trust stand; without it nobody earns any.
    """

    def __init__(self, pool: Pool, policies: PolicySource | None = None) -> None:
        self._pool = pool
        self._policies = policies

    async def standing(self, agent: str, action: str) -> Standing:
        """Return how far an agent is trusted with an action."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["standing"], _pair(agent, action))
        if not rows:
            return rules_of(self._policies).start(agent, action)
        return _standing(agent, action, rows[0])

    async def judge(
        self,
        agent: str,
        action: str,
        *,
        right: bool,
        about: str,
        reason: str = "",
        reversible: bool = False,
    ) -> Standing:
        """Count a judgement, and return the standing that follows, in one transaction."""
        rules = rules_of(self._policies)
        if rules.earning(agent, action) is None:
            return await self.standing(agent, action)
        async with connected(self._pool) as connection, connection.transaction():
            before = moved = await _held(connection, rules.start(agent, action))
            judgement = {"about": clean(about), "was_right": right, "reason": clean(reason)}
            now = await _counted(connection, before, judgement)
            if now is None:
                raise Rollback
            moved = after(before, right, rules, reversible=reversible, now=now)
            await execute(connection, SQL["move_standing"], _row(moved))
        return moved

    async def standings(self) -> list[Standing]:
        """Return the standing of every pair that was judged."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["standings"], {})
        return [_standing(row["agent"], row["action"], row) for row in rows]

    async def judgement(self, about: str) -> Judgement | None:
        """Return what was judged about an effect or a question."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["judgement"], {"about": clean(about)})
        if not rows:
            return None
        row = rows[0]
        return Judgement(
            agent=row["agent"],
            action=row["action"],
            right=row["was_right"],
            reason=row["reason"],
            judged_at=row["judged_at"],
        )


async def _held(connection: Connection, start: Standing) -> Standing:
    """Return the standing for this transaction alone: judgements about one pair come one after the other."""
    pair = _pair(start.agent, start.action)
    await execute(connection, SQL["open_standing"], pair | {"stage": start.stage})
    rows = await fetch(connection, SQL["hold_standing"], pair)
    return _standing(start.agent, start.action, rows[0])


async def _counted(
    connection: Connection, before: Standing, judgement: dict[str, Any]
) -> datetime | None:  # column values
    """Write a judgement and return the server's time; None when one about the same was counted before."""
    values = _pair(before.agent, before.action) | {"stage": before.stage} | judgement
    rows = await fetch(connection, SQL["add_judgement"], values)
    return rows[0]["judged_at"] if rows else None


def _standing(agent: str, action: str, row: dict[str, Any]) -> Standing:  # column values
    return Standing(
        agent=agent,
        action=action,
        stage=row["stage"],
        right=row["right_count"],
        wrong=row["wrong_count"],
        since=row["since"],
    )


def _row(standing: Standing) -> dict[str, Any]:  # column values
    return _pair(standing.agent, standing.action) | {
        "stage": standing.stage,
        "right_count": standing.right,
        "wrong_count": standing.wrong,
        "since": standing.since,
    }


def _pair(agent: str, action: str) -> dict[str, str]:
    return {"agent": clean(agent), "action": clean(action)}
