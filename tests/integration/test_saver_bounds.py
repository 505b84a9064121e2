"""The saver's bounds that do not depend on the machine, beside LangGraph's own: bytes, round trips, commits.

The benchmarks measure the same at full size (`benchmarks/growth.py`, `benchmarks/steps.py`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from benchmarks.savers.contestants import OPENINGS, OURS, STOCK, Saver
from benchmarks.savers.counts import Cost, cost_of_a_step
from benchmarks.savers.graphs import (
    KILOBYTE,
    MEGABYTE,
    delta_list,
    document,
    message_list,
    overwritten,
    plain_list,
    text_of,
)
from benchmarks.savers.growing import Build, growing
from interlock.postgres import Checkpointer
from interlock.postgres.embedded import EmbeddedServer
from tests.savers import Story

Edit = Callable[[str, int], str]


@pytest.mark.parametrize("make", [plain_list, message_list])
async def test_a_list_takes_a_fraction_of_the_bytes(
    postgres_server: EmbeddedServer, make: Any
) -> None:
    """A list of 200 messages of 1 kB takes at most a 15th of the bytes; it is a 150th for 2,000."""
    stock = await stored(postgres_server, STOCK, of_a_kilobyte(make), 200)
    ours = await stored(postgres_server, OURS, of_a_kilobyte(make), 200)

    assert ours[200] * 15 <= stock[200]


@pytest.mark.parametrize("make", [plain_list, message_list, delta_list])
async def test_a_list_grows_in_line(postgres_server: EmbeddedServer, make: Any) -> None:
    """Twice as many steps take hardly more than twice the bytes."""
    ours = await stored(postgres_server, OURS, of_a_kilobyte(make), 200, 400)

    assert ours[400] <= 2.1 * ours[200]


@pytest.mark.parametrize("edit", [overwritten, None], ids=["overwritten", "untouched"])
async def test_a_large_text_is_stored_where_it_changes(
    postgres_server: EmbeddedServer, edit: Edit | None
) -> None:
    """A text of 1 MB takes at most a 15th of the bytes over 40 steps, overwritten in places or left alone."""
    text = text_of(MEGABYTE, seed="bounds")

    def build(saver: Saver, _: object) -> Any:  # a graph
        return document(saver, edit)

    stock = await stored(postgres_server, STOCK, build, 40, text=text)
    ours = await stored(postgres_server, OURS, build, 40, text=text)

    assert ours[40] * 15 <= stock[40]


@pytest.mark.parametrize(("threads", "steps"), [(1, 100), (16, 20)])
async def test_a_step_is_one_round_trip_and_one_commit(
    postgres_server: EmbeddedServer, threads: int, steps: int
) -> None:
    """A superstep of one task costs at most 1.1 round trips on the wire and 1.1 commits of the server."""
    cost = await cost_of_a_step(postgres_server.url, OPENINGS[OURS], threads=threads, steps=steps)

    assert cost.round_trips <= 1.1
    assert cost.commits <= 1.1


async def test_a_step_is_saved_in_few_calls(database_url: str) -> None:
    """What a task wrote and its checkpoint take at most 180 calls of the saver's functions, resumptions included.

    It is 154 now, and was 283; a few more do no harm. CPU is what limits steps, and calls can be counted anywhere.
    """
    async with Checkpointer.from_conn_string(database_url) as saver:
        story = Story(saver)
        config = await story.put(n=0, seen={"n": 0})
        with counted("interlock/postgres/checkpointer") as calls:
            for n in range(1, 21):
                wrote = saver.aput_writes(config, [("n", n), ("seen", {"n": n})], f"task{n}")
                _, config = await asyncio.gather(wrote, story.put(n=n, seen={"n": n}))

        assert saver.stats.flushes == 21
    assert 60 < len(calls) / 20 <= 180


async def test_the_counts_are_right_about_the_stock_saver(postgres_server: EmbeddedServer) -> None:
    """LangGraph's own saver costs two round trips and two commits a superstep, which is how we know that we count."""
    cost = await cost_of_a_step(postgres_server.url, OPENINGS[STOCK], threads=1, steps=50)

    assert cost == Cost(round_trips=2.0, commits=2.0)


@contextmanager
def counted(path: str) -> Iterator[list[str]]:
    """Note each call, in this thread, of a Python function that stands under a path."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and path in frame.f_code.co_filename:
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def of_a_kilobyte(make: Any) -> Build:  # a graph of each kind of list
    return lambda saver, times: make(saver, KILOBYTE, times)


async def stored(
    server: EmbeddedServer, saver: str, build: Build, *marks: int, **values: object
) -> dict[int, int]:
    """Return the bytes that a thread takes after so many steps."""
    found = {}
    async with growing(server.url, OPENINGS[saver], build) as thread:
        for mark in marks:
            await thread.grow(mark, **values)
            found[mark] = await thread.stored()
    return found
