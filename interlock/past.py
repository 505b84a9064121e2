"""Looks back: a thread's steps, those of its subgraphs, what sets two threads apart, and what was forked from what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, TypeVar, cast

from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from interlock.application import Graph
from interlock.branching import names_in
from interlock.core.langgraph_names import is_key
from interlock.core.runs import Step, Tree, Usage
from interlock.differences import Rest, Side
from interlock.errors import UsageError
from interlock.history import find_step, in_time, line_of, step_number, steps_of
from interlock.postgres.effects import EffectStore
from interlock.postgres.forks import ForkStore, Place
from interlock.postgres.pool import translated
from interlock.postgres.runs import RunStore

T = TypeVar("T")
HISTORY_LIMIT = 10_000
"""Checkpoints of one graph on a thread that are read at once."""


class Past:
    """Reads what happened on threads.

    `reader` returns a graph by its name, with a checkpointer that reads.
    """

    def __init__(
        self,
        runs: RunStore,
        forks: ForkStore,
        effects: EffectStore,
        reader: Callable[[str], Graph],
    ) -> None:
        self._runs = runs
        self._forks = forks
        self._effects = effects
        self._reader = reader

    def graph(self, name: str) -> Graph:
        """Return a graph with a checkpointer that reads."""
        return self._reader(name)

    async def steady(self, thread_id: str, read: Callable[[], Awaitable[T]]) -> T:
        """Read something of a thread, again where it was folded meanwhile: it takes several statements."""
        before = await self._forks.foldings(thread_id)
        while True:
            found = await read()
            after = await self._forks.foldings(thread_id)
            if after == before:
                return found
            before = after

    async def history(
        self,
        thread_id: str,
        *,
        inside: bool = False,
        most: int = HISTORY_LIMIT,
        upto: str = "",
    ) -> list[Step]:
        """Return the steps of a thread, oldest first, on request with those of its subgraphs.

        Args:
            thread_id: the thread.
            inside: those of its subgraphs, too.
            most: how many of the thread's own graph, the last ones.
            upto: the checkpoint of the last one; default: the newest.
        """
        return await self.steady(thread_id, lambda: self._history(thread_id, inside, most, upto))

    async def _history(self, thread_id: str, inside: bool, most: int, upto: str) -> list[Step]:
        graph = self._reader((await self._runs.thread(thread_id))["graph"])
        line = await _line(graph, thread_id, limit=min(most + 1, HISTORY_LIMIT), upto=upto)
        usage, folded = (
            await self._runs.usage(thread_id),
            await self._forks.folded_tasks(thread_id),
        )
        root = steps_of(line, usage, folded=folded)[-most:]
        if not inside:
            return root
        ran_by = _ran_by(await self._forks.places(thread_id), {each.checkpoint_id for each in root})
        inner: list[Step] = []
        for namespace in sorted({namespace for namespace, _ in ran_by}):
            found = await _inner(graph, thread_id, namespace)
            inner += [each for each in found if (namespace, each.checkpoint_id) in ran_by]
        return in_time(root, inner, ran_by)

    async def step(self, thread_id: str, at: int | str) -> Step:
        """Return one step, by number or checkpoint id; raises `NotFound`, `UsageError`."""
        found = [] if step_number(at) is not None else await self._found(thread_id, str(at))
        if len(found) > 1:
            raise _ambiguous(at)
        if found and not found[0].namespace:
            return find_step(await self.history(thread_id, most=1, upto=found[0].checkpoint_id), at)
        if not found:
            return find_step(await self.history(thread_id), at)
        graph = self._reader((await self._runs.thread(thread_id))["graph"])
        inner = found[0].namespace
        return find_step(await self.steady(thread_id, lambda: _inner(graph, thread_id, inner)), at)

    async def sides(self, a: str, b: str, most: int = HISTORY_LIMIT) -> tuple[Side, Side]:
        """Return what a comparison of two threads looks at: of threads that share nothing, so many steps of each."""
        line_a = ids_of(await self._forks.places(a))
        line_b = ids_of(await self._forks.places(b))
        shares = not set(line_a).isdisjoint(line_b)
        return (
            await self._side(a, b, line_a, line_b, HISTORY_LIMIT if shares else most),
            await self._side(b, a, line_b, line_a, HISTORY_LIMIT if shares else most),
        )

    async def _side(
        self, thread_id: str, other: str, line: list[str], others: list[str], most: int
    ) -> Side:
        if len(line) > most:
            return await self._beginning(thread_id, other, line, most)
        done = [each for each in await self._effects.effects(thread_id) if each.status == "done"]
        known = set(others)
        shared = [n for n, each in enumerate(line) if each in known]
        before = shared[-1] if shared else 0
        steps = await self.history(thread_id, most=max(len(line) - before, 1))
        return Side(
            thread_id=thread_id,
            steps=steps,
            before=max(len(line) - len(steps), 0),
            effects=done,
            behind=await self._forks.effects_behind(thread_id, other),
        )

    async def _beginning(self, thread_id: str, other: str, line: list[str], most: int) -> Side:
        """Return the first steps of a thread that shares none with another, with its end."""
        steps = await self.history(thread_id, most=most, upto=line[most - 1])
        end = (await self.history(thread_id, most=1))[-1]
        usage = (await self._runs.usage(thread_id)).values()
        done = [each for each in await self._effects.effects(thread_id) if each.status == "done"]
        return Side(
            thread_id=thread_id,
            steps=steps,
            effects=done,
            behind=await self._forks.effects_behind(thread_id, other),
            rest=Rest(steps=len(line) - len(steps), values=end.values, usage=sum(usage, Usage())),
        )

    async def tree(self, thread_id: str) -> Tree:
        """Return the tree of forks that a thread belongs to."""
        rows = await self._forks.tree(thread_id)
        return _tree(rows, rows[0], thread_id)

    async def _found(self, thread_id: str, prefix: str) -> list[Place]:
        places = await self._forks.places(thread_id)
        return [each for each in places if prefix and each.checkpoint_id.startswith(prefix)]


def subgraph(graph: Graph, namespace: str) -> Graph | None:
    """Return the subgraph that runs in a namespace; None when the graph does not show it.

    LangGraph does not see subgraphs that are called by tools, or by functions that hide them.
    """
    for _, found in graph.get_subgraphs(namespace="|".join(names_in(namespace)), recurse=True):
        return found if isinstance(found, CompiledStateGraph) else None
    return None


async def _inner(graph: Graph, thread_id: str, namespace: str) -> list[Step]:
    return steps_of(await _line(graph, thread_id, namespace), {}, inside=namespace)


async def _line(
    graph: Graph,
    thread_id: str,
    namespace: str = "",
    *,
    limit: int = HISTORY_LIMIT,
    upto: str = "",
) -> list[StateSnapshot]:
    place = {"thread_id": thread_id, "checkpoint_ns": namespace}
    config: Any = {"configurable": place}  # LangGraph's config
    if namespace and subgraph(graph, namespace) is None:
        return line_of(await _bare(graph, config))
    # It looks at what sorts before a checkpoint: a longer name sorts right behind its beginning.
    before: Any = {"configurable": {**place, "checkpoint_id": f"{upto}~"}} if upto else None
    with translated():
        found = graph.aget_state_history(config, limit=limit, before=before)
        return line_of([snapshot async for snapshot in found])


async def _bare(graph: Graph, config: dict[str, Any]) -> list[StateSnapshot]:  # LangGraph's config
    """Return checkpoints of a subgraph that cannot be seen: their state, without the tasks."""
    saver = cast("Any", graph.checkpointer)
    with translated():
        found = [each async for each in saver.alist(config, limit=HISTORY_LIMIT)]
    return [
        StateSnapshot(
            values=_state(each.checkpoint["channel_values"]),
            next=(),
            config=each.config,
            metadata=each.metadata,
            created_at=each.checkpoint["ts"],
            parent_config=each.parent_config,
            tasks=(),
            interrupts=(),
        )
        for each in found
    ]


def _state(channels: Mapping[str, Any]) -> dict[str, Any]:  # any graph's channels
    return {name: value for name, value in channels.items() if is_key(name)}


def ids_of(places: Sequence[Place]) -> list[str]:
    """Return the checkpoints of a thread's own graph that lead to its newest one, oldest first."""
    own = {each.checkpoint_id: each.parent_id for each in places if not each.namespace}
    line, current = [], max(own, default="")
    while current in own:
        line.append(current)
        current = own.pop(current)
    return line[::-1]


def _ran_by(places: Sequence[Place], steps: Set[str]) -> dict[tuple[str, str], str]:
    """Return of the checkpoints of subgraphs that some steps ran which of those it was."""
    ran_by = {(each.namespace, each.checkpoint_id): each.parents.get("", "") for each in places}
    return {place: step for place, step in ran_by.items() if place[0] and step in steps}


def _ambiguous(at: int | str) -> UsageError:
    return UsageError(
        f"{at!r} fits several checkpoints.", hint="Give more characters, or the step's number."
    )


def _tree(
    rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any], asked: str
) -> Tree:  # SQL rows
    children = [each for each in rows if each["parent_thread_id"] == row["thread_id"]]
    return Tree(
        thread_id=row["thread_id"],
        title=row["title"],
        status=row["status"],
        purpose=row["purpose"],
        created_at=row["created_at"],
        effects=row["effects"],
        tokens=row["tokens"],
        forked_at=row["forked_at"],
        forked_inside=names_in(row["forked_inside"]),
        asked=row["thread_id"] == asked,
        children=tuple(_tree(rows, each, asked) for each in children),
    )
