"""A field for each key of a graph's input or state, made from its schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NotRequired, Required, cast, get_args, get_origin, get_type_hints

from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from langgraph.graph.message import add_messages
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from interlock.application import Graph
from interlock.core.actions import Action
from interlock.server.dashboard.words import plain, pretty

FieldKind = Literal[
    "text", "long", "integer", "number", "flag", "choice", "lines", "message", "json"
]

KINDS: Mapping[str, FieldKind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "flag",
}
LONG_TEXT = 60
"""Characters from which a text is edited in several lines."""

Hint = Any  # a type, as get_type_hints returns it


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a graph's input or state, as a form has it.

    Attributes:
        given: what stands in it; `on` or nothing for a flag.
        shown: what stood in it when the form was made: what is still the same was not changed.
        adds: what is given is added to what is there, by the key's reducer.
        now: what is there, as it is shown beside a field that adds.
        fault: what is wrong with what was given.
    """

    key: str
    kind: FieldKind
    hint: Hint = None
    about: str = ""
    type_name: str = ""
    required: bool = False
    choices: Sequence[str] = ()
    given: str = ""
    shown: str = ""
    adds: bool = False
    now: str = ""
    fault: str = ""

    @property
    def name(self) -> str:
        """What its field in the form is called; keys may be called as anything, also as the form's own."""
        return f"value:{self.key}"


def input_fields(graph: Graph) -> list[Field]:
    """Return the fields of a graph's input, empty but for defaults."""
    schema = graph.builder.input_schema
    hints = get_type_hints(schema, include_extras=True)
    needed: frozenset[str] = getattr(schema, "__required_keys__", frozenset())
    found = [
        _field(key, hint, required=key in needed and get_origin(hint) is not NotRequired)
        for key, hint in hints.items()
    ]
    return [each for each in found if not each.key.startswith("__")]


def state_fields(graph: Graph, values: Mapping[str, Any]) -> list[Field]:  # its state
    """Return the fields of a graph's state at some step, with what stands there."""
    hints = get_type_hints(graph.builder.state_schema, include_extras=True)
    fields = []
    for key, hint in hints.items():
        found = _field(key, hint)
        if isinstance(graph.channels.get(key), BinaryOperatorAggregate | DeltaChannel):
            found = replace(found, adds=True, now=pretty(values[key]) if key in values else "")
        elif key in values:
            found = filled(found, values[key])
        fields.append(found)
    return fields


def argument_fields(
    declared: Action[Any], values: Mapping[str, Any]
) -> list[Field]:  # its result's type; JSON
    """Return the fields of an action's arguments, with what is asked about in them."""
    hints = get_type_hints(declared.arguments, include_extras=True)
    names = [
        *(each for each in hints if each in values),
        *(each for each in values if each not in hints),
    ]
    return [filled(_field(each, hints.get(each, Any)), values[each]) for each in names]


def filled(field: Field, value: Any) -> Field:  # a value of the key
    """Return a field with a value in it; of a kind that can hold it."""
    if not _holds(field.kind, value):
        field = replace(field, kind="json")
    kind = "long" if field.kind == "text" and len(str(value)) > LONG_TEXT else field.kind
    text = _text_of(kind, value)
    return replace(field, kind=kind, given=text, shown=text)


def _field(key: str, hint: Hint, *, required: bool = False) -> Field:
    bare = _bare(hint)
    if add_messages in getattr(bare, "__metadata__", ()):
        return Field(key=key, kind="message", hint=bare, type_name="message", required=required)
    schema = _schema(bare)
    default = schema.get("default")
    field = Field(
        key=key,
        kind=_kind(schema),
        hint=bare,
        about="" if schema.get("type") == "object" else str(schema.get("description", "")),
        type_name=_type_name(schema),
        required=required,
        choices=tuple(str(each) for each in schema.get("enum", ())),
    )
    return field if default is None or not _holds(field.kind, default) else filled(field, default)


def _bare(hint: Hint) -> Hint:
    while cast("Any", get_origin(hint)) in (
        Required,
        NotRequired,
    ):  # mypy knows other origins alone
        hint = get_args(hint)[0]
    return hint


def _schema(hint: Hint) -> Mapping[str, Any]:  # JSON Schema
    try:
        schema = TypeAdapter(hint).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticInvalidForJsonSchema):
        return {}  # a type that pydantic does not know: JSON
    if set(schema) & {"anyOf", "oneOf"}:
        some = [x for x in schema.get("anyOf", schema.get("oneOf", [])) if x.get("type") != "null"]
        if len(some) == 1:
            return {**some[0], **{k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}}
    return schema


def _kind(schema: Mapping[str, Any]) -> FieldKind:  # JSON Schema
    if "enum" in schema and all(isinstance(each, str) for each in schema["enum"]):
        return "choice"
    if schema.get("type") == "array" and schema.get("items", {}).get("type") == "string":
        return "lines"
    return KINDS.get(str(schema.get("type")), "json")


def _type_name(schema: Mapping[str, Any]) -> str:  # JSON Schema
    name = str(schema.get("type", "any"))
    if name == "array":
        return f"list of {schema.get('items', {}).get('type', 'values')}"
    return {"string": "text", "boolean": "yes or no", "object": "mapping"}.get(name, name)


def _holds(kind: FieldKind, value: Any) -> bool:  # a value of the key
    """Say whether a kind of field can show a value without loss."""
    match kind:
        case "text" | "long" | "choice":
            return isinstance(value, str)
        case "integer" | "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "flag":
            return isinstance(value, bool)
        case "lines":
            return isinstance(value, list) and all(
                isinstance(x, str) and "\n" not in x for x in value
            )
        case "message":
            return False
        case "json":
            return True


def _text_of(kind: FieldKind, value: Any) -> str:  # a value of the key
    match kind:
        case "text" | "long" | "choice" | "integer" | "number":
            return str(value)
        case "flag":
            return "on" if value else ""
        case "lines":
            return "\n".join(value)
        case "message" | "json":
            return json.dumps(plain(value), ensure_ascii=False, indent=2)
