"""What is left of a dead run: its graph, and its last checkpoint as LangGraph has it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import PregelTask, StateSnapshot

from interlock.application import Graph
from interlock.core.letters import Letter

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """The last checkpoint of a dead run's thread.

    Attributes:
        letter: of the run.
        graph: of the thread, with a checkpointer that reads.
        found: the checkpoint as it is stored, with what tasks wrote after it.
        snapshot: the same, as `get_state` shows it.
    """

    letter: Letter
    graph: Graph
    found: CheckpointTuple
    snapshot: StateSnapshot

    @property
    def node(self) -> str:
        """The node of the thread's own graph that failed; empty when that is not known."""
        return self.letter.node.partition(" / ")[0]

    @property
    def failed(self) -> list[PregelTask]:
        """The tasks that failed: those of the node that left an error, or else its only one."""
        tasks = [
            each for each in self.snapshot.tasks if each.name == self.node and not _ended(each)
        ]
        return [each for each in tasks if _raised(each)] or (tasks if len(tasks) == 1 else [])


async def apart(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do something outside of the running node's context, of which LangGraph would take it for a part."""
    loop = asyncio.get_running_loop()
    return await loop.create_task(work, context=contextvars.Context())


def _raised(task: PregelTask) -> bool:
    """Say whether a task raised; LangGraph notes the same of those that it cancelled as another one raised."""
    return task.error is not None and not str(task.error).startswith("CancelledError")


def _ended(task: PregelTask) -> bool:
    return task.result is not None
