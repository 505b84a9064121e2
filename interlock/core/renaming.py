"""Nodes that were renamed: threads that wait in one under its old name find it there.

LangGraph derives the ids of tasks, and of questions, from the names of nodes. So a waiting node cannot be renamed in
what is stored; the graph has it under its old name too, where only old threads come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel

from interlock.core.bounded import declaration_of
from interlock.core.langgraph_names import BRANCH, JOIN
from interlock.core.versions import Stored, Write

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's


def with_old_names(graph: Graph) -> Graph:
    """Return a graph whose renamed nodes, and those of its subgraphs, are found under their old names too."""
    for _, inner in graph.get_subgraphs(recurse=True):
        if isinstance(inner, CompiledStateGraph):
            _add_old_names(inner)  # where it is: a node may hold it in ways that cannot be seen
    copy = graph.copy()
    _add_old_names(copy)
    return copy


def renamed_in(graph: Graph) -> dict[str, str]:
    """Return old name -> present one of each node that a graph declares to be renamed."""
    declaration = declaration_of(graph)
    return _present(declaration.renamed_nodes) if declaration else {}


def joined_anew(stored: Stored, graph: Graph) -> Stored:
    """Return what is stored with its joins under the present names of the nodes that they wait for.

    A join that is complete and leads to a renamed node stays: the node is there under its old name, and waits for it.
    """
    renamed = renamed_in(graph)
    if not renamed:
        return stored
    checkpoint = stored.checkpoint
    values, versions = dict(checkpoint["channel_values"]), dict(checkpoint["channel_versions"])
    moved = {
        each: _present_join(each, renamed) for each in values if _is_open_join(each, values, graph)
    }
    moved = {old: new for old, new in moved.items() if new != old and new in graph.channels}
    for old, new in moved.items():
        values[new] = _with_present(values.pop(old), renamed)
        versions[new] = f"{versions.pop(old)}-renamed"
    return Stored(
        checkpoint={**checkpoint, "channel_values": values, "channel_versions": versions},
        writes=[_arriving(write, renamed, graph) for write in stored.writes],
        changed=stored.changed | set(moved.values()),
    )


def _add_old_names(graph: Graph) -> None:
    renamed = {
        old: new
        for old, new in renamed_in(graph).items()
        if old not in graph.nodes and new in graph.nodes
    }
    if not renamed:
        return
    nodes = dict(graph.nodes)
    channels: dict[str, Any] = dict(graph.channels)  # of any kind
    for old, new in renamed.items():
        node = graph.nodes[new]
        # What an action or a policy says of the node holds for it under its old name.
        called = {**(node.metadata or {}), "langgraph_node": new}
        nodes[old] = node.copy({"triggers": [BRANCH + old], "metadata": called})
        channels[BRANCH + old] = channels[BRANCH + new].copy()
    for join, old_join in _old_joins(graph, renamed):
        starts, end = _parts(old_join)
        channels[old_join] = type(channels[join])(str, set(starts))
        nodes[end] = nodes[end].copy({"triggers": [*nodes[end].triggers, old_join]})
    graph.nodes, graph.channels = nodes, channels
    handlers = graph.node_error_handler_map
    also = {old: handlers[new] for old, new in renamed.items() if new in handlers}
    graph.node_error_handler_map = {**handlers, **also}
    graph.trigger_to_nodes = _triggered(graph)


def _old_joins(graph: Graph, renamed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each join that leads to a renamed node, with the name that it had when all nodes had their old ones."""
    old = {new: old for old, new in reversed(list(renamed.items()))}
    for join in [each for each in graph.channels if each.startswith(JOIN)]:
        starts, end = _parts(join)
        if end in old:
            yield join, f"{JOIN}{'+'.join(old.get(each, each) for each in starts)}:{old[end]}"


def _is_open_join(channel: str, values: Mapping[str, Any], graph: Graph) -> bool:
    if not channel.startswith(JOIN):
        return False
    return channel not in graph.channels or arrived(values[channel]) != set(_parts(channel)[0])


def _parts(join: str) -> tuple[list[str], str]:
    starts, _, end = join.removeprefix(JOIN).rpartition(":")
    return starts.split("+"), end


def arrived(value: Any) -> set[str]:  # of a join's channel, also of one that is deferred
    """Return the nodes that a join has seen."""
    return set(value[0] if isinstance(value, tuple) else value)


def _with_present(value: Any, renamed: Mapping[str, str]) -> Any:  # as above
    names = {renamed.get(name, name) for name in arrived(value)}
    return (names, *value[1:]) if isinstance(value, tuple) else names


def _present_join(join: str, renamed: Mapping[str, str]) -> str:
    starts, end = _parts(join)
    present = "+".join(renamed.get(each, each) for each in starts)
    return f"{JOIN}{present}:{renamed.get(end, end)}"


def _arriving(write: Write, renamed: Mapping[str, str], graph: Graph) -> Write:
    task, channel, value = write
    if not channel.startswith(JOIN):
        return write
    present = _present_join(channel, renamed)
    if present == channel or present not in graph.channels:
        return write
    return task, present, renamed.get(value, value)


def _present(renamed: Mapping[str, str]) -> dict[str, str]:
    """Return old name -> the last of its names; one that was renamed twice has two old ones."""
    found = {}
    for old in renamed:
        name, seen = old, {old}
        while name in renamed and renamed[name] not in seen:
            name = renamed[name]
            seen.add(name)
        found[old] = name
    return found


def _triggered(graph: Pregel[Any, Any, Any, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        for trigger in node.triggers:
            found.setdefault(trigger, []).append(name)
    return found
