"""Runs a second, how fast they are picked up and taken over, what they cost, and thousands that wait.

    python -m benchmarks.runs [--quick] [--json]

Contestants run a graph of three nodes without a model, for 1, 16 or 64 clients, each of which waits for the end of its
run before it asks for the next: LangGraph's `ainvoke` with its own saver on a pool of eight connections, as it is and
with each step committed before the next; Interlock's `invoke`; and Interlock's `submit`, with one or two workers that
take the runs on and one process that submits. They take turns, on a database of their own each, on one embedded
server with `fsync` on; a ratio is taken within each round, and the median of the rounds counts. Where workers are
two, the others work in two processes. CPU is that of our processes, clients and workers; the server's stands beside it.

Pick-up is the time from the commit of the submission (`pg_xact_commit_timestamp`, noted before the commit is synced)
until the commit of the claim, and until the first node begins, by the machine's clock; before its first node LangGraph
saves the input and the first step, each in a commit. "To node" is the time from asking for a run until its first node
begins, which all contestants can be compared by. A takeover is the time from `kill -9` of a worker until the node
that it was at begins again in another one.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks import Goal, Row, below, options, report
from benchmarks.queueing.client import ATTENDED, STOCK, STOCK_SYNC, SUBMITTED
from benchmarks.queueing.depth import slowdowns
from benchmarks.queueing.empty import empty_runs
from benchmarks.queueing.latencies import PickUp, Spread, picked_up, until_begun
from benchmarks.queueing.places import Ground, ground, place
from benchmarks.queueing.processes import Crew, Pace, crew
from benchmarks.queueing.takeover import takeovers
from benchmarks.queueing.waiting import Waited, waiting
from benchmarks.savers.goals import at_least, at_most

WAYS = (STOCK, STOCK_SYNC, ATTENDED, SUBMITTED)
DEEP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Attributes:
        runs: for each number of clients, how many runs each of them asks for in a round.
    """

    runs: Mapping[int, int]
    processes: Sequence[int]
    rounds: int
    takeovers: int
    claims: int
    empty: int
    waiting: int
    answers: int


FULL = Plan(
    runs={1: 60, 16: 12, 64: 4},
    processes=(1, 2),
    rounds=7,
    takeovers=10,
    claims=100,
    empty=6000,
    waiting=10_000,
    answers=100,
)
QUICK = Plan(
    runs={1: 30, 16: 4},
    processes=(1,),
    rounds=3,
    takeovers=2,
    claims=30,
    empty=3000,
    waiting=700,
    answers=20,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Under which conditions the contestants met, and what each did in each round.

    Attributes:
        until_begun: how long each took from being asked for a run until its first node began.
        pick_up: how long after the commit of a submission a worker began.
    """

    clients: int
    processes: int
    paces: Mapping[str, Sequence[Pace]]
    until_begun: Mapping[str, Spread]
    pick_up: PickUp

    def __str__(self) -> str:
        """Say it as it stands in a row."""
        return f"{self.clients} clients, {self.processes} proc"

    def ratio(self, way: str, figure: str, *, to: str = STOCK) -> float:
        """Return how a figure of one contestant stands to that of another."""
        pairs = zip(self.paces[way], self.paces[to], strict=True)
        ratios: list[float] = [getattr(a, figure) / getattr(b, figure) for a, b in pairs]
        return round(statistics.median(ratios), 2)

    def median(self, way: str, figure: str) -> float:
        """Return the median of a contestant's figure."""
        figures: list[float] = [getattr(each, figure) for each in self.paces[way]]
        return round(statistics.median(figures), 2)


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0], quick="fewer clients, rounds and threads")
    plan = QUICK if given.quick else FULL
    with ground() as on:
        goals, rows = asyncio.run(_all(on, plan))
    report(goals, rows, as_json=given.as_json)


async def _all(on: Ground, plan: Plan) -> tuple[list[Goal], list[Row]]:
    cells = [cell for number in plan.processes for cell in await _met(on, plan, number)]
    parts = [
        _of_cells(cells),
        _of_empty(await empty_runs(on, runs=plan.empty, rounds=plan.rounds)),
        _of_takeovers(await takeovers(on, rounds=plan.takeovers)),
        _of_depth(await slowdowns(on, deep=DEEP, rounds=plan.claims)),
        _of_waiting(await waiting(on, threads=plan.waiting, answers=plan.answers), plan.waiting),
    ]
    return [goal for goals, _ in parts for goal in goals], [
        row for _, rows in parts for row in rows
    ]


async def _met(on: Ground, plan: Plan, processes: int) -> list[Cell]:
    async with AsyncExitStack() as stack:
        crews = {
            way: await stack.enter_async_context(
                crew(
                    way,
                    await stack.enter_async_context(place(on)),
                    clients=1 if way == SUBMITTED else processes,
                    workers=processes if way == SUBMITTED else 0,
                )
            )
            for way in WAYS
        }
        return [
            await _cell(crews, clients, runs, processes, plan.rounds)
            for clients, runs in plan.runs.items()
            if clients >= processes
        ]


async def _cell(
    crews: Mapping[str, Crew], clients: int, runs: int, processes: int, rounds: int
) -> Cell:
    """Let each work in each round; the first is not counted, and who begins changes."""
    paces: dict[str, list[Pace]] = {way: [] for way in crews}
    for number in range(rounds + 1):
        for way in list(crews)[:: 1 if number % 2 else -1]:
            prefix = f"{'counted' if number else 'warm'}-{clients}-{number}"
            pace = await crews[way].work(clients, runs, prefix)
            if number:
                paces[way].append(pace)
    where, prefix = crews[SUBMITTED].place, f"counted-{clients}"
    return Cell(
        clients=clients,
        processes=processes,
        paces=paces,
        until_begun={way: until_begun(each.place.notes, prefix) for way, each in crews.items()},
        pick_up=await picked_up(where.url, where.notes, prefix),
    )


def _of_cells(cells: Sequence[Cell]) -> tuple[list[Goal], list[Row]]:
    rows: list[Row] = []
    for cell in cells:
        rows += [_row(cell, way) for way in WAYS]
        rows.append(_spread_row(f"{cell}, pick-up until it is claimed", cell.pick_up.claimed))
        rows.append(_spread_row(f"{cell}, pick-up until its node begins", cell.pick_up.began))
    goals = [goal for cell in cells if cell.clients == 1 for goal in _goals_when_idle(cell)]
    return [*goals, *_goals_of_cpu(cells)], rows


def _row(cell: Cell, way: str) -> Row:
    return {
        "name": f"{cell}, {way}",
        "runs/s": round(cell.median(way, "runs")),
        "ratio": cell.ratio(way, "runs"),
        "cpu ms/run": cell.median(way, "cpu"),
        "ratio of cpu": cell.ratio(way, "cpu"),
        "server ms/run": cell.median(way, "server"),
        "to node ms": cell.until_begun[way].median,
    }


def _spread_row(name: str, spread: Spread) -> Row:
    return {
        "name": name,
        "median ms": spread.median,
        "p95 ms": spread.p95,
        "worst ms": spread.worst,
    }


def _goals_when_idle(cell: Cell) -> list[Goal]:
    spreads = {"claimed": cell.pick_up.claimed, "node begins": cell.pick_up.began}
    return [
        goal
        for until, spread in spreads.items()
        for goal in (
            below(f"idle queue, {cell}, until {until}, median", spread.median, "ms", 5),
            below(f"idle queue, {cell}, until {until}, p95", spread.p95, "ms", 15),
        )
    ]


def _goals_of_cpu(cells: Sequence[Cell]) -> list[Goal]:
    return [
        at_most(f"CPU to ainvoke with the stock saver, {cell}, {way}", cell.ratio(way, "cpu"), 1.5)
        for cell in cells
        for way in (ATTENDED, SUBMITTED)
    ]


def _of_empty(rates: Sequence[float]) -> tuple[list[Goal], list[Row]]:
    rate = round(statistics.median(rates))
    row: Row = {"name": "empty runs, two workers", "runs/s": rate, "worst": round(min(rates))}
    return [at_least("empty runs a second, two workers", rate, 3000, unit="")], [row]


def _of_takeovers(seconds: Sequence[float]) -> tuple[list[Goal], list[Row]]:
    spread = Spread.of(seconds)
    goals = [
        below("takeover after kill -9, median", round(spread.median / 1000, 2), "s", 2),
        below("takeover after kill -9, worst", round(spread.worst / 1000, 2), "s", 2),
    ]
    return goals, [_spread_row(f"takeover, {len(seconds)} kills", spread)]


def _of_depth(found: Mapping[str, tuple[float, float]]) -> tuple[list[Goal], list[Row]]:
    goals = [
        below(f"a claim among {DEEP}, {name}", round(ratio, 2), "x", 1.5)
        for name, (_, ratio) in found.items()
    ]
    rows: list[Row] = [
        {
            "name": f"a claim among {DEEP}, {name}",
            "median ms": round(ms, 2),
            "ratio": round(ratio, 2),
        }
        for name, (ms, ratio) in found.items()
    ]
    return goals, rows


def _of_waiting(found: Waited, threads: int) -> tuple[list[Goal], list[Row]]:
    spread = Spread.of(found.seconds)
    grown = round(found.after - found.before, 1)
    rows: list[Row] = [
        {
            "name": f"a worker, {threads} threads waiting",
            "MB before": round(found.before, 1),
            "MB after": round(found.after, 1),
            "MB of a fresh one": round(found.fresh, 1),
        },
        _spread_row("from an answer to the node", spread),
    ]
    return [
        below(f"{threads} threads waiting: a worker grows by", grown, "MB", 20),
        below("an answered thread goes on, median", spread.median, "ms", 100),
    ], rows


if __name__ == "__main__":
    main()
