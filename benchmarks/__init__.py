"""What the benchmarks share: contestants side by side, medians of ratios, goals, a table or JSON.

Contestants take turns in each round, so that a busy machine is as unfair to one as to the other. A ratio is taken
within each round, and the median of them is what counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

Contestant = Callable[[], Awaitable[object]]
Row = Mapping[str, object]
"""A contestant's `name`, and its figures."""


class Goal(TypedDict):
    """One figure that must hold."""

    name: str
    value: float
    unit: str
    goal: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every benchmark can be told."""

    quick: bool
    as_json: bool


def options(description: str, *, quick: str = "fewer rounds") -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    return Options(quick=given.quick, as_json=given.json)


async def interleaved(
    contestants: Mapping[str, Contestant], *, rounds: int, warmup: int = 3
) -> dict[str, list[float]]:
    """Return the milliseconds of each contestant in each round; who begins changes from round to round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(-warmup, rounds):
        for name in names if number % 2 else reversed(names):
            begun = time.perf_counter()
            await contestants[name]()
            if number >= 0:
                times[name].append((time.perf_counter() - begun) * 1000)
    return times


def compared(times: Mapping[str, Sequence[float]], *, to: str) -> list[Row]:
    """Return a row for each contestant: its median, and the medians of its differences and ratios to one of them."""
    base = times[to]
    return [
        {
            "name": name,
            "median ms": round(statistics.median(each), 2),
            "on top ms": round(
                statistics.median(a - b for a, b in zip(each, base, strict=True)), 2
            ),
            "ratio": round(statistics.median(a / b for a, b in zip(each, base, strict=True)), 2),
        }
        for name, each in times.items()
    ]


def below(name: str, value: float, unit: str, limit: float) -> Goal:
    """Return the goal that a figure stays below a limit."""
    return Goal(name=name, value=value, unit=unit, goal=f"< {limit:g}", met=value < limit)


def report(goals: Sequence[Goal], rows: Sequence[Row], *, as_json: bool) -> None:
    """Print what was measured, and whether it holds."""
    if as_json:
        print(json.dumps({"goals": goals, "rows": rows}))
        return
    for row in rows:
        figures = [f"{name} {value!s:>9}" for name, value in row.items() if name != "name"]
        print(f"{row['name']:44} {'   '.join(figures)}")
    print()
    for goal in goals:
        mark = "met" if goal["met"] else "MISSED"
        print(f"{goal['name']:44} {goal['value']:>9} {goal['unit']:3} {goal['goal']:7} {mark}")
