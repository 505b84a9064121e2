"""How a thread stands, with what a command put beside its checkpoint: LangGraph's own state leaves those tasks out.

LangGraph 1.2 keeps what a command writes beside the checkpoint until the step that it is a part of is saved. Where that
step waits for somebody, `aget_state` looks for its tasks before it applies those writes: a node that a `goto` began,
and what it asks, is not there for it, although LangGraph takes the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import (
    INPUT,
    NULL_TASK_ID,
    TASKS,
)  # pinned, and a test holds them
from langgraph.checkpoint.base import CheckpointTuple, PendingWrite, copy_checkpoint
from langgraph.pregel._algo import PregelTaskWrites, apply_writes
from langgraph.pregel._checkpoint import achannels_from_checkpoint
from langgraph.types import StateSnapshot

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
    return await graph._aprepare_state_snapshot(
        config, saved, saver=saver, recurse=subgraphs, live=_is_latest(config)
    )


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
