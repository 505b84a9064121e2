"""What a process does to spend little on Python's garbage collector."""

from __future__ import annotations

import asyncio
import gc

SETTLED_SECONDS = 2.0
"""How long after its start a process has loaded what it works with."""

THRESHOLDS = (5_000, 20, 10)
"""By how many objects it grows until the youngest are looked at, and after how many such looks the older ones: Python
looks at 700, 10 and 10, which is several times for a short run, at objects of runs that are still at work."""


def settle() -> None:
    """Leave what is loaded by now out of every later look for garbage: modules, graphs, schemas are a million objects.

    A look through all of them takes tens of milliseconds, in which a process that works on many runs does nothing else.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def settle_soon(loop: asyncio.AbstractEventLoop) -> None:
    """Do so once a process that begins to work on this loop has loaded what it needs."""
    loop.call_later(SETTLED_SECONDS, settle)
