"""Supersteps a second, round trips and commits a step: Interlock's saver beside LangGraph's, on one server.

    python -m benchmarks.steps [--quick] [--json]

A graph of one node writes a small object at each step, and each superstep is saved before the next one begins
(`durability="sync"`). 1, 8, 32 or 128 threads run side by side as tasks of one process or two. Beside Interlock's
saver run LangGraph's on a pool of eight connections and on one connection, its saver in memory, one that keeps nothing,
so that what is left is LangGraph's own work and no saver can be faster, and a contestant that only commits: one row of
about the size of a step, on the same pool. They take turns, on a database of their own each; a ratio is taken within
each round, and the median of the rounds counts. All of it is done with `synchronous_commit` on and off.

Round trips are counted between the client and the server, and commits by the server (`pg_stat_database`). Both are
counted apart from the timings, for two lengths of the same work; a step costs the difference. CPU is that of our
processes, without the server's.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks import Goal, Row, options, report
from benchmarks.savers.contestants import MEMORY, NOTHING, OPENINGS, OURS, STOCK, STOCK_ALONE
from benchmarks.savers.counts import Cost, cost_of_a_step
from benchmarks.savers.databases import database, folder
from benchmarks.savers.goals import at_least, at_most
from benchmarks.savers.teams import Pace, Team, team
from benchmarks.savers.work import COMMITS
from interlock.postgres import embedded

CONTESTANTS = (STOCK, STOCK_ALONE, OURS, MEMORY, NOTHING, COMMITS)
COUNTED = (STOCK, STOCK_ALONE, OURS)
MANY = 32
MOST_A_STEP = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured: for each number of threads, the steps of each of them."""

    steps: Mapping[int, int]
    processes: Sequence[int]
    rounds: int


FULL = Plan(steps={1: 200, 8: 100, 32: 50, 128: 20}, processes=(1, 2), rounds=5)
QUICK = Plan(steps={1: 50, 32: 10}, processes=(1,), rounds=3)

Rates = Mapping[str, Sequence[Pace]]
"""For each contestant, how fast it was in each round."""
Teams = Mapping[str, Team]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Under which conditions the contestants met."""

    threads: int
    processes: int
    synchronous_commit: bool

    def __str__(self) -> str:
        """Say it as it stands in a row."""
        commit = "on" if self.synchronous_commit else "off"
        return f"{self.threads} threads, {self.processes} proc, sync {commit}"


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0])
    plan = QUICK if given.quick else FULL
    with folder() as place, embedded.start(place / "steps") as server:
        goals, rows = asyncio.run(_all(server.url, plan))
    report(goals, rows, as_json=given.as_json)


async def _all(server: str, plan: Plan) -> tuple[list[Goal], list[Row]]:
    costs = await _costs(server, plan)
    rates = {
        cell: each
        for synchronous_commit in (True, False)
        for processes in plan.processes
        for cell, each in (await _met(server, plan, processes, synchronous_commit)).items()
    }
    rows = [_cost_row(name, threads, cost) for (name, threads), cost in costs.items()]
    rows += [row for cell, each in rates.items() for row in _rate_rows(cell, each)]
    return [*_cost_goals(costs), *_rate_goals(rates)], rows


Costs = Mapping[tuple[str, int], Cost]


async def _costs(server: str, plan: Plan) -> Costs:
    return {
        (name, threads): await cost_of_a_step(server, OPENINGS[name], threads=threads, steps=steps)
        for threads, steps in plan.steps.items()
        for name in COUNTED
    }


async def _met(
    server: str, plan: Plan, processes: int, synchronous_commit: bool
) -> dict[Cell, Rates]:
    """Let the contestants work in turns, with each number of threads that the processes can share."""
    async with AsyncExitStack() as stack:
        teams: dict[str, Team] = {}
        for name in CONTESTANTS:
            url = await stack.enter_async_context(
                database(server, synchronous_commit=synchronous_commit)
            )
            teams[name] = await stack.enter_async_context(team(name, url, processes=processes))
        return {
            Cell(
                threads=threads, processes=processes, synchronous_commit=synchronous_commit
            ): await _rounds(teams, threads, steps, plan.rounds)
            for threads, steps in plan.steps.items()
            if threads >= processes
        }


async def _rounds(teams: Teams, threads: int, steps: int, rounds: int) -> Rates:
    """Return what each did in each round; the first is not counted, and who begins changes."""
    rates: dict[str, list[Pace]] = {name: [] for name in teams}
    for number in range(rounds + 1):
        for name in list(teams)[:: 1 if number % 2 else -1]:
            rate = await teams[name].work(threads, steps)
            if number:
                rates[name].append(rate)
    return rates


def _cost_row(name: str, threads: int, cost: Cost) -> Row:
    return {
        "name": f"{threads} threads, {name}",
        "round trips/step": cost.round_trips,
        "commits/step": cost.commits,
    }


def _rate_rows(cell: Cell, rates: Rates) -> list[Row]:
    return [
        {
            "name": f"{cell}, {name}",
            "steps/s": round(statistics.median(pace.steps for pace in each)),
            "cpu ms/step": round(statistics.median(pace.cpu for pace in each), 2),
            "to stock's pool": _ratio(each, rates[STOCK]),
            "to memory": _ratio(each, rates[MEMORY]),
            "to commits": _ratio(each, rates[COMMITS]),
        }
        for name, each in rates.items()
    ]


def _cost_goals(costs: Costs) -> list[Goal]:
    ours = {threads: cost for (name, threads), cost in costs.items() if name == OURS}
    return [
        at_most(f"{what} a step, {threads} threads", value, MOST_A_STEP, unit="")
        for threads, cost in ours.items()
        for what, value in (("round trips", cost.round_trips), ("commits", cost.commits))
    ]


def _rate_goals(rates: Mapping[Cell, Rates]) -> list[Goal]:
    """Return the goals of one process, which is what one worker is."""
    return [
        at_least(f"{cell}, to {to}", _ratio(each[OURS], each[to]), least)
        for cell, each in rates.items()
        if cell.processes == 1
        for to, least in _least(cell)
    ]


def _least(cell: Cell) -> list[tuple[str, float]]:
    if cell.threads == 1:
        return [(STOCK, 1.0), (STOCK_ALONE, 1.0)]
    if cell.threads != MANY:
        return []
    return [(STOCK, 5.0 if cell.synchronous_commit else 2.5), (MEMORY, 0.5)]


def _ratio(rates: Sequence[Pace], to: Sequence[Pace]) -> float:
    return round(statistics.median(a.steps / b.steps for a, b in zip(rates, to, strict=True)), 2)


if __name__ == "__main__":
    main()
