"""The work of several callers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from interlock.postgres.together import MOST, Together

PATIENCE = 120


class Work:
    """Doubles numbers when it is let go on, and remembers what was asked for together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def double(self, numbers: list[int]) -> Sequence[int]:
        """Return the double of each; refuses 13."""
        self.batches.append(numbers)
        self.begun.set()
        await self.go_on.wait()
        if 13 in numbers:
            raise LookupError("thirteen")
        return [2 * number for number in numbers]


async def test_what_comes_meanwhile_goes_together() -> None:
    """The first goes at once; those that come while it is worked on go with the next statement, in their order."""
    work = Work()
    together = Together(work.double)
    first = asyncio.create_task(together.do(1))
    await asyncio.wait_for(work.begun.wait(), PATIENCE)
    others = [asyncio.create_task(together.do(number)) for number in (2, 3)]
    await asyncio.sleep(0)

    work.go_on.set()

    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert work.batches == [[1], [2, 3]]


async def test_one_statement_takes_so_many_and_no_more() -> None:
    """What is too much for one goes with the next."""
    work = Work()
    work.go_on.set()
    together = Together(work.double)

    doubled = await asyncio.gather(*map(together.do, [7] * (MOST + 1)))

    assert doubled == [14] * (MOST + 1)
    assert [len(batch) for batch in work.batches] == [MOST, 1]


async def test_a_caller_that_is_cancelled_keeps_nothing_from_being_done() -> None:
    """Its item is worked on all the same, and the others are answered."""
    work = Work()
    together = Together(work.double)
    gone, stays = (asyncio.create_task(together.do(number)) for number in (1, 2))
    await asyncio.wait_for(work.begun.wait(), PATIENCE)
    gone.cancel()
    await asyncio.wait([gone])

    work.go_on.set()

    assert await stays == 4
    assert gone.cancelled()
    assert work.batches == [[1, 2]]


async def test_an_error_reaches_each_caller_of_its_statement_alone() -> None:
    """Who asked later is answered by the next statement."""
    work = Work()
    together = Together(work.double)
    refused = [asyncio.create_task(together.do(number)) for number in (13, 1)]
    await asyncio.wait_for(work.begun.wait(), PATIENCE)
    later = asyncio.create_task(together.do(2))
    await asyncio.sleep(0)

    work.go_on.set()

    for each in refused:
        with pytest.raises(LookupError, match="thirteen"):
            await each
    assert await later == 4
