"""Withholds what a state that is written from outside would leave behind if its graph did not take it.

LangGraph 1.2 stores the values before it gives them to the reducers. Where one of those refuses them, they would stay
at the checkpoint, and the thread's state could never be read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from interlock.postgres.checkpoints import Saver


class Withholding(Saver):
    """A checkpointer for one write from outside: what tasks wrote is stored once there is a checkpoint of it."""

    _withheld: tuple[tuple[Any, ...], ...] = ()  # arguments of `aput_writes`

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task wrote until there is a checkpoint."""
        self._withheld += ((config, writes, task_id, task_path),)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint, and before it what brought it about."""
        await self.release()
        return await super().aput(config, checkpoint, metadata, new_versions)

    async def release(self) -> None:
        """Store what was withheld."""
        withheld, self._withheld = self._withheld, ()
        for each in withheld:
            await super().aput_writes(*each)
