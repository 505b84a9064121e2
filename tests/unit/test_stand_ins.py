"""How a model call's stream is passed on, and what is noted of its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

import pytest

from interlock.core.faults import Fault
from interlock.core.paced import Made, Ticket
from interlock.core.stand_ins import Look, relayed, relayed_async


class Notes:
    """Stands in for a call that was let through: it remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    async def ended(self, tokens: int | None) -> None:
        """Note an answer."""
        self.told.append(("ended", tokens))

    async def failed(self, fault: Fault) -> None:
        """Note a failure."""
        self.told.append("failed")

    async def broken_off(self) -> None:
        """Note that nobody waits any more."""
        self.told.append("broken off")


class Counting(Look[int]):
    """Counts each piece as so many tokens as it says, and passes its double on."""

    def seen(self, chunk: int) -> int:
        """Return its double."""
        self.tokens = (self.tokens or 0) + chunk
        return 2 * chunk


def pieces(*, breaks: bool = False) -> Iterator[int]:
    """What comes behind the first piece of a stream."""
    yield 2
    if breaks:
        raise ConnectionError("gone")
    yield 3


async def later_pieces(*, breaks: bool = False) -> AsyncIterator[int]:
    """The same from asynchronous code."""
    for each in pieces(breaks=breaks):
        yield each


def made(chunks: Any, notes: Notes) -> Made[Any]:
    """A stream that has begun with 1."""
    return Made(answer=(chunks, 1), ticket=cast("Ticket", notes))


async def taken(how: str, notes: Notes, *, most: int = 9, breaks: bool = False) -> list[int]:
    """Read at most so many pieces of a stream, and leave it."""
    got: list[int] = []
    if how == "synchronous":
        with closing(relayed(made(pieces(breaks=breaks), notes), Counting())) as stream:
            for each in stream:
                got.append(each)
                if len(got) == most:
                    break
        return got
    coming = made(later_pieces(breaks=breaks), notes)
    async with aclosing(relayed_async(coming, Counting())) as parts:
        async for each in parts:
            got.append(each)
            if len(got) == most:
                break
    return got


@pytest.mark.parametrize("how", ["synchronous", "asynchronous"])
async def test_a_stream_that_ends_says_what_it_took(how: str) -> None:
    """As far as its pieces have told."""
    notes = Notes()

    assert await taken(how, notes) == [2, 4, 6]
    assert notes.told == [("ended", 6)]


@pytest.mark.parametrize("how", ["synchronous", "asynchronous"])
async def test_a_stream_that_nobody_reads_on_says_nothing_about_its_provider(how: str) -> None:
    """It is broken off as soon as its reader leaves."""
    notes = Notes()

    assert await taken(how, notes, most=1) == [2]
    assert notes.told == ["broken off"]


@pytest.mark.parametrize("how", ["synchronous", "asynchronous"])
async def test_a_stream_that_breaks_is_a_failure(how: str) -> None:
    """The error goes up to who reads."""
    notes = Notes()

    with pytest.raises(ConnectionError):
        await taken(how, notes, breaks=True)
    assert notes.told == ["failed"]


async def test_a_stream_without_an_answer_has_ended() -> None:
    """No piece came; how many tokens it took nobody knows."""
    notes = Notes()

    assert list(relayed(Made(answer=(iter(()), None), ticket=cast("Ticket", notes)), Look())) == []
    assert notes.told == [("ended", None)]
