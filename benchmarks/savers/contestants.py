"""The savers that are measured, each opened on a database of its own."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from interlock.postgres import Checkpointer

CONNECTIONS = 8
"""The size of every pool: the one that Interlock opens by default."""

Saver = BaseCheckpointSaver[str]
Opening = Callable[[str], AbstractAsyncContextManager[Saver]]

STOCK, STOCK_ALONE = "stock, pool", "stock, one connection"
OURS, MEMORY = "interlock", "in memory"
NOTHING = "keeps nothing"
"""LangGraph's own part of a step: no saver can be faster."""


class Forgetful(BaseCheckpointSaver[str]):
    """Takes everything and keeps nothing."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return nothing."""
        return None

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Return where the checkpoint would be."""
        place = {key: config["configurable"][key] for key in ("thread_id", "checkpoint_ns")}
        return {"configurable": {**place, "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Do nothing."""

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Return a version as the stock saver makes them."""
        return f"{int((current or '0').split('.')[0]) + 1:032}.{random.random():016}"  # as that one


def stock_pool(url: str) -> AsyncConnectionPool[AsyncConnection[DictRow]]:
    """Return a pool as LangGraph's documentation makes it."""
    return AsyncConnectionPool(
        url,
        open=False,
        max_size=CONNECTIONS,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    )


@asynccontextmanager
async def stock(url: str) -> AsyncIterator[Saver]:
    """Open LangGraph's saver on a pool."""
    async with stock_pool(url) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        yield saver


@asynccontextmanager
async def stock_alone(url: str) -> AsyncIterator[Saver]:
    """Open LangGraph's saver on one connection."""
    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        await saver.setup()
        yield saver


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Saver]:
    """Open Interlock's saver."""
    async with Checkpointer.from_conn_string(url) as saver:
        await saver.setup()
        yield saver


@asynccontextmanager
async def in_memory(url: str) -> AsyncIterator[Saver]:
    """Open LangGraph's saver in memory; it needs no database."""
    yield InMemorySaver()


@asynccontextmanager
async def forgetful(url: str) -> AsyncIterator[Saver]:
    """Open a saver that keeps nothing; it needs no database."""
    yield Forgetful()


OPENINGS: dict[str, Opening] = {
    STOCK: stock,
    STOCK_ALONE: stock_alone,
    OURS: ours,
    MEMORY: in_memory,
    NOTHING: forgetful,
}
