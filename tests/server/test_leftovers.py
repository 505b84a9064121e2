"""What is left of runs without a thread: nothing, however many they were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from langgraph_sdk.client import LangGraphClient

from interlock.postgres.leftovers import AT_ONCE
from interlock.postgres.locks import SEED

LEFT = """
    select array(select thread_id from interlock.threads order by 1) as threads,
        (select count(*) from interlock.runs) as runs,
        (select count(*) from checkpoints) as checkpoints, (select count(*) from checkpoint_content) as content
"""
HOLD = "select pg_advisory_lock(hashtextextended(%s, %s))"


async def test_many_leave_nothing(client: LangGraphClient, server_database: str) -> None:
    """More runs than are removed at once leave no thread, run, checkpoint or content behind."""
    before = await _left(server_database)
    asked: Any = [
        {"assistant_id": "echo", "input": {"said": f"{number}" * 3000}}
        for number in range(AT_ONCE + 20)
    ]

    await client.runs.create_batch(asked)

    await _until(server_database, lambda left: left == before)


async def test_what_is_worked_on_is_left_alone(
    client: LangGraphClient, server_database: str
) -> None:
    """A thread that somebody holds stays while others go, and goes when it is let go of."""
    held, other = [await client.runs.create(None, "echo", input={"said": "abc"}) for _ in "ab"]
    await client.runs.join(held["thread_id"], held["run_id"])
    async with await psycopg.AsyncConnection.connect(server_database) as connection:
        await connection.execute(HOLD, (held["thread_id"], SEED))
        await client.runs.join(other["thread_id"], other["run_id"])
        await _until(server_database, lambda left: other["thread_id"] not in left["threads"])
        now = await _left(server_database)

    assert held["thread_id"] in now["threads"]
    await _until(server_database, lambda left: held["thread_id"] not in left["threads"])


async def _left(url: str) -> dict[str, Any]:  # threads, and counts
    async with await psycopg.AsyncConnection.connect(
        url, row_factory=psycopg.rows.dict_row
    ) as connection:
        row = await (await connection.execute(LEFT)).fetchone()
    assert row is not None
    return row


async def _until(url: str, settled: Callable[[dict[str, Any]], bool]) -> None:  # the same
    left: dict[str, Any] = {}
    for _ in range(600):
        left = await _left(url)
        if settled(left):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"left behind: {left}")
