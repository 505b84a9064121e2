"""The savers that are measured, each opened on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from langgraph.checkpoint.base import BaseCheckpointSaver
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


OPENINGS: dict[str, Opening] = {
    STOCK: stock,
    STOCK_ALONE: stock_alone,
    OURS: ours,
    MEMORY: in_memory,
}
