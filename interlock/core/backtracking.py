"""Taking a graph back to the step before it went round in circles, from inside a node of it.

The values of the good checkpoint are written again, and its tasks are sent for again; the history stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import (
    BinaryOperatorAggregate,
    DeltaChannel,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
)
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite, Send, StateSnapshot

from interlock.core.langgraph_names import CHECKPOINTER
from interlock.core.loops import Loops
from interlock.core.reading import channels_here, checkpointer_here
from interlock.core.trails import TRAIL

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's
Values = Mapping[str, Any]  # part of any graph's state

_WAITING = (NamedBarrierValue, NamedBarrierValueAfterFinish, LastValueAfterFinish)
_SENT = "__pregel_tasks"  # LangGraph's name; a test holds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a graph goes on.

    Attributes:
        goto: the tasks that run next.
        values: what is written to the state first.
        back: whether it goes on from an earlier checkpoint.
    """

    goto: Sequence[str | Send]
    values: dict[str, Any] = field(default_factory=dict)  # part of any graph's state
    back: bool = False


async def way_back(graph: Graph, config: RunnableConfig, since: str) -> Way | None:
    """Return the way back to a checkpoint; None where it was not saved, or tasks wait that began before it."""
    saver = checkpointer_here(config)
    if saver is None or not since:
        return None
    there = _there(config, saver, since)
    saved = await _saved(saver, there)
    if saved is None or not _waits_alike(graph, config, saved):
        return None
    snapshot = await _snapshot(graph.copy({"checkpointer": saver}), there)
    nodes = [task.name for task in snapshot.tasks if task.path[:1] == ("__pregel_pull",)]
    sent = saved.checkpoint["channel_values"].get(_SENT, ())
    return Way(goto=[*nodes, *sent], values=dict(snapshot.values), back=True)


def with_note(
    way: Way, graph: Graph, now: Values, loops: Loops, notes: Sequence[str]
) -> dict[str, Any]:  # an update of the graph's state
    """Return what is written: the values of then, the memory cleared, and the notes of what was tried."""
    channels = graph.builder.channels
    then = {key: value for key, value in way.values.items() if key in channels and key != TRAIL}
    memory = {key: cleared(then.get(key, now.get(key))) for key in loops.memory}
    values = {**then, **{key: value for key, value in memory.items() if key in {*then, *now}}}
    if loops.notes:
        kept = values.get(loops.notes) if loops.notes in loops.memory else now.get(loops.notes)
        values[loops.notes] = noted(kept, notes, as_messages=_holds_messages(now.get(loops.notes)))
    return {
        key: _written(channels[key], value)
        for key, value in values.items()
        if not _equal(value, now.get(key)) and _can_be_set(channels[key])
    }


def cleared(value: Any) -> Any:  # a key of any graph's state
    """Return a short-term memory without what the agents put in: of messages, those of people and the system stay.

    Calls of tools that wait for an answer stay too: the tools run next.
    """
    if isinstance(value, list | tuple):
        said = [each for each in value if _of_people(each)]
        return said + [
            each for each in value[-1:] if isinstance(each, AIMessage) and each.tool_calls
        ]
    return type(value)() if isinstance(value, str | int | float | Mapping) else None


def noted(
    value: Any, notes: Sequence[str], *, as_messages: bool = False
) -> Any:  # a key of any graph's state
    """Return a list, messages or a text with the notes that it does not hold yet."""
    if isinstance(value, str):
        return "\n".join(
            [*([value] if value else []), *(each for each in notes if each not in value)]
        )
    held = list(value or ())
    if as_messages:
        known = {each.text for each in held if isinstance(each, BaseMessage)}
        return held + [_message(each) for each in notes if each not in known]
    return held + [each for each in notes if each not in held]


def _holds_messages(value: Any) -> bool:  # a key of any graph's state
    return isinstance(value, list) and any(isinstance(each, BaseMessage) for each in value)


def _message(note: str) -> HumanMessage:
    return HumanMessage(note, id=str(uuid5(NAMESPACE_OID, note)))  # the same in each attempt


def _there(config: RunnableConfig, saver: BaseCheckpointSaver[Any], since: str) -> RunnableConfig:
    configurable = config["configurable"]
    return {
        "configurable": {
            "thread_id": configurable["thread_id"],
            "checkpoint_ns": str(configurable["checkpoint_ns"]).rpartition("|")[0],
            "checkpoint_id": since,
            CHECKPOINTER: saver,  # so that a subgraph's own namespace is taken as it is
        }
    }


async def _saved(saver: BaseCheckpointSaver[Any], there: RunnableConfig) -> CheckpointTuple | None:
    try:
        return await saver.aget_tuple(there)
    except NotImplementedError:  # a saver for synchronous code alone
        return saver.get_tuple(there)


async def _snapshot(graph: Graph, there: RunnableConfig) -> StateSnapshot:
    try:
        return await graph.aget_state(there)
    except NotImplementedError:
        return graph.get_state(there)


def _waits_alike(graph: Graph, config: RunnableConfig, saved: CheckpointTuple) -> bool:
    """Say whether joins and deferred nodes wait for the same as then: nothing can be taken out of them."""
    then, now = saved.checkpoint["channel_values"], channels_here(config)
    return all(
        _equal(now[name].checkpoint(), then.get(name, _empty(channel)))
        for name, channel in graph.channels.items()
        if isinstance(channel, _WAITING)
    )


def _empty(channel: BaseChannel[Any, Any, Any]) -> Any:  # its stored form
    return channel.copy().checkpoint()


def _can_be_set(channel: object) -> bool:
    return isinstance(channel, BinaryOperatorAggregate | DeltaChannel | LastValue)


def _written(channel: object, value: Any) -> Any:  # a channel's value
    adds = isinstance(channel, BinaryOperatorAggregate | DeltaChannel)
    return Overwrite(value) if adds else value


def _equal(a: Any, b: Any) -> bool:  # values of any type
    try:
        return bool(a == b)
    except (TypeError, ValueError):  # arrays have no single answer
        return False


def _of_people(message: Any) -> bool:  # an element of any list
    if isinstance(message, BaseMessage):
        return message.type in ("human", "system")
    return isinstance(message, Mapping) and message.get("role") in ("user", "human", "system")
