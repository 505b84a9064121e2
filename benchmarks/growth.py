"""How a thread grows: bytes on the disk and time per step, and what it takes to read it again, beside the stock saver.

    python -m benchmarks.growth [--quick] [--json]

A graph of one node appends a message of 1 kB or 10 kB to a list at each step, with `operator.add`, `add_messages` and a
`DeltaChannel`; each superstep is committed before the next one begins. Both savers work on the same server, each in a
database of its own. Bytes are what Postgres has on the disk for all tables (`pg_total_relation_size`) less what the
empty ones took. A thread is read by a saver that has read nothing before: its newest state (resume), a branch from an
early step (fork), with 1 kB every state, too (history); the savers take turns, and the median of the rounds' ratios
counts. `one row` is what a resume cannot do without: the newest values read from one row that holds them as they are,
and restored by LangGraph's serializer. A text of 1 MB is overwritten in places, inserted into, or left alone while
something else changes.

The stock saver writes the whole list at each step. Where that would take more than a third of the free disk, or more
than 4 GB, it is not run, and the row says so.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from benchmarks import Goal, Row, options, report
from benchmarks.savers.contestants import OPENINGS, OURS, STOCK
from benchmarks.savers.databases import folder
from benchmarks.savers.goals import at_most
from benchmarks.savers.graphs import (
    KILOBYTE,
    MEGABYTE,
    delta_list,
    document,
    inserted,
    message_list,
    overwritten,
    plain_list,
    text_of,
)
from benchmarks.savers.growing import Build, Thread, growing
from interlock.postgres import embedded

SAVERS = (STOCK, OURS)
LISTS = {"operator.add": plain_list, "add_messages": message_list, "DeltaChannel": delta_list}
WHOLE = ("operator.add", "add_messages")
"""Lists that the stock saver writes whole at each step; for these there are goals."""
EDITS: Mapping[str, Callable[[str, int], str] | None] = {
    "overwritten in places": overwritten,
    "untouched": None,
    "inserted into": inserted,
}
IN_PLACE = ("overwritten in places", "untouched")

EARLY = 20
MOST = 4 * KILOBYTE * MEGABYTE
SHARE = 2000 / 150
"""At 2,000 steps 1/150 of the stock saver's bytes; these grow by the square, so that fewer steps share less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    marks: Sequence[int]
    sizes: Sequence[int]
    edits: int
    rounds: int
    history: int
    histories: int


# A history with a `DeltaChannel` is LangGraph's work, and takes it most of a minute for 1,000 steps.
FULL = Plan(
    marks=(100, 500, 1000, 2000), sizes=(1, 10), edits=50, rounds=5, history=1000, histories=2
)
QUICK = Plan(marks=(50, 100, 200), sizes=(1,), edits=40, rounds=3, history=200, histories=2)

Found = tuple[list[Goal], list[Row]]
Threads = Mapping[str, Thread]
Read = Mapping[str, Mapping[str, Sequence[float]]]
"""What was read, by which saver, and the milliseconds of each round."""


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0], quick="fewer steps and sizes")
    with folder() as place, embedded.start(place / "growth") as server:
        goals, rows = asyncio.run(_all(server.url, QUICK if given.quick else FULL))
    report(goals, rows, as_json=given.as_json)


async def _all(server: str, plan: Plan) -> Found:
    found = [await _document(server, plan, edit) for edit in EDITS]
    for size in plan.sizes:
        found += [await _list(server, plan, kind, size) for kind in LISTS]
    return [each for goals, _ in found for each in goals], [
        each for _, rows in found for each in rows
    ]


async def _document(server: str, plan: Plan, edit: str) -> Found:
    """Let both savers carry a text of 1 MB for some steps."""
    name = f"a text of 1 MB {edit}"
    stored = {}
    async with _threads(server, lambda saver, _: document(saver, EDITS[edit])) as threads:
        for saver, thread in threads.items():
            await thread.grow(plan.edits, text=text_of(MEGABYTE, seed=edit))
            stored[saver] = await thread.stored()
    rows: list[Row] = [
        {"name": f"{name}, {plan.edits} steps, {saver}", "MB": _megabytes(each)}
        for saver, each in stored.items()
    ]
    share = round(stored[OURS] / stored[STOCK], 4)
    return [at_most(f"bytes, {name}", share, 1 / 15)] * (edit in IN_PLACE), rows


async def _list(server: str, plan: Plan, kind: str, size: int) -> Found:
    """Let both savers carry one list to each mark, and read it there."""
    found: Found = ([], [])
    stored: dict[int, dict[str, int]] = {}
    build = LISTS[kind]
    async with _threads(
        server, lambda saver, times: build(saver, size * KILOBYTE, times)
    ) as threads:
        for mark in plan.marks:
            fitting = {each: threads[each] for each in SAVERS if _fits(each, kind, size, mark)}
            steps = {each: await thread.grow(mark) for each, thread in fitting.items()}
            stored[mark] = {each: await thread.stored() for each, thread in fitting.items()}
            read = await _read(fitting, plan, mark, size)
            for saver in SAVERS:
                figures = _figures(saver, stored[mark], steps, read)
                found[1].append({"name": f"{kind}, {size} kB, {mark} steps, {saver}", **figures})
            if kind in WHOLE and size == 1 and mark >= plan.history:
                found[0].extend(_reading_goals(f"{kind}, {mark} steps", read))
    if kind in WHOLE and size == 1:
        found[0].extend(_growth_goals(kind, plan.marks, stored))
    return found


@asynccontextmanager
async def _threads(server: str, build: Build) -> AsyncIterator[Threads]:
    """Give each saver a thread in a database of its own."""
    async with AsyncExitStack() as stack:
        yield {
            saver: await stack.enter_async_context(growing(server, OPENINGS[saver], build))
            for saver in SAVERS
        }


def _fits(saver: str, kind: str, size: int, steps: int) -> bool:
    """Tell whether what a saver will write is little enough; the server's log takes as much again."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return saver != STOCK or kind not in WHOLE or _whole(size, steps) < min(MOST, free / 3)


def _whole(size: int, steps: int) -> float:
    """Return about how many bytes it is to write a list at each step: the sum of all its lengths."""
    return size * KILOBYTE * 1.25 * steps * steps / 2


async def _read(threads: Threads, plan: Plan, mark: int, size: int) -> Read:
    """Read what is to be read at a mark; the savers take turns."""
    read = {"resume": await _in_turn(threads, plan.rounds, Thread.resume)}
    if mark >= plan.history:
        ours = {OURS: threads[OURS]}
        read["one row"] = await _in_turn(ours, plan.rounds, Thread.one_row)
    if mark == plan.history and size == 1:  # the stock saver fetches all of it at once: 6 GB
        read["history"] = await _in_turn(threads, plan.histories, Thread.history)
        read["saver's history"] = await _in_turn(threads, plan.histories, Thread.saver_history)
    if mark == plan.marks[-1]:  # a fork is the newest checkpoint: nothing goes on behind it
        read["fork"] = await _in_turn(threads, plan.rounds, lambda thread: thread.fork(EARLY))
    return read


async def _in_turn(
    threads: Threads, rounds: int, work: Callable[[Thread], Awaitable[float]]
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {saver: [] for saver in threads}
    for number in range(rounds):
        for saver in list(threads)[:: 1 if number % 2 else -1]:
            times[saver].append(await work(threads[saver]))
    return times


def _figures(
    saver: str, stored: Mapping[str, int], steps: Mapping[str, float], read: Read
) -> dict[str, object]:
    if saver not in stored:
        return {"MB": "too large, not run"}
    return {
        "MB": _megabytes(stored[saver]),
        "step ms": steps[saver],
        **{
            f"{what} ms": round(statistics.median(times[saver]), 1)
            for what, times in read.items()
            if saver in times
        },
    }


LIMITS = {"resume": 0.5, "history": 1 / 20, "saver's history": 1 / 20, "fork": 1.0}


def _reading_goals(name: str, read: Read) -> Iterator[Goal]:
    for what, times in read.items():
        if len(times) == len(SAVERS):
            yield at_most(f"{what}, {name}", _ratio(times[OURS], times[STOCK]), LIMITS[what])


def _growth_goals(
    kind: str, marks: Sequence[int], stored: Mapping[int, Mapping[str, int]]
) -> list[Goal]:
    last, half = stored[marks[-1]], stored[marks[-2]]
    share, growth = last[OURS] / last[STOCK], last[OURS] / half[OURS]
    name = f"{kind}, {marks[-1]} steps"
    return [
        at_most(f"bytes, {name}", round(share, 5), SHARE / marks[-1]),
        at_most(f"bytes, {name} in those of {marks[-2]}", round(growth, 2), 2.1),
    ]


def _ratio(ours: Sequence[float], stock: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(ours, stock, strict=True)), 3)


def _megabytes(count: int) -> float:
    return round(count / MEGABYTE, 2)


if __name__ == "__main__":
    main()
