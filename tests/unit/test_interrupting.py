"""A block that is interrupted, and a stream that is stopped: what the code inside sees, and what its caller is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from interlock.core.interrupting import Interruptible
from interlock.core.stopping import Stoppable

WHY = ValueError("why")


async def test_a_block_raises_the_error() -> None:
    """What it awaits is cancelled and cleans up; its caller sees the error, and is not cancelled itself."""
    seen: list[str] = []

    async def work() -> None:
        async with Interruptible() as block:
            threading.Thread(target=block.interrupt, args=(WHY,)).start()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

    with pytest.raises(ValueError, match="why"):
        await work()
    assert seen == ["cancelled"]
    await asyncio.sleep(0)


async def test_a_block_that_is_also_cancelled_is_cancelled() -> None:
    """Who cancels the task from outside is not answered with another error."""

    async def work() -> None:
        async with Interruptible() as block:
            block.interrupt(WHY)
            asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_cleanup_is_a_consequence() -> None:
    """A client that turns the cancellation into an error of its own hides nothing."""

    async def work() -> None:
        async with Interruptible() as block:
            block.interrupt(WHY)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionError("the connection was closed") from None

    with pytest.raises(ValueError, match="why") as raised:
        await work()
    assert isinstance(raised.value.__cause__, ConnectionError)


async def test_after_the_block_nothing_happens() -> None:
    """An interruption that comes too late touches nobody."""
    async with Interruptible() as block:
        pass
    block.interrupt(WHY)
    await asyncio.sleep(0.01)


async def counting(seen: list[str], gate: asyncio.Event | None = None) -> AsyncGenerator[int]:
    """Count to two, and note the end; wait at a gate in between."""
    try:
        yield 1
        if gate is not None:
            await gate.wait()
        yield 2
    finally:
        seen.append("closed")


async def test_a_stream_that_is_not_stopped_is_as_before() -> None:
    """All its parts come, in order, and it is closed."""
    seen: list[str] = []
    assert [part async for part in Stoppable(counting(seen))] == [1, 2]
    assert seen == ["closed"]


async def test_a_stream_is_stopped_where_it_waits() -> None:
    """Its cleanup runs, and the consumer is told the reason."""
    seen: list[str] = []
    stream = Stoppable(counting(seen, asyncio.Event()))
    assert await anext(stream) == 1
    asyncio.get_running_loop().call_later(0.01, stream.stop, WHY)

    with pytest.raises(ValueError, match="why"):
        await anext(stream)
    assert seen == ["closed"]


async def test_a_stream_is_stopped_while_nobody_looks() -> None:
    """A consumer that is busy is told when it asks for the next part; the stream has ended long before."""
    seen: list[str] = []
    stream = Stoppable(counting(seen))
    assert await anext(stream) == 1
    stream.stop(WHY)
    async with asyncio.timeout(10):
        while not seen:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0)

    with pytest.raises(ValueError, match="why"):
        await anext(stream)


async def test_a_stream_that_is_closed_cleans_up_first() -> None:
    """Also when its consumer is cancelled meanwhile: that is passed on only after the cleanup."""
    ended = asyncio.Event()

    async def slow() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    stream = Stoppable(slow())
    assert await anext(stream) == 1
    closing = asyncio.ensure_future(stream.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert ended.is_set()


async def test_parts_that_are_not_shown_wake_nobody() -> None:
    """They are looked at in the stream's own task, and the next one is begun with at once."""
    seen: list[str] = []

    def shows(part: int) -> bool:
        seen.append(f"looked at {part}")
        return part == 2

    stream = Stoppable(counting(seen), shows)
    assert await anext(stream) == 2
    assert seen == ["looked at 1", "looked at 2"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert seen[2:] == ["closed"]


async def test_a_part_that_came_while_nobody_waited_is_the_next_one() -> None:
    """A consumer that was cancelled, and asks again, misses none, and gets them in order."""
    seen: list[str] = []
    gate = asyncio.Event()
    stream = Stoppable(counting(seen, gate))
    assert await anext(stream) == 1
    asking = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    gate.set()

    assert [part async for part in stream] == [2]
