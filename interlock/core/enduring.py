"""An event loop that goes on when a node raises what asyncio lets out of it: `sys.exit`, or a `KeyboardInterrupt`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_its_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop, and return its result, whatever other tasks let out of the loop meanwhile.

    A task that raises `SystemExit` or `KeyboardInterrupt` ends with it, and asyncio stops the loop, too. For whoever
    works on runs that is the end of one run. Ctrl-C cancels the coroutine for as long as nobody handles the signal.
    """
    task = loop.create_task(main)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except SystemExit:
            continue
        except KeyboardInterrupt:
            if not task.done() and _is_ctrl_c():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)
                raise
    return task.result()


def run_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, whatever its tasks let out of it."""
    while True:
        try:
            return loop.run_forever()
        except (SystemExit, KeyboardInterrupt):  # of a task, which has ended with it
            continue


def _is_ctrl_c() -> bool:
    """Say whether it may have been the signal: nobody handles it, so Python raises that wherever it is."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler
