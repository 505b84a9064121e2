"""LangGraph's stream together with LangChain's events of all that happens under it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

EVENTS = "events"

HIDDEN = "langsmith:hidden"


async def stream_with_events(
    graph: Runnable[Any, Any],  # a compiled graph
    given: Any,  # its input
    config: RunnableConfig,
    *,
    name: str,
    stream_mode: Sequence[str],
    **driven: Any,  # as `astream` takes it
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the parts of a graph's stream, and each of LangChain's events as a part of the type `events`.

    The graph runs ahead of who reads: LangChain holds events without a limit.
    """
    modes = [mode for mode in stream_mode if mode != EVENTS]
    named: RunnableConfig = {**config, "run_name": name}
    events = graph.astream_events(given, named, version="v2", stream_mode=modes, **driven)
    async with aclosing(events) as stream:  # type: ignore[type-var]  # it is a generator
        async for event in stream:
            if _is_its_own(event, config):
                yield _part(event["data"]["chunk"])
            elif HIDDEN not in (event.get("tags") or ()):
                yield {"type": EVENTS, "ns": (), "data": event}


def _is_its_own(event: Mapping[str, Any], config: RunnableConfig) -> bool:
    return bool(event["event"] == "on_chain_stream" and event["run_id"] == str(config["run_id"]))


def _part(chunk: Sequence[Any]) -> dict[str, Any]:
    *ns, mode, data = chunk
    return {"type": mode, "ns": tuple(ns[0]) if ns else (), "data": data}
