"""A server that runs a graph within the request and does nothing else: no queue, no log, nobody is asked for a key.

What it reaches with a saver in memory no server can beat that runs graphs of LangGraph in one process of Python. With
`BENCHMARK_DATABASE` it has LangGraph's own saver on that database, with a pool: what is durable costs there.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph.state import CompiledStateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.serving import graphs
from benchmarks.serving.asgi import Message, Receive, Send, answer, body_of, live
from interlock.core.garbage import settle

DATABASE = "BENCHMARK_DATABASE"
"""The variable that names the database of a saver that is durable."""

POOL = 16

Graph = CompiledStateGraph[Any, Any, Any, Any]  # of any schema

_opened = AsyncExitStack()
_graphs: dict[str, Graph] = {}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Make a thread, or run a graph on one and answer with its output."""
    if scope["type"] == "lifespan":
        await live(receive, send, _begin, _opened.aclose)
        return
    body = await body_of(receive)
    if scope["path"].endswith("/wait"):
        came = await _run(scope["path"].split("/")[2], json.loads(body))
    else:
        came = {"thread_id": str(uuid4())}
    await answer(send, json.dumps(came).encode())


async def _run(thread_id: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # of JSON
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    graph = _graphs[asked["assistant_id"]]
    return await graph.ainvoke(asked["input"], config, durability="sync")


async def _begin() -> None:
    saver = await _opened.enter_async_context(_saver(os.environ.get(DATABASE)))
    for name in ("three", "one"):
        _graphs[name] = cast("Graph", getattr(graphs, name).copy(update={"checkpointer": saver}))
    settle()


@asynccontextmanager
async def _saver(database: str | None) -> AsyncIterator[BaseCheckpointSaver[str]]:
    if database is None:
        yield InMemorySaver()
        return
    given = {"autocommit": True, "row_factory": dict_row}
    pool = AsyncConnectionPool(database, min_size=POOL, max_size=POOL, kwargs=given, open=False)
    async with pool:
        saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]  # rows are what it wants, by their factory
        await saver.setup()
        yield saver
