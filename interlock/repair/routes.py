"""Ways round a node that failed: where it may lead, and what it would have written had it led there.

LangGraph takes a task that wrote something for one that has ended. So the node is not run again, and no other task of
the step: what they brought stays, and all tasks keep their ids, and with them the keys of their acts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langchain_core.runnables import Runnable
from langgraph._internal._constants import (
    CONF,
    CONFIG_KEY_READ,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_SEND,
    CONFIG_KEY_TASK_ID,
    INPUT,
    INTERRUPT,
    NO_WRITES,
    NULL_TASK_ID,
)  # not public by name; versions are pinned and a test holds them
from langgraph.checkpoint.base import copy_checkpoint
from langgraph.constants import START

# Not public by name either: what LangGraph itself does when a state is written as a node. A test holds it.
from langgraph.pregel._algo import PregelTaskWrites, _scratchpad, apply_writes, local_read
from langgraph.pregel._checkpoint import achannels_from_checkpoint
from langgraph.runtime import Runtime
from langgraph.types import Command

from interlock.application import Graph
from interlock.core.bounded import declaration_of
from interlock.core.trails import OWN_NODES
from interlock.core.versions import MARK, version_of
from interlock.errors import UsageError
from interlock.inputs import check_values
from interlock.postgres.pool import translated
from interlock.postgres.repairs import Written
from interlock.repair.remains import Remains, apart

Writes = list[tuple[str, Any]]  # of any channels


def ways_of(graph: Graph, node: str) -> list[str]:
    """Return where a node may lead, as its graph declares it: by edges, by routers, by `Command`."""
    builder = graph.builder
    if node not in builder.nodes:
        return []
    found = {end for start, end in builder.edges if start == node} | set(
        builder.nodes[node].ends or ()
    )
    for branch in builder.branches.get(node, {}).values():
        found |= set(builder.nodes) if branch.ends is None else set(branch.ends.values())
    return sorted(found - {START, *OWN_NODES})


async def gone_round(
    remains: Remains,
    goto: Sequence[str],
    values: Mapping[str, Any],  # part of the graph's state
) -> list[Written]:
    """Return what the tasks that failed are made to have written.

    Args:
        remains: of the run.
        goto: where the node led, instead of where its edges do; empty for these.
        values: what it brought.

    Raises:
        UsageError: it cannot be gone round so.
    """
    _check(remains, goto)
    checked = check_values(remains.graph, values)
    mark = _mark(remains.graph)
    written: list[Written] = []
    for number, task in enumerate(remains.failed):
        brought = checked if number == 0 else {}
        writes = await apart(_as_node(remains, task.id, goto, brought)) or [(NO_WRITES, None)]
        written += [
            Written(task=task.id, channel=channel, value=value)
            for channel, value in [*mark, *writes]
        ]
    return written


def _check(remains: Remains, goto: Sequence[str]) -> None:
    node, graph = remains.node, remains.graph
    if not remains.failed:
        raise UsageError(
            f"Which task of {node or 'the run'} failed cannot be told.",
            hint="Fork the thread from the step before.",
        )
    spec = graph.builder.nodes.get(node)
    if spec is None or spec.is_error_handler or spec.error_handler_node:
        why = (
            "is not in the graph by this name" if spec is None else "has to do with error handlers"
        )
        raise UsageError(
            f"The node {node} {why}, and cannot be gone round.", hint="Change the state instead."
        )
    ways = ways_of(graph, node)
    if undeclared := [each for each in goto if each not in ways]:
        raise UsageError(
            f"The node {node} does not lead to {', '.join(undeclared)}, as its graph declares it.",
            hint=f"It leads to: {', '.join(ways) or 'nothing'}."
            " `add_node(..., destinations=...)` declares more.",
        )
    if not goto and spec.ends and not _has_edges(graph, node):
        raise UsageError(
            f"The node {node} says itself where it leads, so that its edges do not.",
            hint=f"Name one of: {', '.join(ways)}.",
        )


def _has_edges(graph: Graph, node: str) -> bool:
    builder = graph.builder
    joined = any(node in starts for starts, _ in builder.waiting_edges)
    edges = any(start == node for start, _ in builder.edges)
    return edges or joined or bool(builder.branches.get(node))


async def _as_node(
    remains: Remains, task_id: str, goto: Sequence[str], values: Mapping[str, Any]
) -> Writes:
    """Return what a node's own writers make of what it is said to have returned; its edges only without `goto`."""
    writers = remains.graph.nodes[remains.node].writers
    given = Command(goto=list(goto), update=dict(values)) if goto else dict(values)
    writes: deque[tuple[str, Any]] = deque()
    config = await _config(remains, task_id, writes)
    for writer in writers[:1] if goto else writers:
        await _run(remains.node, writer, given, config)
    return list(writes)


async def _run(node: str, writer: Runnable[Any, Any], given: Any, config: Any) -> None:
    try:
        await writer.ainvoke(given, config)
    except Exception as error:  # a router is the application's own code
        raise UsageError(
            f"Where {node} leads cannot be told: {type(error).__name__}: {error}",
            hint="Name where the run goes on.",
        ) from error


async def _config(remains: Remains, task_id: str, writes: deque[tuple[str, Any]]) -> Any:
    """Return LangGraph's configuration for the writers of a task: they read the state, and write into a list."""
    graph, found = remains.graph, remains.found
    checkpoint = copy_checkpoint(found.checkpoint)
    saver: Any = graph.checkpointer  # LangGraph's type allows a flag, too
    with translated():
        channels, managed = await achannels_from_checkpoint(
            graph.channels, checkpoint, saver=saver, config=found.config
        )
    changed = [each[1:] for each in found.pending_writes or () if each[0] == NULL_TASK_ID]
    before = PregelTaskWrites((), INPUT, changed, [])
    apply_writes(checkpoint, channels, [before], None, graph.trigger_to_nodes)
    task = PregelTaskWrites((INTERRUPT, 0), remains.node, writes, [INTERRUPT])
    step = int((found.metadata or {}).get("step", 0))
    pad = _scratchpad(None, [], task_id, "", None, step + 1, step + 3)
    configurable = {
        **found.config[CONF],
        CONFIG_KEY_SEND: writes.extend,
        CONFIG_KEY_TASK_ID: task_id,
        CONFIG_KEY_READ: partial(local_read, pad, channels, managed, task),
        CONFIG_KEY_RUNTIME: Runtime(context=None),
    }
    return {CONF: configurable}


def _mark(graph: Graph) -> Writes:
    """Return the mark of the schema's version: the checkpoint may be of an older one."""
    version = version_of(declaration_of(graph))
    return [(MARK, version)] if version > 1 else []
