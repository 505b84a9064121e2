"""Several processes share one limit, and never make more calls than it allows; also when one of them is killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from itertools import combinations
from typing import Any

import pytest

from interlock.core.rates import Ask, Bound, Rate
from interlock.postgres.aside import Aside
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import open_pool
from interlock.postgres.rates import PostgresRates
from tests.killing import ROOT

DRIVER = ROOT / "tests" / "rates_driver.py"
PROCESSES = 3
SECONDS = 6.0
START = 6.0
LATE = 0.75
"""Seconds by which a process may come to know later than the database when it was let through."""

NAME = "provider:openai"


def spawn(url: str, limits: dict[str, Any], tokens: int, until: float) -> subprocess.Popen[str]:
    """Start a process that makes calls."""
    return subprocess.Popen(
        [sys.executable, str(DRIVER), url, json.dumps(limits), str(tokens), str(until)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def seen(url: str, limits: dict[str, Any], tokens: int = 0) -> list[float]:
    """When the calls of all processes together were let through."""
    until = time.time() + START + SECONDS
    processes = [spawn(url, limits, tokens, until) for _ in range(PROCESSES)]
    told = [each.communicate(timeout=120)[0] for each in processes]
    assert [each.returncode for each in processes] == [0] * PROCESSES
    return sorted(each for lines in told for each in json.loads(lines.splitlines()[-1]))


def most_beyond(times: list[float], per_second: float) -> float:
    """By how many calls the most crowded stretch of time has more than its share."""
    marks = [*times[:: max(1, len(times) // 150)], times[-1]]
    return max(
        sum(first <= each <= last for each in times) - per_second * (last - first + LATE)
        for first, last in combinations(marks, 2)
    )


@pytest.mark.parametrize(("burst", "used"), [(0.0, 0.5), (1.0, 0.9)])
def test_no_stretch_of_time_has_more_calls_than_the_limit_and_its_burst(
    database_url: str, burst: float, used: float
) -> None:
    """60 a second, by 24 callers in three processes; with a burst nothing is lost where callers wake late."""
    times = seen(database_url, {NAME: {"requests": 3600, "burst": burst}})
    lasted = times[-1] - times[0]

    assert most_beyond(times, 60) <= 60 * burst + 1
    assert len(times) >= used * 60 * lasted


def test_no_stretch_of_time_has_more_tokens_than_the_limit(database_url: str) -> None:
    """Each call takes 100 of 3,000 a second."""
    limits = {NAME: {"tokens": 180_000, "burst": 0.0}, "tenant:acme": {"requests": 36_000}}
    times = seen(database_url, limits, tokens=100)

    assert most_beyond(times, 30) <= 1
    assert len(times) >= 0.5 * 30 * (times[-1] - times[0])


async def test_the_slot_of_a_process_that_was_killed_comes_back(database_url: str) -> None:
    """Its lock falls with it; whoever looks next takes the slot."""
    holder = spawn(database_url, {NAME: {"concurrent": 1}}, 0, 0.0)
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        ask = Ask(key="k", bounds=(Bound(name=NAME, rate=Rate(concurrent=1)),))
        locks, aside = ThreadLocks(database_url), Aside(database_url)
        async with open_pool(database_url) as pool:
            rates = PostgresRates(pool, aside, locks)
            held = await rates.take(ask)
            holder.kill()
            holder.wait()
            async with asyncio.timeout(20):
                while (await rates.take(ask)).verdict != "go":  # noqa: ASYNC110  # another process dies
                    await asyncio.sleep(0.05)
        await locks.close()
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()

    assert (held.verdict, held.why) == ("wait", "concurrent")
