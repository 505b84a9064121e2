"""Time for tests of timers: the clock that they go by is moved, and nobody waits."""

from __future__ import annotations

from datetime import datetime

import psycopg


async def shift(url: str, seconds: float) -> None:
    """Let it be some seconds later than it is, for timers, sleeps and crons."""
    await _clock(url, f"clock_timestamp() + interval '{seconds} seconds'")


async def stop_at(url: str, moment: datetime) -> None:
    """Let it be one moment, until it is another."""
    await _clock(url, f"timestamptz '{moment.isoformat()}'")


async def _clock(url: str, now: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "create or replace function interlock.clock() returns timestamptz language sql volatile"
            f" as $$ select {now} $$"
        )
        await connection.execute("notify interlock_timers")
