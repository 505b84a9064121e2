"""How a thread stands, with tasks that LangGraph's own state leaves out: a command's, and those that handle errors.

LangGraph 1.2 keeps what a command writes beside the checkpoint until the step that it is a part of is saved. Where that
step waits for somebody, `aget_state` looks for its tasks before it applies those writes: a node that a `goto` began,
and what it asks, is not there for it, although LangGraph takes the answer. Nor is what a node's error handler asks:
its task is not planned, but called when the node has failed.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import (
    ERROR_SOURCE_NODE,
    INPUT,
    NS_SEP,
    NULL_TASK_ID,
    PUSH,
    TASKS,
)  # pinned, and a test holds them
from langgraph.checkpoint.base import CheckpointTuple, PendingWrite, copy_checkpoint
from langgraph.pregel._algo import PregelTaskWrites, _uuid5_str, _xxhash_str, apply_writes
from langgraph.pregel._checkpoint import achannels_from_checkpoint
from langgraph.pregel._task_status import read_task_statuses
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from interlock.application import Graph
from interlock.core.langgraph_names import BRANCH


async def standing(
    graph: Graph, config: RunnableConfig, *, subgraphs: bool = False
) -> StateSnapshot:
    """Return the state of a thread's own graph, as LangGraph goes on with it.

    Args:
        graph: with a checkpointer.
        config: names the thread, and maybe a checkpoint: then it is the state there, whatever its tasks did since.
        subgraphs: also the states of subgraphs that have not ended.
    """
    saver: Any = graph.checkpointer  # LangGraph's type allows a flag, too
    saved = await saver.aget_tuple(config)
    if saved is not None and (writes := _of_commands(saved)):
        saved = await _applied(graph, saved, writes)
    live = _is_latest(config)
    snapshot = await graph._aprepare_state_snapshot(
        config, saved, saver=saver, recurse=subgraphs, live=live
    )
    return snapshot if saved is None else _Handlers(graph, saved, live).with_questions(snapshot)


def _is_latest(config: RunnableConfig) -> bool:
    return "checkpoint_id" not in config["configurable"]


def _of_commands(saved: CheckpointTuple) -> list[tuple[str, Any]]:
    """Return which nodes commands put beside a checkpoint; values are applied by LangGraph itself."""
    return [(write[1], write[2]) for write in saved.pending_writes or () if _begins(write)]


def _begins(write: PendingWrite) -> bool:
    task, channel, _ = write
    return task == NULL_TASK_ID and (channel == TASKS or channel.startswith(BRANCH))


async def _applied(
    graph: Graph, saved: CheckpointTuple, writes: Sequence[tuple[str, Any]]
) -> CheckpointTuple:
    """Return a checkpoint as LangGraph has it in memory once it has begun the nodes of a command."""
    saver: Any = graph.checkpointer
    checkpoint = copy_checkpoint(saved.checkpoint)
    channels, _ = await achannels_from_checkpoint(
        graph.channels, checkpoint, saver=saver, config=saved.config
    )
    given = [PregelTaskWrites((), INPUT, list(writes), [])]
    apply_writes(checkpoint, channels, given, saver.get_next_version, graph.trigger_to_nodes)
    begun = {name: channels[name].checkpoint() for name, _ in writes if name in channels}
    checkpoint["channel_values"] = {**checkpoint["channel_values"], **begun}
    rest = [each for each in saved.pending_writes or () if not _begins(each)]
    return saved._replace(checkpoint=checkpoint, pending_writes=rest)


@dataclass(frozen=True, slots=True)
class _Handlers:
    """What error handlers ask at a checkpoint; `live` leaves out what was answered."""

    graph: Graph
    saved: CheckpointTuple
    live: bool

    def with_questions(self, snapshot: StateSnapshot) -> StateSnapshot:
        """Return a state in which a task that has failed asks what its handler does."""
        writes = self.saved.pending_writes or ()
        failed = {task for task, channel, _ in writes if channel == ERROR_SOURCE_NODE}
        asked = {
            each.id: found
            for each in snapshot.tasks
            if each.id in failed and (found := self._questions(each))
        }
        if not asked:
            return snapshot
        tasks = tuple(
            each._replace(interrupts=each.interrupts + asked.get(each.id, ()))
            for each in snapshot.tasks
        )
        fresh = (interrupt for found in asked.values() for interrupt in found)
        return snapshot._replace(tasks=tasks, interrupts=(*snapshot.interrupts, *fresh))

    def _questions(self, task: PregelTask) -> tuple[Interrupt, ...]:
        handler = self.graph.nodes[task.name].error_handler_node
        if handler is None:
            return ()
        name = self._name(task, handler)
        writes = [each for each in self.saved.pending_writes or () if each[0] == name]
        if not (status := read_task_statuses(writes).get(name)):
            return ()
        return status.pending_interrupts if self.live else status.interrupts

    def _name(self, task: PregelTask, handler: str) -> str:
        """Return LangGraph's id of the task that handles another one's error."""
        checkpoint = self.saved.checkpoint
        named = _xxhash_str if checkpoint["v"] > 1 else _uuid5_str
        return named(
            unhexlify(checkpoint["id"].replace("-", "")),
            f"{task.name}:{task.id}{NS_SEP}{handler}",
            str(self.saved.metadata["step"] + 1),
            handler,
            PUSH,
            "node_error_handler",
            task.id,
        )
