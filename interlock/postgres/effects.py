"""The ledger as people look at it, and what they say of an effect in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Json

from interlock.core.effects import Effect, EffectStatus, Refused
from interlock.errors import NotFound, UsageError
from interlock.postgres.plain import clean, finite
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("ledger")


class EffectStore:
    """Reads effects and refusals, and settles what is in doubt."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def effects(
        self, thread_id: str | None = None, *, in_doubt: bool = False, limit: int | None = None
    ) -> list[Effect]:
        """Return effects, oldest first; with a limit the newest of them."""
        values = {"thread_id": thread_id, "in_doubt": in_doubt, "limit": limit}
        found = [_effect(row) for row in await self._fetch("effects", **values)][::-1]
        return [each for each in found if each.status == "in_doubt"] if in_doubt else found

    async def effect(self, prefix: str) -> Effect:
        """Return the effect whose key is, or starts with, these characters; raises `NotFound`, `UsageError`."""
        found = [_effect(row) for row in await self._fetch("effects_by_prefix", prefix=prefix)]
        return _only(found, prefix)

    async def refusals(
        self, thread_id: str | None = None, *, limit: int | None = None
    ) -> list[Refused]:
        """Return what was not permitted, oldest first; with a limit the newest of it."""
        rows = await self._fetch("refusals", thread_id=thread_id, limit=limit)
        return [_refused(row) for row in rows][::-1]

    async def settle(self, effect: Effect, *, happened: bool, result: Any, by: str) -> None:  # JSON
        """Write down what became of an effect in doubt; raises `UsageError` when somebody was faster."""
        rows = await self._fetch(
            "settle",
            key=effect.key,
            attempt=effect.attempt,
            happened=happened,
            result=Json(finite(result)),
            settled_by=clean(by),
        )
        if not rows:
            raise UsageError(
                f"Effect {effect.key[:12]} is not in doubt any more.",
                hint=f"`interlock effects show {effect.key[:12]}` shows how it stands.",
            )

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


def _only(found: Sequence[Effect], prefix: str) -> Effect:
    if not found or not prefix:
        raise NotFound(f"There is no effect {prefix!r}.", hint="`interlock effects` lists them.")
    if len(found) > 1:
        raise UsageError(f"{prefix!r} fits several effects.", hint="Give more characters.")
    return found[0]


def _effect(row: DictRow) -> Effect:
    return Effect(
        key=row["key"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        node=row["node"],
        agent=row["agent"] or row["node"],
        action=row["action"],
        arguments=row["arguments"],
        status=_status(row),
        intended_at=row["intended_at"],
        finished_at=row["finished_at"],
        result=row["result"],
        error=row["error"],
        attempt=row["attempt"],
        cost=row["cost"],
        reversible=row["reversible"],
        verdict=row["verdict"],
        approval=row["approval"] or "",
        source=row["source"] or "",
        settled_by=row["settled_by"],
    )


def _status(row: DictRow) -> EffectStatus:
    if row["status"] == "intended":
        return "underway" if row["underway"] else "in_doubt"
    return "done" if row["status"] == "done" else "not_done"


def _refused(row: DictRow) -> Refused:
    return Refused(
        key=row["key"],
        thread_id=row["thread_id"],
        agent=row["agent"],
        action=row["action"],
        arguments=row["arguments"],
        kind=row["kind"],
        reason=row["reason"],
        rule=row["rule"],
        refused_at=row["refused_at"],
    )
