"""What a budget adds to a model call: the reservation before it and the settlement after it.

    python -m benchmarks.budget [--quick] [--json]

The model answers at once, so that all that is measured is LangChain's and ours. Its prompt is 8 kB of prose, another
one each time, so that it is counted each time. It is called bare, with a budget in memory, and with budgets in
Postgres: of a run and a thread of its own, and of a graph and a tenant that all share, so that all wait for the same
two rows. Beside them one plain row is inserted and committed, with the same pool. All take turns; 1, 8 or 32 tasks of
one process do that at once, on a pool of eight connections.
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

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from benchmarks import Contestant, Row, below, interleaved, options, report
from interlock.core.allowance import Allowance
from interlock.core.budget import Budgets, Limits, Scope, ScopeKind
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.metering import Meter
from interlock.postgres import embedded
from interlock.postgres.aside import Aside
from interlock.postgres.budgets import PostgresBudgets
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.migrations import migrate
from interlock.postgres.pool import Pool, connected, fetch, open_pool

AT_ONCE = (1, 8, 32)
GOAL = 3.0
"""At one call, how many plain inserts its budget in Postgres may take at most, counting included."""

BARE, PLAIN = "bare call", "plain insert and commit"
MEMORY, POSTGRES = "budget in memory", "budgets in Postgres"

PROMPT = (
    "The keeper of the northern light counts the ships that pass at dusk, and writes them down. "
    * 90
)
LIMITS = Limits(usd=1e6, tokens=10**12, model_calls=10**9)

TABLE = "create table plain (key text primary key, text text not null, at timestamptz not null default now())"
INSERT = "insert into plain (key, text) values (%(key)s, %(text)s)"

Times = Mapping[str, Sequence[float]]


class Instant(BaseChatModel):
    """Answers at once."""

    max_tokens: int = 500

    @property
    def _llm_type(self) -> str:
        return "instant"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"max_tokens": self.max_tokens}

    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> Any:  # LangChain's hook
        return {"ls_provider": "openai", "ls_model_name": "gpt-4o"}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        usage = UsageMetadata(input_tokens=1700, output_tokens=40, total_tokens=1740)
        message = AIMessage("It is noted.", usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        return self._generate(messages)


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0])
    with _folder() as folder, embedded.start(folder / "budget") as server:
        rows = asyncio.run(_all(server.url, rounds=100 if given.quick else 1000))
    named = {str(row["name"]): row for row in rows}
    ratio = float(str(named[f"{POSTGRES}, 1 at once"]["in inserts"]))
    goal = below("budgets in Postgres, in plain inserts, 1 at once", ratio, "x", GOAL)
    report([goal], rows, as_json=given.as_json)


async def _all(url: str, *, rounds: int) -> list[Row]:
    await migrate(url)
    async with open_pool(url) as pool:
        async with connected(pool) as connection:
            await fetch(connection, TABLE, {})
        locks, aside = ThreadLocks(url), Aside(url)
        budgets = PostgresBudgets(pool, aside, locks)
        try:
            measured = [
                (tasks, await _side_by_side(pool, budgets, tasks, rounds // tasks + 10))
                for tasks in AT_ONCE
            ]
        finally:
            await locks.close()
            await aside.close()
    return [row for tasks, times in measured for row in _rows(times, tasks)]


async def _side_by_side(pool: Pool, budgets: Budgets, tasks: int, rounds: int) -> Times:
    """Let that many tasks measure at the same time, and put their times together."""
    memory = MemoryBudgets()
    contestants = (_contestants(pool, memory, budgets) for _ in range(tasks))
    found = await asyncio.gather(*(interleaved(each, rounds=rounds) for each in contestants))
    return {name: [time for each in found for time in each[name]] for name in found[0]}


def _contestants(pool: Pool, memory: Budgets, durable: Budgets) -> dict[str, Contestant]:
    model, numbers = Instant(), count()
    in_memory, in_postgres = _meter(memory).handlers(), _meter(durable).handlers()

    def messages() -> list[BaseMessage]:
        return [HumanMessage(f"{next(numbers)} {PROMPT}")]

    async def bare() -> object:
        return await model.ainvoke(messages())

    async def plain() -> object:
        values = {"key": uuid4().hex, "text": "It is noted."}
        async with connected(pool) as connection:
            return await fetch(connection, INSERT, values)

    async def with_memory() -> object:
        return await model.ainvoke(messages(), {"callbacks": in_memory})

    async def with_postgres() -> object:
        return await model.ainvoke(messages(), {"callbacks": in_postgres})

    return {BARE: bare, PLAIN: plain, MEMORY: with_memory, POSTGRES: with_postgres}


def _meter(budgets: Budgets) -> Meter:
    own = uuid4().hex
    names: dict[ScopeKind, str] = {"run": own, "thread": own, "graph": "all", "tenant": "all"}
    scopes = tuple(Scope(kind=kind, name=name, ceiling=LIMITS) for kind, name in names.items())
    return Meter(allowance=Allowance(budgets=budgets, scopes=scopes))


def _rows(times: Times, tasks: int) -> Iterator[Row]:
    for name, each in times.items():
        added = [a - b for a, b in zip(each, times[BARE], strict=True)]
        ratios = [a / b for a, b in zip(added, times[PLAIN], strict=True)]
        yield {
            "name": f"{name}, {tasks} at once",
            "p50 ms": round(statistics.median(each), 2),
            "p95 ms": round(statistics.quantiles(each, n=20)[18], 2),
            "on top ms": round(statistics.median(added), 2),
            "in inserts": round(statistics.median(ratios), 2),
        }


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)  # the server's own account passes through
        yield folder


if __name__ == "__main__":
    main()
