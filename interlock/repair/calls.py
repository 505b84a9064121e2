"""Calls whose arguments can be changed: tool calls that wait in the state, and acts that were refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Send
from pydantic import BaseModel, ValidationError

from interlock.application import Graph
from interlock.core import actions
from interlock.errors import ActionRefused, UsageError
from interlock.postgres.plain import plain
from interlock.postgres.repairs import RefusedAct
from interlock.repair.remains import Remains


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call, or an act that was refused.

    Attributes:
        id: of the tool call, or the beginning of the act's key.
        arguments: as JSON.
        fault: why it was refused; empty when it is not known to be.
    """

    id: str
    what: Literal["tool call", "act"]
    name: str
    arguments: Mapping[str, Any]
    fault: str = ""


def calls_of(remains: Remains, refused: Sequence[RefusedAct]) -> list[Call]:
    """Return the tool calls that wait at a checkpoint, and the acts that were refused there."""
    acts = [
        Call(
            id=each.key[:12],
            what="act",
            name=each.action,
            arguments=each.arguments,
            fault=each.reason,
        )
        for each in refused
    ]
    waiting = [_with_fault(remains.graph, each, acts) for each in _waiting(remains)]
    called = [(each.name, each.arguments) for each in waiting]
    return waiting + [each for each in acts if (each.name, each.arguments) not in called]


def sends_of(remains: Remains) -> list[Send]:
    """Return what is sent to nodes at a checkpoint, each with its own input."""
    return [
        each
        for each in remains.found.checkpoint["channel_values"].get(TASKS) or ()
        if isinstance(each, Send)
    ]


def corrected(value: Any, call_id: str, arguments: Mapping[str, Any]) -> Any:  # any state
    """Return a value in which a tool call has other arguments; itself where it holds no such call."""
    if isinstance(value, AIMessage):
        calls = [corrected(each, call_id, arguments) for each in value.tool_calls]
        changed = any(a is not b for a, b in zip(calls, value.tool_calls, strict=True))
        return value.model_copy(update={"tool_calls": calls}) if changed else value
    if isinstance(value, Send):
        found = copy(value)
        found.arg = corrected(value.arg, call_id, arguments)
        return value if found.arg is value.arg else found
    if isinstance(value, dict):
        if _is_call(value) and value["id"] == call_id:
            return {**value, "args": dict(arguments)}
        parts = {key: corrected(each, call_id, arguments) for key, each in value.items()}
        return parts if any(parts[key] is not value[key] for key in parts) else value
    if type(value) in (list, tuple):
        items = [corrected(each, call_id, arguments) for each in value]
        changed = any(a is not b for a, b in zip(items, value, strict=True))
        return type(value)(items) if changed else value
    return value


def schema_of(graph: Graph, name: str) -> dict[str, Any] | None:  # JSON Schema
    """Return the JSON Schema of what a tool or an action takes; None where it is not known."""
    if actions.is_declared(name):
        return actions.find(name).argument_schema()
    model = _tool_model(graph, name)
    return model.model_json_schema() if model else None


def check(graph: Graph, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return arguments that fit what a tool or an action takes; raises `UsageError`."""
    if actions.is_declared(name):
        try:
            return actions.find(name).validate_arguments(arguments)
        except ActionRefused as error:
            raise UsageError(str(error)) from error
    model = _tool_model(graph, name)
    if model is None:
        raise UsageError(
            f"{name} is neither an action nor a tool that the graph shows: its arguments cannot be checked.",
            hint="Declare it as an action, or change the state.",
        )
    try:
        model.model_validate(dict(arguments))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"The arguments of {name} are wrong: {faults}.") from error
    return dict(arguments)


def _waiting(remains: Remains) -> list[Call]:
    """Return the tool calls without an answer, each once."""
    held = [remains.snapshot.values, [each.arg for each in sends_of(remains)]]
    answered = {each.tool_call_id for each in _parts(held) if isinstance(each, ToolMessage)}
    found = {each["id"]: each for each in _parts(held) if _is_call(each)}
    return [
        Call(id=id_, what="tool call", name=each["name"], arguments=plain(each["args"]))
        for id_, each in found.items()
        if id_ not in answered
    ]


def _parts(value: Any) -> Iterator[Any]:  # any state
    """Yield a value, and all that it holds."""
    yield value
    if isinstance(value, AIMessage):
        yield from value.tool_calls
    elif isinstance(value, dict):
        for each in value.values():
            yield from _parts(each)
    elif type(value) in (list, tuple):
        for each in value:
            yield from _parts(each)


def _is_call(value: Any) -> bool:  # anything
    if not isinstance(value, dict):
        return False
    named = isinstance(value.get("name"), str) and isinstance(value.get("id"), str)
    return named and isinstance(value.get("args"), dict)


def _with_fault(graph: Graph, call: Call, acts: Sequence[Call]) -> Call:
    """Return a tool call with why it was refused as an act, or how its arguments do not fit."""
    for each in acts:
        if (each.name, each.arguments) == (call.name, call.arguments):
            return replace(call, fault=each.fault)
    if schema_of(graph, call.name) is None:
        return call
    try:
        check(graph, call.name, call.arguments)
    except UsageError as error:
        return replace(call, fault=str(error))
    return call


def _tool_model(graph: Graph, name: str) -> type[BaseModel] | None:
    """Return the model of a tool's arguments, where a `ToolNode` of the graph has the tool."""
    for spec in graph.builder.nodes.values():
        tool = getattr(spec.runnable, "tools_by_name", {}).get(name)
        schema = tool.tool_call_schema if isinstance(tool, BaseTool) else None
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return schema
    return None
