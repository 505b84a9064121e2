"""A process whose calls come under one limit: it notes when each was let through, or holds a slot for ever."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import uuid4

from interlock.core.rates import Ask, Bound, End, Rate, Rates
from interlock.postgres.aside import Aside
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import open_pool
from interlock.postgres.rates import PostgresRates

CALLERS = 8


async def let_through(rates: Rates, bounds: tuple[Bound, ...], tokens: int) -> Ask:
    """Wait until a call may be made, as calls do."""
    ask = Ask(key=uuid4().hex, bounds=bounds, tokens=tokens)
    while (slot := await rates.take(ask)).verdict != "go":
        ask = replace(ask, booked=True, waited=True)
        await asyncio.sleep(slot.seconds)
    return ask


async def caller(
    rates: Rates, bounds: tuple[Bound, ...], tokens: int, until: float, seen: list[float]
) -> None:
    """Make calls that take no time, one after the other."""
    while time.time() < until:
        ask = await let_through(rates, bounds, tokens)
        if (now := time.time()) < until:
            seen.append(now)
        await rates.settle(End(ask=ask, tokens=tokens))


async def main(url: str, limits: str, tokens: int, until: float) -> None:
    """Make calls until a time, and print when each was let through; without a time hold a slot until killed."""
    bounds = tuple(Bound(name=n, rate=Rate(**rate)) for n, rate in json.loads(limits).items())
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(url))
        locks, aside = ThreadLocks(url), Aside(url)
        stack.push_async_callback(locks.close)
        rates = PostgresRates(pool, aside, locks)
        if not until:
            await let_through(rates, bounds, tokens)
            sys.stdout.write("held\n")
            sys.stdout.flush()
            await asyncio.Event().wait()
        seen: list[float] = []
        callers = [caller(rates, bounds, tokens, until, seen) for _ in range(CALLERS)]
        async with asyncio.timeout(max(0.0, until - time.time()) + 5):
            await asyncio.gather(*callers)
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
