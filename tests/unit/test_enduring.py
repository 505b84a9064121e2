"""Event loops that go on when a task raises what asyncio lets out of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
import uvloop

from interlock.core.enduring import run_to_its_end
from interlock.core.sync import run_sync

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(autouse=True)
def as_python_begins() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were begun in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def exits() -> None:
    sys.exit(3)


async def interrupts() -> None:
    raise KeyboardInterrupt


async def beside(*odd: Callable[[], object]) -> str:
    """Let tasks leave, and go on."""
    for each in odd:
        with suppress(SystemExit, KeyboardInterrupt):
            await asyncio.create_task(each())  # type: ignore[arg-type]  # they are coroutines
    await asyncio.sleep(0)
    return "done"


@pytest.mark.parametrize("make", LOOPS)
def test_a_task_that_leaves_does_not_end_the_others(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """As for signals somebody handles: what a task raises is the end of that task."""

    async def main() -> str:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, print)
        return await beside(exits, interrupts, exits)

    with closing(make()) as loop:
        assert run_to_its_end(loop, main()) == "done"


@pytest.mark.parametrize("make", LOOPS)
def test_ctrl_c_cancels_where_nobody_handles_it(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The coroutine cleans up first."""
    cleaned: list[str] = []

    async def main() -> None:
        try:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
            await asyncio.sleep(20)
        finally:
            cleaned.append("up")

    with closing(make()) as loop, pytest.raises(KeyboardInterrupt):
        run_to_its_end(loop, main())
    assert cleaned == ["up"]


@pytest.mark.parametrize("make", LOOPS)
def test_what_the_coroutine_itself_raises_is_raised(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Also when that is an exit."""
    with closing(make()) as loop, pytest.raises(SystemExit, match="3"):
        run_to_its_end(loop, exits())


def test_synchronous_calls_go_on_after_one_that_left() -> None:
    """The loop that they share lives on."""
    with pytest.raises(SystemExit):
        run_sync(exits())

    assert run_sync(beside(interrupts)) == "done"
