"""Works that go on until they are cancelled."""

from __future__ import annotations

import asyncio

import pytest

from interlock.core import endless


async def test_a_cancellation_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A work that loses a cancellation on its way is cancelled again, and ends."""
    monkeypatch.setattr(endless, "AGAIN_SECONDS", 0.001)
    begun = asyncio.Event()
    lost: list[str] = []

    async def careless() -> None:
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append("one")

    task = asyncio.create_task(endless.side_by_side(careless()))
    await begun.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)

    assert done == {task}
    assert task.cancelled()
    assert lost == ["one"]


async def test_a_work_that_fails() -> None:
    """What a work fails with is raised, and the others have ended by then."""
    over = []

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def working() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            over.append("working")

    with pytest.raises(ValueError, match="no"):
        await endless.side_by_side(failing(), working())

    assert over == ["working"]
