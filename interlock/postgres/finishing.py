"""Ends runs in groups: with the charge for what they took last, in one statement and one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, cast

from interlock.core.walltime import Charge
from interlock.errors import InterlockError
from interlock.postgres.budgets import charge_together
from interlock.postgres.checkpointer.arrays import prepare
from interlock.postgres.checkpointer.ending import End, end_values
from interlock.postgres.plain import clean
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("finishing")


class _Ending(NamedTuple):
    run: str
    attempt: int
    charge: Charge | None
    answer: asyncio.Future[bool]


class Finisher:
    """Ends runs that have succeeded, all that come at about the same time in one commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[_Ending] = []
        self._task: asyncio.Task[None] | None = None

    async def finish(self, run_id: str, attempt: int, charge: Charge | None = None) -> bool:
        """End a run; False when it cannot be ended in this way, or not by this attempt.

        `charge` is what it took last. It is charged with the end, so that who is told of that finds it; where the run
        does not end, it is charged only if a part of it may have been charged before (`again`).
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Ending(run_id, attempt, charge, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="interlock-finish")
        return await asyncio.shield(answer)

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._end(batch)
        finally:
            self._task = None

    async def _end(self, batch: Sequence[_Ending]) -> None:
        try:
            ended = await self._ended(batch)
        except BaseException as error:
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
                    each.answer.exception()  # a caller that is gone has nobody to look at it
            if not isinstance(error, Exception):
                raise
        else:
            for each in batch:
                if not each.answer.done():
                    each.answer.set_result(each.run in ended)

    async def _ended(self, batch: Sequence[_Ending]) -> Sequence[str]:
        again = [each.charge for each in batch if each.charge is not None and each.charge.again]
        async with connected(self._pool) as connection:
            prepare(connection)
            if again:
                with suppress(InterlockError):  # what cannot be charged now ends no run
                    await charge_together(connection, again)
            rows = await fetch(connection, SQL["finish"], end_values(map(_end, batch)))
        return cast("Sequence[str]", rows[0]["ended"])


def end_of(run_id: str, attempt: int, charge: Charge | None) -> End:
    """Return the end of a run with what it took last, which was not charged before."""
    if charge is None:
        return End(run=run_id, attempt=attempt)
    return End(
        run=run_id,
        attempt=attempt,
        budgets=[(scope.kind, clean(scope.name)) for scope in charge.scopes],
        steps=len(charge.steps),
        seconds=charge.seconds,
    )


def _end(ending: _Ending) -> End:
    charge = ending.charge if ending.charge is not None and not ending.charge.again else None
    return end_of(ending.run, ending.attempt, charge)
