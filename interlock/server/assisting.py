"""Finds the assistant that a client names: by its id, or by its graph's name."""

from __future__ import annotations

import time
from uuid import UUID

from interlock.errors import NotFound
from interlock.postgres.assistants import Assistant, AssistantStore, default_id
from interlock.server.scope import Scope


async def resolve(scope: Scope, assistant: str | UUID) -> Assistant:
    """Return the assistant with an id, or the one of a graph's name, as the caller may see it.

    Raises:
        NotFound: there is none, it is another tenant's, or the application has its graph no more.
    """
    wanted = id_of(scope, assistant)
    known, now = scope.house.assistants, time.monotonic()
    found = known.get(wanted, now)
    if found is None:
        try:
            found = await _stored(scope, wanted)
        except BaseException:
            known.forget(wanted)  # others have what is known only while somebody looks
            raise
        known.put(found, now)
    check_graph(scope, found.graph)
    return found


async def _stored(scope: Scope, wanted: UUID) -> Assistant:
    try:
        return await AssistantStore(scope.reader.pool).get(wanted)
    except NotFound:
        for graph in scope.il.application.targets:
            if default_id(graph) == wanted:
                raise NotFound(
                    f"The assistant of the graph {graph!r} was deleted.",
                    hint="A server makes it again when it starts.",
                ) from None
        raise


def id_of(scope: Scope, assistant: str | UUID) -> UUID:
    """Return the id that a client means by an id or by a graph's name; raises `NotFound`."""
    if str(assistant) in scope.il.application.targets:
        return default_id(str(assistant))
    try:
        return UUID(str(assistant))
    except ValueError:
        raise NotFound(
            f"There is no assistant {str(assistant)!r}.",
            hint=f"Name one by its id, or one of the graphs: {_graphs(scope)}.",
        ) from None


def check_graph(scope: Scope, graph: str) -> None:
    """Refuse a graph that the application does not have; raises `NotFound`."""
    if graph not in scope.il.application.targets:
        raise NotFound(f"There is no graph {graph!r}.", hint=f"There are: {_graphs(scope)}.")


def _graphs(scope: Scope) -> str:
    return ", ".join(sorted(scope.il.application.targets))
