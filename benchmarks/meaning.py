"""Search by meaning among 1,000, 10,000 and 100,000 items of 384 numbers, beside LangGraph's own stores.

    python -m benchmarks.meaning [--quick] [--json]

Vectors are made up: each text's is its own, at random, so that no model is measured. Items lie in ten
namespaces, and a seventh of them fits the filter; ten are asked for. `found` is how many of those that the
store in memory finds are found (median). `AsyncPostgresStore` is measured with the index that its `setup()`
makes. Among 100,000 it is ours alone.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from langgraph.store.base import BaseStore, IndexConfig, PutOp
from langgraph.store.memory import InMemoryStore
from langgraph.store.postgres import AsyncPostgresStore

from benchmarks import Goal, Row, below, options, report
from benchmarks.savers.databases import database, folder
from interlock.langgraph_json import StoreIndex, StoreSection
from interlock.postgres import embedded
from interlock.postgres.encryption import KeyRing
from interlock.postgres.items import Items
from interlock.postgres.migrations import migrate
from interlock.postgres.pool import open_pool

DIMS = 384
SIZES, LARGE = (1_000, 10_000), 100_000
ROUNDS, QUICK_ROUNDS = 15, 5
WANTED = 10
AT_ONCE = 500

GOAL_MS = 100.0
"""Of a search among 10,000: a provider takes at least that long to make the vector of what is asked."""

OURS, SEALED = "ours", "ours, encrypted"
MEMORY, LANGGRAPH = "InMemoryStore", "AsyncPostgresStore"

Asked = Mapping[str, Any]  # what a search is given beside its query
KINDS: Mapping[str, tuple[tuple[str, ...], Asked]] = {
    "all": (("notes",), {}),
    "namespace": (("notes", "3"), {}),
    "filter": (("notes",), {"filter": {"kind": 3}}),
    "both": (("notes", "3"), {"filter": {"kind": 3}}),
}

Place = tuple[tuple[str, ...], str]
Times = dict[tuple[str, str], list[float]]
Shares = dict[tuple[str, str], list[int]]


async def main() -> None:
    """Run the benchmark and print a table, or JSON."""
    given = options((__doc__ or "").splitlines()[0], quick="1,000 items, and fewer searches")
    rows: list[Row] = []
    with folder() as place, embedded.start(place / "server") as server:
        for size in SIZES[:1] if given.quick else (*SIZES, LARGE):
            rows += await measured(server.url, size, QUICK_ROUNDS if given.quick else ROUNDS)
    report(goals_of(rows), rows, as_json=given.as_json)


async def measured(server: str, size: int, rounds: int) -> list[Row]:
    """Let each store search the same items, in turns."""
    async with AsyncExitStack() as stack:
        stores = {
            name: await stack.enter_async_context(opening)
            for name, opening in _openings(server, alone=size > max(SIZES))
        }
        for store in stores.values():
            await _fill(store, size)
        times, shares = await _searched(stores, rounds)
    return [_row(size, kind, name, times, shares) for kind in KINDS for name in stores]


def goals_of(rows: Sequence[Row]) -> list[Goal]:
    """Hold our search among the most items that contestants share to the goal, whatever is asked."""
    size = max(int(str(row["items"])) for row in rows if row["store"] != OURS)
    return [
        below(f"{row['name']}", float(str(row["median ms"])), "ms", GOAL_MS)
        for row in rows
        if row["store"] == OURS and row["items"] == size
    ]


def vector(text: str) -> list[float]:
    """Return the vector of a text: at random, and always the same."""
    seeded = random.Random(text)
    return [seeded.random() - 0.5 for _ in range(DIMS)]


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Make vectors of texts."""
    return [vector(text) for text in texts]


def _openings(server: str, *, alone: bool) -> Iterator[tuple[str, Any]]:  # managers of stores
    yield OURS, _ours(server, None)
    if alone:
        return
    yield SEALED, _ours(server, KeyRing((b"k" * 32,)))
    yield LANGGRAPH, _langgraphs(server)
    yield MEMORY, _memory()


@asynccontextmanager
async def _ours(server: str, ring: KeyRing | None) -> AsyncIterator[BaseStore]:
    section = StoreSection(index=StoreIndex(dims=DIMS, embed="embed", fields=("text",)))
    async with database(server) as url:
        await migrate(url)
        async with open_pool(url) as pool:
            yield Items(pool, section, lambda _: embed, ring).of("acme")


@asynccontextmanager
async def _langgraphs(server: str) -> AsyncIterator[BaseStore]:
    async with (
        database(server) as url,
        AsyncPostgresStore.from_conn_string(url, index=_index()) as store,  # type: ignore[arg-type]  # its own kind of index
    ):
        await store.setup()
        yield store


@asynccontextmanager
async def _memory() -> AsyncIterator[BaseStore]:
    yield InMemoryStore(index=_index())


def _index() -> IndexConfig:
    return {"dims": DIMS, "embed": embed, "fields": ["text"]}


async def _fill(store: BaseStore, size: int) -> None:
    for begin in range(0, size, AT_ONCE):
        await store.abatch(
            PutOp(("notes", str(n % 10)), str(n), {"text": f"note {n}", "kind": n % 7})
            for n in range(begin, begin + AT_ONCE)
        )


async def _searched(stores: Mapping[str, BaseStore], rounds: int) -> tuple[Times, Shares]:
    times: Times = {(kind, name): [] for kind in KINDS for name in stores}
    shares: Shares = {each: [] for each in times}
    names = list(stores)
    for number in range(-2, rounds):
        for kind in KINDS:
            found: dict[str, set[Place]] = {}
            for name in names if number % 2 else reversed(names):
                found[name], taken = await _search(stores[name], kind, f"question {number}")
                if number >= 0:
                    times[kind, name].append(taken)
            if number >= 0:
                for name in names:
                    nearest = found.get(MEMORY, found[name])
                    shares[kind, name].append(len(found[name] & nearest))
    return times, shares


async def _search(store: BaseStore, kind: str, query: str) -> tuple[set[Place], float]:
    namespace, asked = KINDS[kind]
    begun = time.perf_counter()
    found = await store.asearch(namespace, query=query, limit=WANTED, **asked)
    taken = (time.perf_counter() - begun) * 1000
    return {(item.namespace, item.key) for item in found}, taken


def _row(size: int, kind: str, name: str, times: Times, shares: Shares) -> Row:
    mine = times[kind, name]
    base = times.get((kind, MEMORY), mine)
    return {
        "name": f"{size:,} items, {kind}: {name}",
        "store": name,
        "items": size,
        "median ms": round(statistics.median(mine), 1),
        "of memory's": round(statistics.median(a / b for a, b in zip(mine, base, strict=True)), 2),
        "found": round(statistics.median(shares[kind, name])),
    }


if __name__ == "__main__":
    asyncio.run(main())
