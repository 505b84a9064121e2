"""Assistants as rows: a graph with a configuration, a context and a name, and what they were before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID, uuid5

from psycopg.rows import DictRow

from interlock.errors import NotFound
from interlock.postgres.plain import clean, stored
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("assistants")

NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""In which LangGraph's server names the assistant of each graph; it is RFC 4122's for addresses."""

EVERYBODY = "*"
"""The tenant of assistants that the server makes."""

SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    """A graph with what each of its runs is given.

    Attributes:
        assistant_id: a UUID.
        graph: the application's name of it.
        config: `tags`, `recursion_limit` and `configurable` of its runs.
        context: of its runs, for graphs with a context schema.
        metadata: anything; searched by.
        name: for people.
        description: for people.
        version: which of its versions it is.
        tenant: whose it is; `EVERYBODY` for those that the server makes.
    """

    assistant_id: UUID
    graph: str
    config: Mapping[str, Any] = field(default_factory=dict)  # JSON
    context: Mapping[str, Any] = field(default_factory=dict)  # JSON
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON
    name: str = "Untitled"
    description: str | None = None
    version: int = 1
    tenant: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which assistants are looked for.

    Attributes:
        graphs: those that the application has; an assistant that a server made for another one is not shown.
        graph: only of this one.
        name: a part of it, in upper or lower case.
        metadata: what theirs must contain.
    """

    graphs: Sequence[str]
    graph: str | None = None
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of what was found, in which order."""

    limit: int = 10
    offset: int = 0
    sort_by: SortBy = "created_at"
    ascending: bool = False


@lru_cache(maxsize=1024)
def default_id(graph: str) -> UUID:
    """Return the id of a graph's own assistant, the same on each LangGraph server."""
    return uuid5(NAMESPACE, graph)


class AssistantStore:
    """Every statement about assistants; each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def make_defaults(self, graphs: Sequence[str]) -> None:
        """Make each graph's own assistant where it is missing; processes that start at once make one."""
        for graph in graphs:
            made_by = {"created_by": "system"}
            await self.add(
                Assistant(
                    assistant_id=default_id(graph),
                    graph=graph,
                    name=graph,
                    metadata=made_by,
                    tenant=EVERYBODY,
                )
            )

    async def add(self, assistant: Assistant) -> Assistant | None:
        """Make an assistant; None when its id is taken."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["add"], _row(assistant))
        return _assistant(rows[0]) if rows else None

    async def get(self, assistant_id: UUID) -> Assistant:
        """Return an assistant; raises `NotFound`."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["get"], {"assistant_id": assistant_id})
        if not rows:
            raise unknown(assistant_id)
        return _assistant(rows[0])

    async def change(
        self, assistant_id: UUID, changed: Callable[[Assistant], Assistant]
    ) -> Assistant:
        """Make the next version of an assistant out of its latest; of two at once the second sees the first's.

        Raises:
            NotFound: there is no such assistant.
        """
        async with connected(self._pool) as connection, connection.transaction():
            rows = await fetch(connection, SQL["hold"], {"assistant_id": assistant_id})
            if not rows:
                raise unknown(assistant_id)
            values = _row(changed(_assistant(rows[0])))
            return _assistant((await fetch(connection, SQL["change"], values))[0])

    async def restore(self, assistant_id: UUID, version: int) -> Assistant:
        """Make an assistant what it was at a version; raises `NotFound`."""
        values = {"assistant_id": assistant_id, "version": version}
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["restore"], values)
        if not rows:
            raise NotFound(f"Assistant {assistant_id} has no version {version}.")
        return _assistant(rows[0])

    async def remove(self, assistant_id: UUID) -> None:
        """Forget an assistant with its versions; raises `NotFound`."""
        async with connected(self._pool) as connection:
            if not await execute(connection, SQL["remove"], {"assistant_id": assistant_id}):
                raise unknown(assistant_id)

    async def versions(
        self, assistant_id: UUID, metadata: Mapping[str, Any], page: Page
    ) -> list[Assistant]:
        """Return what an assistant was, the newest first; `metadata` is what a version's must contain."""
        values = {
            "assistant_id": assistant_id,
            "metadata": stored(metadata),
            "limit": page.limit,
            "offset": page.offset,
        }
        async with connected(self._pool) as connection:
            return [_assistant(row) for row in await fetch(connection, SQL["versions"], values)]

    async def search(self, wanted: Filter, page: Page) -> list[Assistant]:
        """Return a page of the assistants that fit."""
        values = {name: getattr(page, name) for name in ("limit", "offset", "sort_by", "ascending")}
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["search"], _wanted(wanted) | values)
        return [_assistant(row) for row in rows]

    async def count(self, wanted: Filter) -> int:
        """Return how many assistants fit."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["count"], _wanted(wanted))
        return int(rows[0]["assistants"])


def unknown(assistant_id: UUID | str) -> NotFound:
    """Return the error that says that there is no such assistant."""
    return NotFound(f"There is no assistant {str(assistant_id)!r}.")


def _row(assistant: Assistant) -> dict[str, Any]:  # SQL values
    return {
        "assistant_id": assistant.assistant_id,
        "tenant": assistant.tenant,
        "graph": assistant.graph,
        "config": stored(assistant.config),
        "context": stored(assistant.context),
        "metadata": stored(assistant.metadata),
        "name": clean(assistant.name),
        "description": None if assistant.description is None else clean(assistant.description),
    }


def _wanted(wanted: Filter) -> dict[str, Any]:  # SQL values
    return {
        "graphs": list(wanted.graphs),
        "graph": wanted.graph,
        "name": None if wanted.name is None else clean(wanted.name),
        "metadata": stored(wanted.metadata),
    }


def _assistant(row: DictRow) -> Assistant:
    names = {each.name for each in fields(Assistant)}
    return Assistant(**{key: value for key, value in row.items() if key in names})
