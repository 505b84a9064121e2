"""Who is cancelled while it takes an effect on does not hold it until its process ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from interlock.core.ledger import Entry
from interlock.postgres.ledger import PostgresLedger
from tests.ledgers import World, intention


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    async with AsyncExitStack() as stack:
        made = (await World(stack, database_url).process()).ledger
        assert isinstance(made, PostgresLedger)
        yield made


async def cancelled_behind(
    ledger: PostgresLedger, statement: str, call: Callable[[], Awaitable[Entry]]
) -> None:
    """Make a call and cancel it when a statement is committed, and its answer still on the way."""
    written, fetch = asyncio.Event(), ledger._fetch

    async def slow(name: str, values: dict[str, Any]) -> Any:  # SQL values
        rows = await fetch(name, values)
        if name == statement:
            written.set()
            await asyncio.sleep(0)
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_fetch", slow)
        calling = asyncio.ensure_future(call())
        await written.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


async def test_intention_that_is_cancelled_can_be_written_again(ledger: PostgresLedger) -> None:
    """Nothing happened, so the next attempt at the node acts at once, in the same process."""
    wants = intention()
    await cancelled_behind(ledger, "begin", lambda: ledger.begin(wants, permitted=True))

    again = await ledger.begin(wants, permitted=True)
    assert (again.standing, again.attempt) == ("new", 2)


async def test_claim_that_is_cancelled_leaves_it_in_doubt(ledger: PostgresLedger) -> None:
    """What became of the first attempt is as unknown as before, and somebody else can find out."""
    begun = await ledger.begin(intention(), permitted=True)
    await ledger.release("k", begun.attempt, "no answer", happened=None)
    await cancelled_behind(ledger, "claim", lambda: ledger.claim("k", 1))

    found = await ledger.begin(intention(), permitted=False)
    assert (found.standing, found.attempt) == ("in_doubt", 2)
