"""Time at work over a connection that breaks: what was charged without an answer is not charged again."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from interlock.core.budget import Amounts, Scope
from interlock.core.walltime import WorkClock
from interlock.postgres.aside import Aside
from interlock.postgres.budgets import PostgresBudgets
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import open_pool
from tests.cutting import cutting

CHARGED = "select spent[6]::float8 from interlock.budgets where kind = 'run' and name = 'r'"


async def charged(connection: psycopg.AsyncConnection[tuple[float]]) -> float:
    """What stands in the database by now."""
    row = await (await connection.execute(CHARGED)).fetchone()
    return row[0] if row else 0.0


async def test_a_charge_whose_answer_was_lost_counts_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends after the commit, before its answer: the next charge takes what came since."""
    monkeypatch.setattr("interlock.core.walltime.CHARGE_SECONDS", 0.3)
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as there,
        cutting(database_url, b"clock ", "answer") as cut_once,
        open_pool(cut_once) as pool,
    ):
        budgets = PostgresBudgets(pool, Aside(cut_once), ThreadLocks(cut_once))
        clock = WorkClock(budgets=budgets, scopes=[Scope(kind="run", name="r")])
        clock.course.uncounted = {1}
        began = time.monotonic()
        async with clock.running():
            async with asyncio.timeout(20):
                while not (first := await charged(there)):  # noqa: ASYNC110  # nobody tells of it
                    await asyncio.sleep(0.01)
        took = time.monotonic() - began
        spent = (await budgets.account("run", "r")).spent
        await budgets._locks.close()

    assert 0.3 <= first <= spent.seconds <= took
    assert spent.steps == 1
    assert spent == Amounts(seconds=spent.seconds, steps=1)
