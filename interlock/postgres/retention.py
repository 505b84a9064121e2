"""The rows of a thread's checkpoints while it is folded: held still, read, sewn together, taken away."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, LiteralString

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.retention import Key, Seam, Stand
from interlock.errors import ThreadBusy
from interlock.postgres import blobs, locks
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("retention")
VALUES_AT_ONCE = 2_000
_PULLED = re.compile(r"~__pregel_pull, (.+)")
_SENT = re.compile(r"~__pregel_push, (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that ran from a checkpoint.

    Attributes:
        node: its node; empty where only the order says who it was for.
        sent: which of the things that were sent to nodes it was made for; None for any other task.
    """

    id: str
    node: str = ""
    sent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What was folded into a checkpoint.

    Attributes:
        steps: how many.
        nodes: how often each node ran in them.
        last: the nodes that ran right before the checkpoint.
    """

    steps: int = 0
    nodes: Mapping[str, int] = field(default_factory=dict)
    last: Sequence[str] = ()

    def __add__(self, other: Folded) -> Folded:
        names = [*self.nodes, *(each for each in other.nodes if each not in self.nodes)]
        nodes = {name: self.nodes.get(name, 0) + other.nodes.get(name, 0) for name in names}
        return Folded(steps=self.steps + other.steps, nodes=nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many checkpoints a thread has, and the bytes of all that is stored for them."""

    checkpoints: int
    bytes: int


class Still:
    """A thread that nobody runs, forks or folds while this is open; everything is one transaction."""

    def __init__(self, connection: Connection, thread_id: str) -> None:
        self._connection = connection
        self._thread_id = thread_id

    async def stands(self) -> list[Stand]:
        """Return where the checkpoints stand."""
        return [Stand(**row) for row in await self._fetch(SQL["stands"])]

    async def pins(self, *, calls: bool) -> dict[Key, str]:
        """Return the checkpoints that something points to; `calls` counts recorded model calls as something."""
        rows = await self._fetch(SQL["pins"], calls=calls)
        return {_key(row): row["reason"] for row in rows}

    async def tasks(self) -> dict[Key, list[Task]]:
        """Return the tasks that ran from each checkpoint."""
        found: dict[Key, list[Task]] = defaultdict(list)
        for row in await self._fetch(SQL["tasks"]):
            found[_key(row)].append(_task(row["task_id"], row["task_path"]))
        return found

    async def deltas(self) -> set[str]:
        """Return the namespaces where values are rebuilt from what was written before."""
        return {row["namespace"] for row in await self._fetch(SQL["deltas"])}

    async def folded_before(self) -> dict[Key, Folded]:
        """Return what had been folded into checkpoints earlier."""
        rows = await self._fetch(SQL["folded_before"])
        return {_key(row): Folded(**row["folded"]) for row in rows}

    async def sew(self, seam: Seam, folded: Folded) -> None:
        """Make a kept checkpoint the next one after another kept one."""
        namespace, checkpoint_id = seam.key
        place = {"namespace": namespace, "checkpoint_id": checkpoint_id}
        note = {"folded": asdict(folded)}
        await self._execute(SQL["keep_tasks"], **place, takes=list(seam.takes))
        await self._execute(
            SQL["sew"],
            **place,
            parent_id=seam.parent_id,
            parents=Jsonb(dict(seam.parents)),
            folded=Jsonb(note if folded.steps else {}),
        )

    async def fold(self, keys: Sequence[Key]) -> None:
        """Take checkpoints away, with what their tasks wrote and values that no other has."""
        await self._execute(SQL["fold"], **_columns(keys))
        while await self._execute(SQL["drop_values"], limit=VALUES_AT_ONCE) == VALUES_AT_ONCE:
            pass
        await execute(self._connection, blobs.SQL["doubt_names"], {"thread_id": self._thread_id})

    async def count(self) -> None:
        """Note that something was folded: who reads the thread meanwhile reads again."""
        await self._execute(SQL["count_folding"])

    async def size(self) -> Size:
        """Return how much is stored."""
        return Size(**(await self._fetch(SQL["thread_size"]))[0])

    async def size_of(self, keys: Sequence[Key]) -> int:
        """Return the bytes of some checkpoints' rows, and of what their tasks wrote."""
        return int((await self._fetch(SQL["rows_size"], **_columns(keys)))[0]["bytes"])

    async def _fetch(self, statement: LiteralString, **values: Any) -> list[DictRow]:  # SQL
        return await fetch(self._connection, statement, values | {"thread_id": self._thread_id})

    async def _execute(self, statement: LiteralString, **values: Any) -> int:  # SQL
        return await execute(self._connection, statement, values | {"thread_id": self._thread_id})


@asynccontextmanager
async def held_still(pool: Pool, thread_id: str) -> AsyncIterator[Still]:
    """Hold a thread for one batch; raises `ThreadBusy` when a run holds it. A run that begins meanwhile waits."""
    async with connected(pool) as connection, connection.transaction():
        if not await locks.try_fold(connection, thread_id):
            raise ThreadBusy(
                f"Thread {thread_id} is being run.", hint="It can be pruned when its run has ended."
            )
        yield Still(connection, thread_id)


class RetentionStore:
    """What is read without holding a thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def threads(self, after: str, limit: int) -> list[str]:
        """Return the next threads that have checkpoints, in order of their ids."""
        rows = await self._fetch(SQL["prunable_threads"], after=after, limit=limit)
        return [row["thread_id"] for row in rows]

    async def tables(self) -> list[DictRow]:
        """Return what the tables take, by purpose."""
        return await self._fetch(SQL["tables"])

    async def counts(self) -> DictRow:
        """Return how much of it there is."""
        return (await self._fetch(SQL["counts"]))[0]

    async def _fetch(self, statement: LiteralString, **values: Any) -> list[DictRow]:  # SQL
        async with connected(self._pool) as connection:
            return await fetch(connection, statement, values)


def _key(row: Mapping[str, Any]) -> Key:  # an SQL row
    return row["namespace"], row["checkpoint_id"]


def _task(task_id: str, path: str) -> Task:
    """Return a task by LangGraph's text of its path: `~__pregel_pull, NODE`, or `~__pregel_push, NUMBER`."""
    if pulled := _PULLED.fullmatch(path):
        return Task(id=task_id, node=pulled[1])
    sent = _SENT.fullmatch(path)
    return Task(id=task_id, sent=int(sent[1]) if sent else None)


def _columns(keys: Iterable[Key]) -> dict[str, list[str]]:  # SQL values
    pairs = list(keys)
    return {"namespaces": [ns for ns, _ in pairs], "checkpoints": [each for _, each in pairs]}
