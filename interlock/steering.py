"""How a run is to be driven, checked against its graph before anything is saved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from langgraph.constants import END, START

from interlock.application import Graph
from interlock.core.driving import ALL, YIELDS, Driving, Durability, is_reserved
from interlock.core.langgraph_names import is_key
from interlock.core.queueing import Options
from interlock.errors import UsageError


def check_driving(graph: Graph, driving: Driving) -> Driving:
    """Return how a run is driven, as plain JSON; raises `UsageError` for what the graph or LangGraph does not have."""
    for name in ("interrupt_before", "interrupt_after"):
        _check_nodes(graph, [each for each in getattr(driving, name) if each != ALL], name)
    _check_command(graph, driving.command)
    _check_configurable(driving.configurable)
    _check_checkpoint(driving.checkpoint)
    if driving.durability not in get_args(Durability):
        raise UsageError(
            f"There is no durability {driving.durability!r}.",
            hint=f"It is one of {', '.join(get_args(Durability))}.",
        )
    if driving.recursion_limit is not None and driving.recursion_limit < 1:
        raise UsageError(f"A recursion limit of {driving.recursion_limit} lets no step run.")
    _check_plain(driving)
    return driving


def kept_of(driving: Driving, options: Options | None, run_id: str) -> dict[str, Any]:  # JSON
    """Return what a run's context keeps of how it was submitted."""
    replaces = options is not None and options.replaces_questions
    return driving.stored(run_id) | ({YIELDS: True} if replaces else {})


def _check_nodes(graph: Graph, nodes: Sequence[str], what: str) -> None:
    known = graph.nodes.keys() - {START}
    if unknown := sorted(set(nodes) - known):
        raise UsageError(
            f"{what}: the graph has no node {', '.join(unknown)}.",
            hint=f"It has: {', '.join(sorted(known))}.",
        )


def _check_command(graph: Graph, command: Mapping[str, Any]) -> None:
    if not command:
        return
    if unknown := sorted(command.keys() - {"update", "goto"}):
        raise UsageError(f"A command has no {', '.join(unknown)} here; it has update and goto.")
    _check_nodes(graph, [each for each in _aims(command.get("goto")) if each != END], "goto")
    for key in _keys(command.get("update")):
        if key not in graph.channels or is_reserved(key) or not is_key(key):
            raise UsageError(f"The command updates {key!r}, which is no key of the graph's state.")


def _aims(goto: Any) -> Iterator[str]:  # JSON
    for each in goto if isinstance(goto, list | tuple) else [goto] if goto else []:
        name = each.get("node") if isinstance(each, Mapping) else each
        if not isinstance(name, str):
            raise UsageError(f"goto: {each!r} is neither a node nor a node with its input.")
        yield name


def _keys(update: Any) -> Iterator[str]:  # JSON
    if isinstance(update, Mapping):
        yield from update
        return
    for each in update or ():
        if not isinstance(each, list | tuple) or len(each) != 2:  # key and value
            raise UsageError(
                "The update of a command is neither an object nor a list of keys and values."
            )
        yield str(each[0])


def _check_configurable(configurable: Mapping[str, Any]) -> None:
    if taken := sorted(key for key in configurable if is_reserved(key)):
        raise UsageError(
            f"configurable may not hold {', '.join(taken)}: the runtime sets it.",
            hint="Leave it out, or use another name.",
        )


def _check_checkpoint(checkpoint: Mapping[str, str]) -> None:
    if not checkpoint:
        return
    if not checkpoint.get("checkpoint_id"):
        raise UsageError("The checkpoint to start from has no checkpoint_id.")
    if checkpoint.get("checkpoint_ns"):
        raise UsageError(
            "A run starts from a checkpoint of its thread's own graph, not from one inside a subgraph.",
            hint="`interlock fork` goes on from inside a subgraph, on a thread of its own.",
        )


def _check_plain(driving: Driving) -> None:
    said = [driving.configurable, driving.metadata, driving.command, driving.tags]
    try:
        json.dumps([dict(each) if isinstance(each, Mapping) else each for each in said])
    except (TypeError, ValueError) as error:
        raise UsageError(f"How the run is driven is no JSON: {error}.") from error
