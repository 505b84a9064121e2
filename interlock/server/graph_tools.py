"""Assistants as tools of the Model Context Protocol: each call is a run on a thread of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from pydantic import ValidationError

from interlock import __version__
from interlock.errors import DatabaseUnavailable, InterlockError
from interlock.postgres.assistants import Assistant, AssistantStore, Filter, Page, default_id
from interlock.server.documents_runs import ERROR, INTERRUPT, outward
from interlock.server.graph_documents import schemas
from interlock.server.requests import RunCreate, accept
from interlock.server.scope import Scope
from interlock.server.waiting import result
from interlock.server.wire import dumps

PAGE = 100
"""How many tools are told at once."""

NAME = 64
"""Characters of a tool's name."""


def server_of(scope: Scope) -> Server[Any]:
    """Return the protocol's server as one caller sees it: it lives as long as a request."""

    async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return await _listed(scope, params.cursor if params else None)

    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        assistant = await _named(scope, params.name)
        return await _called(scope, assistant, params.arguments or {})

    return Server(
        "Interlock", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool
    )


async def _listed(scope: Scope, cursor: str | None) -> ListToolsResult:
    offset = int(cursor) if cursor and cursor.isdecimal() and len(cursor) < 9 else 0
    found = await _page(scope, offset)
    tools = await asyncio.to_thread(lambda: [_tool(scope, each) for each in found])
    more = str(offset + PAGE) if len(found) == PAGE else None
    return ListToolsResult(tools=tools, next_cursor=more)


async def _page(scope: Scope, offset: int, name: str | None = None) -> Sequence[Assistant]:
    wanted = Filter(graphs=tuple(scope.il.application.targets), name=name)
    page = Page(limit=PAGE, offset=offset, ascending=True)
    return await AssistantStore(scope.reader.pool).search(wanted, page)


async def _named(scope: Scope, name: str) -> Assistant:
    """Return the assistant that a tool stands for; raises the protocol's error for none."""
    offset = 0
    while found := await _page(scope, offset):
        for each in found:
            if _name(each) == name:
                return each
        offset += PAGE
    raise MCPError(INVALID_PARAMS, f"There is no tool {name[:NAME]!r}.")


def _tool(scope: Scope, assistant: Assistant) -> Tool:
    schema = schemas(scope.il.graph(assistant.graph), assistant.graph)["input_schema"] or {}
    return Tool(
        name=_name(assistant),
        description=assistant.description or f"Runs the graph {assistant.graph}.",
        input_schema={**schema, "type": "object"},
    )


def _name(assistant: Assistant) -> str:
    """Return a tool's name: that of its graph, or an assistant's own with a part of its id, so that no two are one."""
    if assistant.assistant_id == default_id(assistant.graph):
        return _fitting(assistant.graph)[:NAME]
    start = str(assistant.assistant_id)[:8]
    return f"{_fitting(assistant.name or assistant.graph)[: NAME - 9]}-{start}"


def _fitting(name: str) -> str:
    return re.sub("[^A-Za-z0-9_-]", "_", name)


async def _called(
    scope: Scope, assistant: Assistant, arguments: Mapping[str, Any]
) -> CallToolResult:
    try:
        request = RunCreate(assistant_id=assistant.assistant_id, input=dict(arguments))
        run = await accept(scope, None, request)
        came = orjson.loads(dumps(await result(scope, run.run_id)))
    except DatabaseUnavailable:
        raise
    except (InterlockError, ValidationError) as error:
        return _told(str(error), failed=True)
    return _outcome(came, {"thread_id": run.thread_id, "run_id": run.run_id})


def _outcome(came: Any, where: Mapping[str, str]) -> CallToolResult:  # the graph's output
    if not isinstance(came, dict):
        return _told(dumps(came).decode(), {"output": came})
    if ERROR in came:
        return _told(outward(came[ERROR], where["run_id"]), failed=True)
    if INTERRUPT in came:
        asked = {"status": "interrupted", "interrupts": came[INTERRUPT], **where}
        text = f"It waits for an answer, which is given where {where['thread_id']} is shown."
        values = dumps([each.get("value") for each in came[INTERRUPT]]).decode()
        return _told(f"{text} It asks: {values}", asked)
    return _told(dumps(came).decode(), came)


def _told(
    text: str, structured: dict[str, Any] | None = None, *, failed: bool = False
) -> CallToolResult:
    content = [TextContent(type="text", text=text)]
    return CallToolResult(content=list(content), structured_content=structured, is_error=failed)
