"""Runs that are waited for over HTTP: how many a second, how long each takes, what they cost; the first token; streams.

    python -m benchmarks.server [--quick] [--json]

Contestants serve one graph of three nodes without a model, and one of a single node: Interlock with its workers in the
server's process, in two such processes on one port, and with them in a process of its own; LangGraph's own server for
development, which keeps all in memory; and Aegra, if BENCHMARK_AEGRA names a virtual environment that has `aegra-api`
(and `greenlet`). Each but LangGraph's has an embedded Postgres of its own with `fsync` on, and is told to work on 16
runs at once where it can be told. The official client asks from a process of its own, each of its clients for one run
after the other: `runs.wait` on a thread that each client keeps, or without a thread. Each is warmed up before. They
take turns, so many runs or seconds each, which comes first; a ratio is taken within each round, and the median of the
rounds counts. Goals are of three nodes.

CPU is that of a server's processes and of its Postgres, without the client's, and with what is done about runs after
they were answered: the threads of runs without one are removed before the next takes its turn. A client takes CPU of
the same cores as the server, which is told beside; `nothing` answers it at once and does nothing. Two more run the
graph in the request and do nothing else, with LangGraph's saver in memory or on Postgres: the first is the ceiling.
The first token is that of a model that streams words at once, on a thread that is kept. Streams are of one run that
does nothing: bytes are what the processes hold alone, before and after they are opened.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import Goal, Row, below, options, report
from benchmarks.queueing.latencies import Spread
from benchmarks.savers.databases import folder
from benchmarks.savers.goals import at_least, at_most
from benchmarks.serving.client import Kind
from benchmarks.serving.contestants import (
    AEGRAS,
    APART,
    LANGGRAPH,
    NOTHING,
    OURS,
    PROCESSES,
    bare,
    contestants,
    missing,
)
from benchmarks.serving.rounds import Pace, Team, team

RUNS_A_SECOND = 300
MS_AT_ONE = 15
CPU_MS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Attributes:
        clients: numbers of clients that wait for runs of three nodes on threads that they keep.
        runs: how many all of them ask for together in a round.
        seconds: after which no further one is begun.
        warm: the seconds for which each is warmed up before all, and a fourth of them before each cell.
    """

    clients: Sequence[int]
    runs: int
    seconds: float
    warm: float
    rounds: int
    tokens: int
    streams: int


FULL = Plan(clients=(1, 16, 64), runs=2000, seconds=6, warm=8, rounds=5, tokens=20, streams=1000)
QUICK = Plan(clients=(1, 16, 64), runs=600, seconds=2.5, warm=3, rounds=1, tokens=5, streams=100)

ABOUT: Mapping[Kind, str] = {"threads": "", "one": ", one node", "stateless": ", no thread"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Under which conditions the contestants met, and what each did in each round."""

    kind: Kind
    clients: int
    paces: Mapping[str, Sequence[Pace]]

    def __str__(self) -> str:
        """Say it as it stands in a row."""
        return f"{self.clients} clients{ABOUT[self.kind]}"

    def median(self, name: str, figure: str) -> float:
        """Return the median of a contestant's figure."""
        figures: list[float] = [getattr(each, figure) for each in self.paces[name]]
        return round(statistics.median(figures), 2)

    def ratio(self, name: str, to: str) -> float:
        """Return how many runs a second one did, to those of another."""
        pairs = zip(self.paces[name], self.paces[to], strict=True)
        return round(statistics.median(a.runs / b.runs for a, b in pairs), 2)

    def spread(self, name: str) -> Spread:
        """Return how long the runs of a contestant took."""
        return Spread.of([seconds for pace in self.paces[name] for seconds in pace.each])


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0], quick="fewer runs, rounds and streams")
    for sentence in missing():
        print(sentence, file=sys.stderr)
    with folder() as made:
        goals, rows = asyncio.run(_all(made, QUICK if given.quick else FULL))
    report(goals, rows, as_json=given.as_json)


async def _all(made: Path, plan: Plan) -> tuple[list[Goal], list[Row]]:
    async with AsyncExitStack() as stack:
        teams = {
            name: await stack.enter_async_context(team(start, made / f"server-{number}"))
            for number, (name, start) in enumerate(contestants().items())
        }
        for each in teams.values():
            await each.pace("threads", 16, plan.runs, plan.warm)
        cells = await _cells(teams, plan)
        rows = [_row(cell, name) for cell in cells for name in cell.paces]
        rows += await _bare(made, plan)
        rows += await _first_tokens(teams, plan)
        rows += await _memory(teams, plan)
    return [goal for cell in cells for goal in _goals(cell)], rows


async def _cells(teams: Mapping[str, Team], plan: Plan) -> list[Cell]:
    stateless = {name: each for name, each in teams.items() if name != AEGRAS}  # it has none
    return [
        *[await _cell(teams, "threads", clients, plan) for clients in plan.clients],
        await _cell(teams, "one", 16, plan),
        await _cell(stateless, "stateless", 16, plan),
    ]


async def _cell(teams: Mapping[str, Team], kind: Kind, clients: int, plan: Plan) -> Cell:
    """Let each work in each round; a first and short one is not counted, and who begins changes."""
    paces: dict[str, list[Pace]] = {name: [] for name in teams}
    runs = -(-plan.runs // clients)
    for number in range(plan.rounds + 1):
        seconds = plan.seconds if number else plan.warm / 4
        for name in list(teams)[:: 1 if number % 2 else -1]:
            pace = await teams[name].pace(kind, clients, runs, seconds)
            if number:
                paces[name].append(pace)
    return Cell(kind=kind, clients=clients, paces=paces)


async def _bare(made: Path, plan: Plan) -> list[Row]:
    """Measure what others are held against; among themselves they take turns, too."""
    async with AsyncExitStack() as stack:
        teams = {
            name: await stack.enter_async_context(team(start, made / f"bare-{number}"))
            for number, (name, start) in enumerate(bare().items())
        }
        cells = [await _cell(teams, "threads", each, plan) for each in plan.clients]
        working = {name: each for name, each in teams.items() if name != NOTHING}
        cells.append(await _cell(working, "one", 16, plan))
        return [_row(cell, name) for cell in cells for name in cell.paces]


def _row(cell: Cell, name: str) -> Row:
    spread = cell.spread(name)
    return {
        "name": f"{cell}, {name}",
        "runs/s": round(cell.median(name, "runs")),
        f"to {LANGGRAPH}": cell.ratio(name, LANGGRAPH) if LANGGRAPH in cell.paces else "",
        "p50 ms": spread.median,
        "p95 ms": spread.p95,
        "server ms/run": cell.median(name, "server"),
        "database ms/run": cell.median(name, "database"),
        "client ms/run": cell.median(name, "client"),
    }


async def _first_tokens(teams: Mapping[str, Team], plan: Plan) -> list[Row]:
    found: dict[str, list[float]] = {name: [] for name in teams}
    for number in range(plan.rounds + 1):
        for name in list(teams)[:: 1 if number % 2 else -1]:
            seconds = await teams[name].first_tokens(plan.tokens if number else 2)
            found[name] += seconds if number else ()
    rows: list[Row] = []
    for name, each in found.items():
        spread = Spread.of(each)
        row = {"name": f"first token, {name}", "p50 ms": spread.median, "p95 ms": spread.p95}
        rows.append(row)
    return rows


async def _memory(teams: Mapping[str, Team], plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for name, each in teams.items():
        grown = await each.grown(plan.streams)
        rows.append(
            {
                "name": f"idle streams, {name}",
                "opened": grown.streams,
                "bytes/stream": round(grown.server),
                "of its database": round(grown.database),
            }
        )
    return rows


def _goals(cell: Cell) -> list[Goal]:
    if cell.kind == "one":
        return []
    return [goal for name in (OURS, PROCESSES, APART) for goal in _goals_of(cell, name)]


def _goals_of(cell: Cell, name: str) -> list[Goal]:
    about = f"{cell}, {name}"
    if cell.clients == 1:
        return [below(f"{about}, p50", cell.spread(name).median, "ms", MS_AT_ONE)]
    if cell.clients != 16:
        return []
    cpu = round(cell.median(name, "cpu"), 2)
    return [
        at_least(f"{about}", cell.median(name, "runs"), RUNS_A_SECOND, unit="/s"),
        at_most(f"{about}, CPU of a run", cpu, CPU_MS, unit="ms"),
    ]


if __name__ == "__main__":
    main()
