"""The ledger in Postgres: it protects from the process's death, and from other processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Json

from interlock.core.ledger import Act, Entry, Intention, Parallel, Refusal, Relation, Standing
from interlock.core.lineage import Lineage
from interlock.errors import DatabaseUnavailable, EffectTakenOver, InterlockError, LeaseLost
from interlock.postgres.divergence import diverged
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.plain import clean, finite, stored
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("ledger")

POLLS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0)
"""Seconds between looks at an effect that somebody else performs; then the caller looks for itself."""

PATIENCE = (0.1, 0.5, 2.0, 5.0)
"""Seconds between attempts to write down what happened, while the database does not answer."""


class PostgresLedger:
    """Effects as rows: the intention is committed before the act.

    One for each run: it knows what the run's thread may use of its parents' work.
    """

    def __init__(self, pool: Pool, locks: ThreadLocks, lineage: Lineage | None = None) -> None:
        self._pool = pool
        self._locks = locks
        self._lineage = lineage or Lineage()
        self._refused: dict[str, DictRow] = {}  # in a replay: key -> how it was refused then
        self._taken: Counter[str] = Counter()  # in a replay: request -> how many refusals were used

    async def begin(self, intention: Intention, *, permitted: bool, approval: str = "") -> Entry:
        """Tell how an intention stands, and write it first if it is `new` and permitted.

        Raises:
            ReplayDiverged: this is a replay, and the request was not recorded.
        """
        if self._lineage.sources:
            entry = await self._inherited(intention)
            if entry.standing not in ("new", "asked") or not permitted:
                return entry
        elif not permitted:
            return await self._standing(intention.key)
        return await self._begun(intention, approval)

    async def claim(self, key: str, attempt: int) -> Entry:
        """Take on an effect that is in doubt: `new` with the next attempt for exactly one caller."""
        values = {
            "key": key,
            "attempt": attempt,
            "owner": await self._locks.owner(),
            "worker": self._locks.worker,
        }
        rows = await self._take_on(self._fetch("claim", values), values, happened=None)
        if rows:
            return Entry(standing="new", key=key, attempt=rows[0]["attempt"])
        return await self._standing(key)

    async def finish(self, key: str, attempt: int, result: Any) -> None:  # JSON
        """Write the result of an act; raises `EffectTakenOver` when somebody else has taken it on."""
        values = {"key": key, "attempt": attempt, "result": Json(finite(result))}
        if not await _patiently(lambda: self._fetch("finish", values)):
            raise EffectTakenOver(
                f"Effect {key[:12]} was done here, but somebody else had taken it on.",
                hint=f"Look whether it happened twice: `interlock effects show {key[:12]}`.",
            )

    async def release(self, key: str, attempt: int, error: str, *, happened: bool | None) -> None:
        """Note that an attempt raised: `False` when it is known that nothing happened, `None` when it is not known."""
        values = {
            "key": key,
            "attempt": attempt,
            "error": clean(error[:2000]),
            "happened": happened,
        }
        await _patiently(lambda: self._fetch("release", values))

    async def settle(
        self, key: str, attempt: int, *, happened: bool, result: Any, by: str
    ) -> Entry:  # JSON
        """Write down what became of an effect that is in doubt, and who says so; return how it stands then."""
        values = {
            "key": key,
            "attempt": attempt,
            "happened": happened,
            "result": Json(finite(result)),
            "settled_by": clean(by),
        }
        await self._fetch("settle", values)
        return await self._standing(key)

    async def wait(self, key: str) -> None:
        """Return when an effect is no longer underway, or after a few seconds."""
        for seconds in POLLS:
            await asyncio.sleep(seconds)
            if (await self._standing(key)).standing != "underway":
                return

    async def parallel(self, intention: Intention) -> Parallel | None:
        """Return what the same action did beside this act: on the fork's parents, its forks, or in an attempt."""
        if intention.reversible:
            return None
        if self._lineage.sources:
            for row in await self._unused(intention):
                return _beside("parent", row)
        for row in await self._fetch("beside", _values(intention)):
            return _beside(row["relation"], row)
        return None

    async def done_since(self, thread_id: str, checkpoint_id: str) -> list[Act]:
        """Return what a thread did to the world, or may have done, from a checkpoint on; oldest first."""
        values = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
        rows = await self._fetch("done_since", values)
        return [Act(action=row["action"], arguments=row["arguments"]) for row in rows]

    async def refuse(self, intention: Intention, refusal: Refusal) -> int:
        """Note a refusal, once for each intention, and tell which it is of those that its agent had in a row."""
        if self._lineage.recorded_only:
            await self._refused_then(intention)
            then = self._refused.get(intention.key)
            return int(then["in_a_row"]) if then else 0
        values = _values(intention) | {
            "kind": refusal.kind,
            "reason": clean(refusal.reason[:2000]),
            "rule": refusal.rule,
        }
        await self._fetch("refuse", values)
        in_a_row = int((await self._fetch("refused_in_a_row", values))[0]["count"])
        await self._fetch("note_row", {"key": intention.key, "in_a_row": in_a_row})
        return in_a_row

    async def times(self, intention: Intention) -> int:
        """Return how often its thread did the same with the same arguments before."""
        return int((await self._fetch("times", _values(intention)))[0]["count"])

    async def _begun(self, intention: Intention, approval: str) -> Entry:
        await self._locks.check(intention.site.thread_id)
        values = _values(intention) | {
            "approval": approval or None,
            "owner": await self._locks.owner(),
            "worker": self._locks.fence(intention.site.thread_id),
        }
        try:
            rows = await self._take_on(self._intended(intention, values), values, happened=False)
        except psycopg.errors.UniqueViolation:  # the approval was used by another act
            return Entry(standing="unapproved", key=intention.key, attempt=0)
        if rows:
            return Entry(standing="new", key=intention.key, attempt=rows[0]["attempt"])
        entry = await self._standing(intention.key)
        if entry.standing in ("new", "asked") and approval:
            return Entry(standing="unapproved", key=intention.key, attempt=0)
        if entry.standing == "new":
            return Entry(standing="another", key=intention.key, attempt=0)
        return entry

    async def _intended(
        self, intention: Intention, values: dict[str, Any]
    ) -> list[DictRow]:  # SQL values
        """Write an intention, unless earlier attempts left the same action, and this one has not asked for it."""
        asked, action = intention.asked, intention.action
        if intention.reversible or asked is None or values["approval"]:
            return await self._fetch("begin", values | {"earlier": []})
        if action not in asked.earlier:  # what others leave later, no attempt before it did
            row = (await self._fetch("begin_first", values))[0]
            asked.earlier[action] = frozenset(row["earlier"])
            if row["attempt"] is not None:
                return [row]
            if asked.earlier[action].isdisjoint(asked.keys.difference(values["asked"])):
                return []
        return await self._fetch(
            "begin", values | {"earlier": list(asked.earlier[action] - asked.keys)}
        )

    async def _take_on(
        self,
        written: Coroutine[Any, Any, list[DictRow]],
        values: dict[str, Any],  # SQL values
        *,
        happened: bool | None,
    ) -> list[DictRow]:
        """Take an effect on; who is cancelled meanwhile gives it back: it would be underway while the process lives."""
        taking = asyncio.ensure_future(written)
        try:
            rows = await asyncio.shield(taking)
        except asyncio.CancelledError:
            giving = self._give_back(taking, str(values["key"]), happened=happened)
            await asyncio.shield(giving)
            raise
        if not rows and values["worker"]:
            await self._refuse_removed(values["worker"])
        return rows

    async def _refuse_removed(self, worker: str) -> None:
        if not await self._fetch("registered", {"worker": worker}):
            raise LeaseLost(
                "This worker was taken for dead and removed, so nothing was done.",
                hint="Its runs go on from their last checkpoint in another worker.",
            )

    async def _give_back(
        self, taking: asyncio.Future[list[DictRow]], key: str, *, happened: bool | None
    ) -> None:
        with suppress(InterlockError, psycopg.Error):  # then it was not taken
            for row in await taking:
                await self.release(
                    key, row["attempt"], "cancelled before the act", happened=happened
                )

    async def _standing(self, key: str) -> Entry:
        row = (await self._fetch("standing", {"key": key}))[0]
        if row["status"] in (None, "not_done"):
            standing: Standing = "asked" if row["asked"] else "new"
            return Entry(standing=standing, key=key, attempt=0, error=row["error"] or "")
        return _entry(row)

    async def _inherited(self, intention: Intention) -> Entry:
        """Tell how a request on a fork stands: by its own row, or else by what its parents did."""
        if self._lineage.recorded_only and (then := await self._refused_then(intention)):
            return then
        while True:
            own = await self._standing(intention.key)
            if own.standing not in ("new", "asked"):
                return own
            if await self._borrowed(intention):
                return await self._standing(intention.key)
            unused = [
                r for r in await self._unused(intention) if r["asked_for"] == intention.asked_for
            ]
            if unused and unused[0]["status"] == "done":
                continue  # a parallel branch was faster, and there is another one
            if self._lineage.recorded_only:
                return await self._unrecorded(intention)
            return _entry(unused[0]) if unused else own

    async def _refused_then(self, intention: Intention) -> Entry | None:
        """Return how a replayed request was refused, where that came before an equal one was done."""
        key, request = intention.key, intention.asked_for
        if key not in self._refused:
            rows = await self._fetch("refused_there", _values(intention) | self._sources())
            rows = rows[self._taken[request] :]
            done = [r for r in await self._unused(intention) if r["asked_for"] == request]
            if not rows or (done and done[0]["intended_at"] < rows[0]["refused_at"]):
                return None
            self._taken[request] += 1
            self._refused[key] = rows[0]
        row = self._refused[key]
        refusal = Refusal(kind=row["kind"], reason=row["reason"], rule=row["rule"])
        return Entry(standing="refused", key=key, attempt=0, refusal=refusal)

    async def _borrowed(self, intention: Intention) -> bool:
        try:
            return bool(await self._fetch("borrow", _values(intention) | self._sources()))
        except psycopg.errors.UniqueViolation:  # a parallel branch has just used that one
            return False

    async def _unrecorded(self, intention: Intention) -> Entry:
        if await self._fetch("waits_there", _values(intention) | self._sources()):
            return Entry(standing="asked", key=intention.key, attempt=0)
        raise diverged(intention, await self._unused(intention))

    async def _unused(self, intention: Intention) -> list[DictRow]:
        return await self._fetch("unused", _values(intention) | self._sources())

    def _sources(self) -> dict[str, list[str]]:
        sources = self._lineage.sources
        return {
            "threads": [each.thread_id for each in sources],
            "since": [each.since for each in sources],
            "before": [each.before for each in sources],
        }

    async def _fetch(self, statement: str, values: dict[str, Any]) -> list[DictRow]:  # SQL values
        text: LiteralString = SQL[statement]
        async with connected(self._pool) as connection:
            return await fetch(connection, text, values)


def _values(intention: Intention) -> dict[str, Any]:  # SQL values
    site = intention.site
    return {
        "key": intention.key,
        "thread_id": site.thread_id,
        "run_id": site.run_id,
        "node": site.node,
        "agent": site.agent,
        "task": site.task,
        "checkpoint_id": site.checkpoint_id,
        "action": intention.action,
        "request": intention.request,
        "asked_for": intention.asked_for,
        "arguments": stored(intention.arguments),
        "cost": intention.cost,
        "reversible": intention.reversible,
        "reads": intention.reads,
        "asked": list(intention.asked.keys) if intention.asked else [],
        "abandoned_since": [each.since for each in intention.abandoned],
        "abandoned_before": [each.before for each in intention.abandoned],
        "verdict": stored(intention.verdict),
    }


def _beside(relation: Relation, row: DictRow) -> Parallel:
    return Parallel(
        relation=relation,
        thread_id=row["thread_id"],
        key=row["key"],
        arguments=row["arguments"],
    )


def _entry(row: DictRow) -> Entry:
    key, attempt = row["key"], row["attempt"]
    if row["status"] == "done":
        return Entry(standing="done", key=key, attempt=attempt, result=row["result"])
    return Entry(
        standing="underway" if row["underway"] else "in_doubt",
        key=key,
        attempt=attempt,
        error=row["error"],
        request=row["request"],
        arguments=row["arguments"],
    )


async def _patiently(write: Callable[[], Awaitable[list[DictRow]]]) -> list[DictRow]:
    """Write what must not be lost; while the database does not answer, try again for some seconds."""
    for seconds in PATIENCE:
        try:
            return await write()
        except DatabaseUnavailable:
            await asyncio.sleep(seconds)
    return await write()
