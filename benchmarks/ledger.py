"""What one recorded action costs: over a bare call, and beside one plain insert-and-commit on the same server.

    python -m benchmarks.ledger [--quick] [--json]

The action does nothing but return, so that all of its time is Interlock's: arguments are validated, the policy decides,
the intention is committed, the function is called, and its result is committed. That is two commits at least. The plain
contestant commits one row of the same content, with the same pool and the same code around it. Both run inside a node
of a graph, in turns, with the thread's lock held as the runtime holds it; 1, 8 or 32 threads run side by side as tasks
of one process, on a pool of eight connections.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from benchmarks import Contestant, Row, below, compared, interleaved, options, report
from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context, Ports
from interlock.core.policy import BUILT_IN, FixedPolicy, Policy
from interlock.postgres import embedded
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.migrations import migrate
from interlock.postgres.plain import jsonb
from interlock.postgres.pool import Pool, connected, fetch, open_pool

THREADS = (1, 8, 32)
GOAL = 3.0
"""At one thread, how many plain inserts one action may take at most."""

BARE, PLAIN, ACTION = "bare call", "plain insert and commit", "recorded action"
FINAL = "the same, not to be undone"
"""It is also looked for what an earlier attempt at the step, or another branch of the thread, did."""

TABLE = """
create table plain (
    key text primary key, thread_id text not null, action text not null, arguments jsonb not null,
    verdict jsonb not null, intended_at timestamptz not null default now()
)
"""
INSERT = """
insert into plain (key, thread_id, action, arguments, verdict)
values (%(key)s, %(thread_id)s, %(action)s, %(arguments)s, %(verdict)s)
"""

ALLOWS = Policy(name="benchmark", rules=(), otherwise=BUILT_IN.otherwise)

Times = Mapping[str, Sequence[float]]


class Nothing(TypedDict, total=False):
    """The state of a graph that only measures."""

    thread: str


@action(name="benchmark_pay", touches="nothing", reversible=True)
async def pay(order: str, amount: float) -> str:
    """Do nothing, and say so."""
    return f"{order}: {amount:.2f}"


@action(name="benchmark_final", touches="nothing")
async def final(order: str, amount: float) -> str:
    """Do nothing, and nobody can undo it."""
    return f"{order}: {amount:.2f}"


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0])
    with _folder() as folder, embedded.start(folder / "ledger") as server:
        rows = asyncio.run(_all(server.url, rounds=100 if given.quick else 1000))
    goals = [
        below(f"{said}, in plain inserts, 1 thread", float(str(row["ratio"])), "x", GOAL)
        for name, said in ((ACTION, "a recorded action"), (FINAL, "one that cannot be undone"))
        for row in rows
        if row["name"] == f"{name}, 1 thread"
    ]
    report(goals, rows, as_json=given.as_json)


async def _all(url: str, *, rounds: int) -> list[Row]:
    await migrate(url)
    async with open_pool(url) as pool:
        async with connected(pool) as connection:
            await fetch(connection, TABLE, {})
        locks = ThreadLocks(url)
        try:
            measured = [
                (threads, await _side_by_side(pool, locks, threads, rounds // threads + 10))
                for threads in THREADS
            ]
        finally:
            await locks.close()
    return [row for threads, times in measured for row in _rows(times, threads)]


async def _side_by_side(pool: Pool, locks: ThreadLocks, threads: int, rounds: int) -> Times:
    """Let that many threads measure at the same time, and put their times together."""
    found = await asyncio.gather(*(_thread(pool, locks, rounds) for _ in range(threads)))
    return {name: [time for each in found for time in each[name]] for name in found[0]}


async def _thread(pool: Pool, locks: ThreadLocks, rounds: int) -> Times:
    """Measure inside a node of a graph, on a thread of its own."""
    times: dict[str, list[float]] = {}

    async def measure(state: Nothing, runtime: Runtime[Context]) -> Nothing:
        contestants = _contestants(pool, runtime, state["thread"])
        times.update(await interleaved(contestants, rounds=rounds))
        return {}

    builder = StateGraph(Nothing, Context)
    builder.add_node("measure", measure)
    builder.add_edge(START, "measure")
    ledger, allows = PostgresLedger(pool, locks), FixedPolicy(ALLOWS)
    ports, name = Ports(ledger=ledger, policy=allows), uuid4().hex
    async with locks.hold(name):
        await builder.compile().ainvoke(
            {"thread": name}, {"configurable": {"thread_id": name}}, context=Context(ports=ports)
        )
    return times


def _contestants(pool: Pool, runtime: Runtime[Context], thread: str) -> dict[str, Contestant]:
    numbers = count()
    verdict = {"ruling": "allow", "rule": "otherwise", "reason": "It can be undone.", "policy": ""}

    def arguments() -> dict[str, Any]:
        return {"order": f"order {next(numbers)}", "amount": 12.5}

    async def bare() -> object:
        return await pay.function(**arguments())

    async def plain() -> object:
        values = {
            "key": uuid4().hex,
            "thread_id": thread,
            "action": pay.name,
            "arguments": jsonb(arguments()),
            "verdict": jsonb(verdict),
        }
        async with connected(pool) as connection:
            return await fetch(connection, INSERT, values)

    async def recorded() -> object:
        return await act(runtime, pay, **arguments())

    async def irreversible() -> object:
        return await act(runtime, final, **arguments())

    return {BARE: bare, PLAIN: plain, ACTION: recorded, FINAL: irreversible}


def _rows(times: Times, threads: int) -> Iterator[Row]:
    said = f"{threads} thread{'s' if threads > 1 else ''}"
    for row in compared(times, to=PLAIN):
        each = times[str(row["name"])]
        yield {
            "name": f"{row['name']}, {said}",
            "p50 ms": round(statistics.median(each), 3),
            "p95 ms": round(statistics.quantiles(each, n=20)[18], 3),
            "ratio": row["ratio"],
        }


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)  # the server's own account passes through
        yield folder


if __name__ == "__main__":
    main()
