"""Runs as workers do them, in the test's own process: one attempt each time that a test says so."""

from __future__ import annotations

from contextlib import aclosing

from interlock import Interlock
from interlock.core.runs import Run


async def attempt(il: Interlock, run_id: str) -> Run:
    """Make one attempt at a run that nobody waits for, and return it as it stands then."""
    stored = await il.store.stored(run_id)
    async with il._locks.hold(stored.run.thread_id):
        await il.store.start(stored.run, "test:1", stored.context)
        execution = await il.prepare(stored)
        execution.attended = False
        async with aclosing(execution.parts()) as parts:
            async for _ in parts:
                pass
    return (await il.store.stored(run_id)).run
