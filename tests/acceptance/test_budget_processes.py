"""Branches in several processes share one budget, and never take more than there is; also when a process is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import interlock
from interlock.core.budget import Limits
from tests.killing import ROOT

CONFIG = ROOT / "tests" / "sample" / "bounds" / "langgraph.json"
DRIVER = ROOT / "tests" / "budget_driver.py"
PATIENCE = 120
PROCESSES, BRANCHES = 4, 16
CALLS = (0, 1, 7, 33, 63, 64, 90)
"""Budgets of calls: fewer than branches, as many, and more."""

TOKENS = (0, 14, 15, 200, 500, 961, 2000)
"""Budgets of tokens. A call reserves about 60 of them, and takes 15."""

MODEL_CALLS = 7
"""Of an array of amounts, in Postgres's counting; tokens are the third."""


def spawn(url: str, folder: Path, *tenants: str, hangs: bool = False) -> subprocess.Popen[str]:
    """Start a process that spends."""
    arguments = (url, str(folder), str(BRANCHES), ",".join(tenants), "hangs" if hangs else "")
    return subprocess.Popen(
        [sys.executable, str(DRIVER), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def refused(process: subprocess.Popen[str]) -> dict[str, int]:
    """Wait for a process, and return how many calls were refused for each tenant."""
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    found: dict[str, int] = json.loads(output.splitlines()[-1])
    return found


def calls(folder: Path, tenant: str, word: str = "called") -> int:
    """How many calls were really made for a tenant, over all processes."""
    log = folder / tenant
    return log.read_text().split().count(word) if log.exists() else 0


def limited(url: str, limits: dict[str, Limits]) -> None:
    """Give each tenant its budget."""

    async def store() -> None:
        async with interlock.aopen(url, config=CONFIG) as il:
            for tenant, each in limits.items():
                await il.aset_budget("tenant", tenant, each)

    asyncio.run(store())


def amounts(url: str, tenant: str, unit: int) -> tuple[int, int]:
    """What is spent and held of a tenant's budget."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select spent[%(u)s], held[%(u)s] from interlock.budgets where kind = 'tenant' and name = %(n)s",
            {"u": unit, "n": tenant},
        ).fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


@contextmanager
def watched(url: str) -> Iterator[list[str]]:
    """Look all the while for a budget that is overdrawn, by what is spent and held together."""
    faults: list[str] = []
    ended = threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.wait(0.002):
                faults.extend(str(row) for row in connection.execute(OVERDRAWN).fetchall())

    watcher = threading.Thread(target=look)
    watcher.start()
    yield faults
    ended.set()
    watcher.join()


OVERDRAWN = """
select name, limits, spent, held from interlock.budgets
where kind = 'tenant' and (spent[3] + held[3] > limits[3] or spent[7] + held[7] > limits[7])
"""


@pytest.mark.timeout(300)
def test_branches_of_four_processes_share_each_budget(database_url: str, tmp_path: Path) -> None:
    """64 branches want a call each: exactly as many are made as there are, and no token more."""
    by_calls = {f"calls{each}": Limits(model_calls=each) for each in CALLS}
    by_tokens = {f"tokens{each}": Limits(tokens=each) for each in TOKENS}
    limited(database_url, by_calls | by_tokens)
    with watched(database_url) as faults:
        working = [spawn(database_url, tmp_path, *by_calls, *by_tokens) for _ in range(PROCESSES)]
        told = [refused(each) for each in working]

    assert faults == []
    wanted = PROCESSES * BRANCHES
    for limit in CALLS:
        tenant, made = f"calls{limit}", min(limit, wanted)
        assert calls(tmp_path, tenant) == made
        assert amounts(database_url, tenant, MODEL_CALLS) == (made, 0)
        assert sum(each[tenant] for each in told) == wanted - made
    for limit in TOKENS:
        spent, held = amounts(database_url, f"tokens{limit}", 3)
        assert (spent, held) == (15 * calls(tmp_path, f"tokens{limit}"), 0)
        assert spent <= limit


@pytest.mark.timeout(300)
@pytest.mark.parametrize("limit", [16, 40])
def test_what_a_killed_process_held_comes_back(
    database_url: str, tmp_path: Path, limit: int
) -> None:
    """Killed with all its calls under way: until then nobody gets what it holds, and afterwards others do."""
    limited(database_url, {"acme": Limits(model_calls=limit)})
    with watched(database_url) as faults:
        victim = spawn(database_url, tmp_path, "acme", hangs=True)
        deadline = time.monotonic() + PATIENCE
        while calls(tmp_path, "acme", "holds") < BRANCHES:
            assert victim.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        others = [spawn(database_url, tmp_path, "acme") for _ in range(PROCESSES - 1)]
        before = sum(refused(each)["acme"] for each in others)
        beside = calls(tmp_path, "acme")
        victim.send_signal(signal.SIGKILL)
        victim.communicate(timeout=PATIENCE)
        last = refused(spawn(database_url, tmp_path, "acme"))

    assert faults == []
    assert beside == limit - BRANCHES
    assert before == (PROCESSES - 1) * BRANCHES - beside
    assert last == {"acme": 0}
    assert calls(tmp_path, "acme") == limit
    assert amounts(database_url, "acme", MODEL_CALLS) == (limit, 0)
