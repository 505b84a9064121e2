"""What a graph is given, checked against its schemas before anything is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints

from langchain_core.messages import convert_to_messages
from langgraph.graph.message import add_messages
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from interlock.application import Graph
from interlock.core.context import Context
from interlock.core.documents.gathering import is_tool
from interlock.errors import UsageError

THREAD_ID_LENGTH = 255


def check_input(
    graph: Graph, values: Mapping[str, Any]
) -> dict[str, Any]:  # the graph's input schema
    """Return the input, relative paths made absolute so that any process can go on with them.

    A graph that takes Interlock's `Context` gets its input validated; another application's is passed on as it is.

    Raises:
        UsageError: names each key that is missing, unknown, or of a wrong type.
    """
    if not takes_our_context(graph):
        return dict(values)
    checks = _Checks.of(graph.builder.input_schema)
    _refuse_unknown(values, checks.hints, "input")
    given = {key: _as_messages(value, checks.hints[key]) for key, value in values.items()}
    checked = _validate(checks.adapter, given, "The input")
    return {
        key: absolute(value) if key in checks.paths else value for key, value in checked.items()
    }


def check_thread_id(thread_id: str) -> str:
    """Return a caller's name for a thread; raises `UsageError` when it cannot be one."""
    if not thread_id.strip() or not thread_id.isprintable() or len(thread_id) > THREAD_ID_LENGTH:
        raise UsageError(
            f"{thread_id[:40]!r} cannot name a thread.",
            hint=f"Use 1 to {THREAD_ID_LENGTH} printable characters.",
        )
    if thread_id in (".", ".."):  # no client asks for such a path
        raise UsageError(f"{thread_id!r} cannot name a thread.", hint="Use another name.")
    return thread_id


def check_context(graph: Graph, given: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return the context for a graph with a context schema of its own; raises `UsageError` when it does not fit."""
    if graph.context_schema is None:
        raise UsageError("The graph takes no context.", hint="Leave `context` out.")
    if takes_our_context(graph):
        raise UsageError(
            "The graph takes Interlock's own context, which the runtime makes.",
            hint="Pass `model`, or set it: docs/configuration.md lists all settings.",
        )
    _validate(TypeAdapter(graph.context_schema), dict(given), "The context")
    try:
        return dict(json.loads(json.dumps(dict(given), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The context cannot be saved: {error}.", hint="Pass plain JSON values."
        ) from error


def takes_our_context(graph: Graph) -> bool:
    """Say whether a graph was built for Interlock's `Context`."""
    schema = graph.context_schema
    return isinstance(schema, type) and issubclass(schema, Context)


def check_values(
    graph: Graph, values: Mapping[str, Any]
) -> dict[str, Any]:  # part of the graph's state
    """Return values for a fork; raises `UsageError` that names each key that is unknown or of a wrong type."""
    hints = get_type_hints(graph.builder.state_schema, include_extras=True)
    _refuse_unknown(values, hints, "state")
    return {key: _check_value(key, value, hints[key]) for key, value in values.items()}


def input_properties(graph: Graph) -> dict[str, dict[str, Any]]:  # JSON Schema
    """Return the JSON Schema of each input key, with a `required` flag added; of a type that has none only the flag."""
    given = graph.builder.input_schema
    try:
        schema = TypeAdapter(given).json_schema()
    except (
        PydanticUserError
    ):  # a type that pydantic does not know; before Python 3.12 also `typing.TypedDict`
        return _properties_apart(given)
    required = set(schema.get("required", ()))
    return {
        key: {**each, "required": key in required}
        for key, each in schema.get("properties", {}).items()
    }


def _properties_apart(schema: type[Any]) -> dict[str, dict[str, Any]]:  # any schema; JSON Schema
    """Return the JSON Schema of each key by itself, where there is none of the whole."""
    required: frozenset[str] = getattr(schema, "__required_keys__", frozenset())
    return {
        key: {**_schema_of(hint), "required": key in required}
        for key, hint in get_type_hints(schema, include_extras=True).items()
    }


def _schema_of(hint: Any) -> dict[str, Any]:  # a type; JSON Schema
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    try:
        return TypeAdapter(hint).json_schema()
    except PydanticUserError:
        return {}


def absolute(value: Any) -> Any:  # a source, or a list of them
    """Return paths as absolute ones; URLs and search tools stay."""
    if isinstance(value, list):
        return [absolute(each) for each in value]
    source = str(value)
    if "://" in source or is_tool(source):
        return value
    return str(Path(source).expanduser().absolute())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checks:
    """What checks the inputs of a schema; made once, because runs are submitted more often than graphs are made."""

    hints: Mapping[str, Any]  # type hints
    adapter: TypeAdapter[Any]  # of any schema
    paths: frozenset[str]

    @classmethod
    def of(cls, schema: type[Any]) -> _Checks:  # any schema
        """Return what checks the inputs of a schema."""
        if (known := _known.get(schema)) is None:
            adapter = TypeAdapter(schema)
            properties = adapter.json_schema().get("properties", {})
            known = _known[schema] = cls(
                hints=get_type_hints(schema, include_extras=True),
                adapter=adapter,
                paths=frozenset(
                    key for key, each in properties.items() if each.get("format") == "path"
                ),
            )
        return known


_known: dict[type[Any], _Checks] = {}  # by any schema


def _as_messages(value: Any, hint: Any) -> Any:  # one state key
    """Return what LangGraph takes for messages (`("user", "…")`, dicts, one alone) as messages; else the value."""
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    if add_messages not in getattr(hint, "__metadata__", ()):
        return value
    try:
        return convert_to_messages(value if isinstance(value, list) else [value])
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UsageError(f"The input holds what is no message: {error}.") from error


def _check_value(key: str, value: Any, hint: Any) -> Any:  # one state key
    try:
        adapter = TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value  # a type of another application that pydantic does not know
    return _validate(adapter, value, f"The value of {key}")


def _validate(adapter: TypeAdapter[Any], value: Any, what: str) -> Any:  # any schema
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ")
            for each in error.errors()
        ]
        raise UsageError(f"{what} does not fit: {'; '.join(faults[:5])}.") from error


def _refuse_unknown(values: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    if unknown := sorted(values.keys() - known.keys()):
        raise UsageError(
            f"The graph's {what} has no {', '.join(unknown)}.",
            hint=f"It has: {', '.join(sorted(known))}.",
        )
