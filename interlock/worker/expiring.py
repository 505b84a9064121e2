"""Takes away what is kept for some time only: threads, and items of the store. It holds up no timer."""

from __future__ import annotations

import asyncio

from interlock.errors import DatabaseUnavailable
from interlock.facade import Interlock
from interlock.threads import Expired
from interlock.worker.log import Log

EXPIRE_SECONDS = 5.0
"""How often it looks."""


async def expire(il: Interlock, log: Log) -> None:
    """Take away what has expired, again and again, until it is cancelled; any number of processes may."""
    while True:
        try:
            await _turn(il, log)
        except DatabaseUnavailable:
            pass  # the next time
        except Exception as error:  # one thread's fault must not end the expiry of the others
            log.warn("expiry.failed", why=f"{type(error).__name__}: {error}")
        await asyncio.sleep(EXPIRE_SECONDS)


async def _turn(il: Interlock, log: Log) -> None:
    threads, items = await il.aexpire_threads(), await il.aexpire_items()
    if items or threads != Expired():
        log.detail(
            "expired",
            deleted=threads.deleted,
            pruned=threads.pruned,
            left=threads.left,
            items=items,
        )
