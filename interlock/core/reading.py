"""What a running task can read of its own graph, beside its input: channels, and where they are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config

from interlock.core.langgraph_names import CHECKPOINTER, READ
from interlock.core.lineage import Source

ABANDONED = "__interlock_abandoned"
"""Under which a loop guard tells nodes, and the graphs in them, what the run was taken back from."""


def read_here(channel: str, config: RunnableConfig) -> Any:  # the channel's value
    """Return a channel's value before the task's own writes; None while it has none."""
    return config["configurable"][READ]([channel]).get(channel)


def channels_here(config: RunnableConfig) -> Mapping[str, BaseChannel[Any, Any, Any]]:
    """Return all channels of the task's graph; not to be changed."""
    found: Mapping[str, BaseChannel[Any, Any, Any]] = config["configurable"][READ].args[1]
    return found


def checkpointer_here(config: RunnableConfig) -> BaseCheckpointSaver[Any] | None:
    """Return what saves the task's graph; None without a checkpointer."""
    found = config["configurable"].get(CHECKPOINTER)
    return found if isinstance(found, BaseCheckpointSaver) else None


def abandoned_here() -> tuple[Source, ...]:
    """Return the parts of the running thread that the run was taken back from, by this graph or one around it."""
    try:
        found = get_config().get("configurable", {}).get(ABANDONED, ())
    except RuntimeError:
        return ()
    return tuple(found)


def telling(config: RunnableConfig, abandoned: Sequence[Sequence[str]]) -> RunnableConfig:
    """Return a task's configuration that tells it, and the graphs in it, what the run was taken back from."""
    configurable = config["configurable"]
    sources = [Source(thread_id="", since=since, before=before) for since, before in abandoned]
    told = (*configurable.get(ABANDONED, ()), *sources)
    return {**config, "configurable": {**configurable, ABANDONED: told}}
