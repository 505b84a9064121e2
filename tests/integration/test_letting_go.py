"""A run's end is told before its thread is let go of: who comes at once does not find it busy."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

import interlock
from interlock.errors import ThreadBusy
from interlock.postgres import locks
from interlock.postgres.locks import ThreadLocks
from tests.working import CONFIG, until, worker_at


async def test_who_comes_as_soon_as_a_run_has_ended_waits_for_its_thread(
    database_url: str, tmp_path: Path
) -> None:
    """Somebody holds the thread of a run that has ended: the next one begins when that lets go."""
    given = {"folder": str(tmp_path), "steps": 1}
    holder = ThreadLocks(database_url)
    async with interlock.aopen(database_url, config=CONFIG) as il:
        await il.ainvoke("working", given, thread_id="t")
        async with holder.hold("t"):
            coming = asyncio.create_task(il.ainvoke("working", given, thread_id="t"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(coming), 0.5)
        run = await coming
    await holder.close()

    assert run.status == "succeeded"


async def test_a_thread_that_is_at_work_is_busy_at_once(database_url: str, tmp_path: Path) -> None:
    """Nobody waits for a run that goes on."""
    (tmp_path / "hold-1").touch()
    given = {"folder": str(tmp_path), "steps": 1}
    async with (
        worker_at(database_url),
        interlock.aopen(database_url, config=CONFIG) as il,
    ):
        run = await il.asubmit("working", given, thread_id="t")
        await until((tmp_path / "log").exists)
        began = time.monotonic()
        with pytest.raises(ThreadBusy):
            async with il.locks.hold("t"):
                pass
        took = time.monotonic() - began
        (tmp_path / "hold-1").unlink()
        await il.await_run(run.run_id)

    assert took < locks.LETTING_GO_SECONDS
