"""Makes forks and replays: a new thread that goes on from a step of another, also from inside a subgraph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from langchain_core.messages import BaseMessage
from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from langgraph.constants import START
from langgraph.types import StateSnapshot

from interlock.application import Graph
from interlock.branching import Way, lineage_of, recorded_since, redone, taken, way_to
from interlock.core.bounded import declaration_of
from interlock.core.driving import Driving
from interlock.core.runs import Step
from interlock.core.versions import MARK, version_of
from interlock.errors import UsageError
from interlock.inputs import check_input, check_values
from interlock.past import Past, subgraph
from interlock.postgres.forks import Change, ForkStore, Place, Prefix
from interlock.postgres.pool import translated
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import NewRun, StoredRun
from interlock.postgres.versioned import input_of
from interlock.steering import check_driving


class Forks:
    """Accepts forks and replays."""

    def __init__(self, runs: RunStore, forks: ForkStore, past: Past) -> None:
        self._runs = runs
        self._forks = forks
        self._past = past

    async def submit(
        self,
        thread_id: str,
        at: int | str,
        values: Mapping[str, Any],  # part of the state at that step
        context: Mapping[str, Any] | None = None,  # JSON
        *,
        recorded_only: bool = False,
        live_models: bool = False,
        enqueue: bool = False,
        driving: Driving | None = None,
    ) -> StoredRun:
        """Make a thread that goes on from a step of another, and accept its run.

        Args:
            thread_id: the thread to fork.
            at: number of a step, or the id of a checkpoint, of a subgraph's too, or the beginning of one.
            values: what is changed of the state there: the thread's, or the subgraph's.
            context: the run's; by default that of the thread.
            recorded_only: make a replay.
            live_models: make a trial: a replay that asks models what was not recorded.
            enqueue: hand its run to workers.
            driving: what LangGraph is told of its run beside the state; nothing is taken over from the thread's runs.

        Raises:
            NotFound: no such thread or step.
            UsageError: a value's key or type does not fit the state, or several checkpoints begin like this.
        """
        thread = await self._runs.thread(thread_id)
        graph = self._past.graph(thread["graph"])
        step = await self._past.step(thread_id, at)
        places = await self._forks.places(thread_id)
        place = _place(places, step)
        since = recorded_since(places, way_to(place))
        line = await self._forks.ancestors(thread_id)
        run_id = str(uuid4())
        driven = check_driving(graph, driving or Driving()).stored(run_id)
        new = NewRun(
            run_id=run_id,
            thread_id=str(uuid4()),
            graph=thread["graph"],
            kind="fork",
            context={**(thread["context"] if context is None else context), **driven},
            title=title_of(values) or thread["title"],
            parent=(thread_id, step.checkpoint_id),
            lineage=replace(
                lineage_of(line, since, recorded_only=recorded_only), live_models=live_models
            ),
            purpose="replay" if recorded_only else "fork",
            schema_version=version_of(declaration_of(graph)),
        )
        begun = await self._begun(new, graph, places, place, step, values)
        await self._runs.add(begun, enqueue=enqueue)
        return await self._runs.stored(new.run_id)

    async def graph_at(self, thread_id: str, at: int | str) -> Graph:
        """Return the graph whose state a step holds: the thread's, or a subgraph; raises as `submit`."""
        thread = await self._runs.thread(thread_id)
        step = await self._past.step(thread_id, at)
        return _holder(self._past.graph(thread["graph"]), step)

    async def _begun(
        self,
        new: NewRun,
        graph: Graph,
        places: list[Place],
        place: Place,
        step: Step,
        values: Mapping[str, Any],
    ) -> NewRun:
        """Return the run with what its thread begins with."""
        if step.source == "input" and not step.inside:
            # Before the input is applied, a changed state is a changed input.
            given = {**await self._input_of(graph, step), **check_values(graph, values)}
            new = replace(new, kind="invoke", input=check_input(graph, given))
            return replace(new, prefix=await self._before(graph, new, places, place))
        way = way_to(place)
        changes = await self._changes(graph, new, place, step, values) if values else []
        return replace(new, prefix=await self._prefix(graph, new, places, way, changes))

    async def _before(
        self, graph: Graph, new: NewRun, places: list[Place], place: Place
    ) -> Prefix | None:
        if not place.parent_id:
            return None
        return await self._prefix(graph, new, places, [("", place.parent_id)], [])

    async def _prefix(
        self, graph: Graph, new: NewRun, places: list[Place], way: Way, changes: list[Change]
    ) -> Prefix:
        thread_id = _parent(new)
        tasks: list[str] = []
        for (namespace, checkpoint_id), (node, task) in zip(way, redone(way), strict=False):
            config = _config(thread_id, namespace, checkpoint_id)
            tasks += [task] if task else await _tasks_of(graph, config, node)
        return Prefix(
            thread_id=thread_id,
            head=way[-1],
            taken=taken(places, way),
            redone=tasks,
            changes=changes,
        )

    async def _input_of(
        self, graph: Graph, step: Step
    ) -> Mapping[str, Any]:  # the graph's input schema
        return dict(input_of(graph, await self._runs.stored(step.run_id)))

    async def _changes(
        self, graph: Graph, new: NewRun, place: Place, step: Step, values: Mapping[str, Any]
    ) -> list[Change]:
        inner = _holder(graph, step)
        checked = check_values(inner, values)
        if step.source != "input":
            return _marked(inner, _written(inner, checked))
        config = _config(_parent(new), place.namespace, place.checkpoint_id)
        return _given(inner, checked, await _input_at(graph, config))


def changes_of(graph: Graph, values: Mapping[str, Any]) -> list[Change]:  # part of its state
    """Return what changes a state at a step of the thread's own graph; raises `UsageError` for what does not fit."""
    return _marked(graph, _written(graph, check_values(graph, values)))


def title_of(values: Mapping[str, Any]) -> str:  # any graph's state
    """Return what a list shows of a thread: the first text or message that it was given, else its numbers by name."""
    said = (value for value in values.values() if isinstance(value, str) and value.strip())
    return next(said, "") or _first_said(values.get("messages")) or _numbers(values)


def _numbers(values: Mapping[str, Any]) -> str:  # any graph's state
    return " · ".join(
        f"{name}: {value}" for name, value in values.items() if isinstance(value, int | float)
    )


def _first_said(messages: Any) -> str:  # whatever LangGraph takes for messages
    first = messages[0] if isinstance(messages, list) and messages else messages
    match first:
        case BaseMessage():
            return first.text
        case str(text) | {"content": str(text)} | (_, str(text)):
            return text
        case _:
            return ""


def _holder(graph: Graph, step: Step) -> Graph:
    inner = subgraph(graph, step.inside) if step.inside else graph
    if inner is None:
        raise UsageError(
            f"The state inside {'/'.join(step.path)} cannot be changed: its graph cannot be seen from outside.",
            hint="Fork from there without changes, or from a step of the graph around it.",
        )
    return inner


def _place(places: list[Place], step: Step) -> Place:
    stands = step.inside, step.checkpoint_id
    return next(each for each in places if (each.namespace, each.checkpoint_id) == stands)


def _parent(new: NewRun) -> str:
    return new.parent[0] if new.parent else ""


def _config(thread_id: str, namespace: str, checkpoint_id: str) -> Any:  # LangGraph's config
    stands = {"checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    return {"configurable": {"thread_id": thread_id, **stands}}


async def _tasks_of(graph: Graph, config: Any, node: str) -> list[str]:  # LangGraph's config
    with translated():
        snapshot: StateSnapshot = await graph.aget_state(config)
    return [task.id for task in snapshot.tasks if task.name == node]


async def _input_at(graph: Graph, config: Any) -> Any:  # LangGraph's config; a subgraph's input
    """Return what a subgraph was given, at the checkpoint from before it took that in."""
    saver: Any = graph.checkpointer
    with translated():
        found = await saver.aget_tuple(config)
    changed = [value for _, channel, value in found.pending_writes or () if channel == START]
    return changed[-1] if changed else found.checkpoint["channel_values"].get(START)


def _given(graph: Graph, values: Mapping[str, Any], given: Any) -> list[Change]:  # its input
    """Return changes from before a graph takes in its input: they are of that input, as far as it has them."""
    taken_in = graph.builder.schemas[graph.builder.input_schema].keys()
    of_input = {key: value for key, value in values.items() if key in taken_in}
    if of_input and not isinstance(given, Mapping):
        raise UsageError(
            f"What the subgraph was given is a {type(given).__name__} and cannot be changed by keys.",
            hint="Fork from the step after it.",
        )
    others = {key: value for key, value in values.items() if key not in taken_in}
    start = [Change(channel=START, value={**given, **of_input})] if of_input else []
    return _marked(graph, start + _written(graph, others))


def _written(graph: Graph, values: Mapping[str, Any]) -> list[Change]:  # part of its state
    return [
        Change(channel=key, value=value, alone=not _adds(graph, key))
        for key, value in values.items()
    ]


def _marked(graph: Graph, changes: list[Change]) -> list[Change]:
    """Return changes behind a mark of the schema's version: the checkpoint may be of an older one."""
    version = version_of(declaration_of(graph))
    return [Change(channel=MARK, value=version), *changes] if version > 1 else changes


def _adds(graph: Graph, key: str) -> bool:
    return isinstance(graph.channels.get(key), BinaryOperatorAggregate | DeltaChannel)
