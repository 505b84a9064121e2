"""Ends runs in groups: with the charge for what they took last, in one statement and one commit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from interlock.core.walltime import Charge
from interlock.errors import InterlockError
from interlock.postgres.budgets import charge_together
from interlock.postgres.checkpointer.arrays import prepare
from interlock.postgres.checkpointer.ending import End, end_values
from interlock.postgres.plain import clean
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.together import Together

SQL = load("finishing")


class _Ending(NamedTuple):
    run: str
    attempt: int
    charge: Charge | None


class Finisher:
    """Ends runs that have succeeded, all that come at about the same time in one commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._together: Together[_Ending, bool] = Together(self._ended)

    async def finish(self, run_id: str, attempt: int, charge: Charge | None = None) -> bool:
        """End a run; False when it cannot be ended in this way, or not by this attempt.

        `charge` is what it took last. It is charged with the end, so that who is told of that finds it; where the run
        does not end, it is charged only if a part of it may have been charged before (`again`).
        """
        return await self._together.do(_Ending(run_id, attempt, charge))

    async def _ended(self, batch: Sequence[_Ending]) -> list[bool]:
        again = [each.charge for each in batch if each.charge is not None and each.charge.again]
        async with connected(self._pool) as connection:
            prepare(connection)
            if again:
                with suppress(InterlockError):  # what cannot be charged now ends no run
                    await charge_together(connection, again)
            rows = await fetch(connection, SQL["finish"], end_values(map(_end, batch)))
        return [each.run in rows[0]["ended"] for each in batch]


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
