"""A field for each key of a graph's input or state, made from its schema; what is nested has fields inside. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NotRequired, Required, cast, get_args, get_origin, get_type_hints

from langchain_core.messages import BaseMessage
from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from langgraph.graph.message import add_messages
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from interlock.application import Graph
from interlock.core.actions import Action
from interlock.server.dashboard.schemas import (
    FieldKind,
    Json,
    holds,
    kind_of,
    resolved,
    text_of,
    type_name,
)
from interlock.server.dashboard.schemas import example as example_of
from interlock.server.dashboard.words import plain, pretty

LONG_TEXT = 60
"""Characters from which a text is edited in several lines."""
LATEST = 20
"""Messages whose text can be changed, the last ones."""

Hint = Any  # a type, as get_type_hints returns it


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a graph's input or state, as a form has it, or a part of what it holds.

    Attributes:
        path: the way to it, which names it in the form.
        given: what stands in it; `on` or nothing for a flag.
        shown: what stood in it when the form was made: what is still the same was not changed.
        adds: what is given is added to what is there, by the key's reducer.
        now: what is there, as it is shown beside a field that adds.
        fault: what is wrong with what was given.
        inner: the fields of what it holds: of a mapping, of a list's items, of messages.
        schema: JSON Schema, with what it refers to.
        value: what is there: JSON, or a message; None also where nothing is.
        original: the same as the state holds it.
        is_there: whether anything is.
        dropped: it is an item that is to be taken out.
    """

    key: str
    kind: FieldKind
    path: str = ""
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
    inner: Sequence[Field] = ()
    schema: Mapping[str, Json] = field(default_factory=dict, repr=False)
    value: Any = None  # JSON or a message
    original: Any = None  # a value of the key
    is_there: bool = False
    dropped: bool = False

    @property
    def name(self) -> str:
        """What its field in the form is called; keys may be called as anything, also as the form's own."""
        return f"value:{self.path or self.key}"

    @property
    def faulty(self) -> bool:
        """Whether anything is wrong with it, or inside."""
        return bool(self.fault) or any(each.faulty for each in self.inner)

    @property
    def example(self) -> str:
        """What a value may look like, for a field of JSON."""
        text = json.dumps(example_of(self.schema))
        return f"JSON, such as {text}" if self.schema and len(text) < 200 else "JSON"

    @property
    def summary(self) -> str:
        """What an item is about: the first text in it."""
        if not self.inner:
            return self.given
        return next((text for each in self.inner if (text := each.summary)), "")

    def item(self, number: int) -> Field:
        """Return an item of a list, without a value."""
        inner = {**self.schema.get("items", {}), "$defs": self.schema.get("$defs", {})}
        return of_schema(str(number), inner, path=f"{self.path}.{number}")

    @property
    def next_item(self) -> Field:
        """The item that may be added."""
        return self.item(len(self.inner))


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
    return [_state_field(graph, _field(key, hint), values) for key, hint in hints.items()]


def _state_field(graph: Graph, found: Field, values: Mapping[str, Any]) -> Field:  # its state
    key = found.key
    if not isinstance(graph.channels.get(key), BinaryOperatorAggregate | DeltaChannel):
        return filled(found, values[key]) if key in values else found
    if key not in values:
        return replace(found, adds=True)
    said = _said(found, values[key]) if found.kind == "message" else ()
    now = "" if said and len(said) == len(values[key]) else pretty(values[key])
    return replace(found, adds=True, now=now, inner=said)


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
    told = plain(value)
    if told is None and field.kind != "message":
        return replace(field, given="", shown="", is_there=True)
    if not _holds(field, told):
        field = replace(field, kind="json")
    kind = "long" if field.kind == "text" and len(str(told)) > LONG_TEXT else field.kind
    text = text_of(kind, told)
    field = replace(field, kind=kind, given=text, shown=text, value=told, is_there=True)
    field = replace(field, original=value)
    if kind == "group":
        return replace(
            field,
            inner=[filled(x, told[x.key]) if x.key in told else x for x in field.inner],
        )
    if kind == "items":
        return replace(field, inner=[filled(field.item(n), each) for n, each in enumerate(told)])
    return field


def of_schema(
    key: str, schema: Mapping[str, Json], *, path: str, required: bool = False
) -> Field:  # JSON Schema
    """Return the field of a value that a JSON Schema describes."""
    known = schema.get("$defs", {})
    found = {**resolved(schema, known), "$defs": known}
    field = Field(
        key=key,
        path=path,
        kind=kind_of(found, path.count(".")),
        about="" if found.get("type") == "object" else str(found.get("description", "")),
        type_name=type_name(found),
        required=required,
        choices=tuple(str(each) for each in found.get("enum", ())),
        schema=found,
    )
    if field.kind == "group":
        field = replace(field, inner=_properties(field))
    default = found.get("default")
    return field if default is None or not _holds(field, default) else filled(field, default)


def _properties(field: Field) -> list[Field]:
    needed, known = field.schema.get("required", ()), field.schema["$defs"]
    return [
        of_schema(
            name,
            {**each, "$defs": known},
            path=f"{field.path}.{_escaped(name)}",
            required=name in needed,
        )
        for name, each in field.schema["properties"].items()
    ]


def _said(field: Field, messages: Any) -> list[Field]:  # a value of the key
    """Return fields of the last messages: those that have an id are replaced by one that has the same."""
    if not isinstance(messages, list):
        return []
    known = list(enumerate(messages))[-LATEST:]
    return [
        Field(
            key=each.type,
            path=f"{field.path}.{number}",
            kind="long",
            given=each.content,
            shown=each.content,
            value=each,
            is_there=True,
        )
        for number, each in known
        if isinstance(each, BaseMessage) and each.id and isinstance(each.content, str)
    ]


def _field(key: str, hint: Hint, *, required: bool = False) -> Field:
    bare, path = _bare(hint), _escaped(key)
    if add_messages in getattr(bare, "__metadata__", ()):
        return Field(
            key=key, path=path, kind="message", hint=bare, type_name="message", required=required
        )
    return replace(of_schema(key, _schema(bare), path=path, required=required), hint=bare)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace(".", "~1")


def _bare(hint: Hint) -> Hint:
    while cast("Any", get_origin(hint)) in (
        Required,
        NotRequired,
    ):  # mypy knows other origins alone
        hint = get_args(hint)[0]
    return hint


def _schema(hint: Hint) -> Mapping[str, Json]:  # JSON Schema
    try:
        return TypeAdapter(hint).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticInvalidForJsonSchema):
        return {}  # a type that pydantic does not know: JSON


def _holds(field: Field, value: Json) -> bool:
    """Say whether a field can show a value without loss."""
    if field.kind == "choice":
        return value in field.choices
    known = {each.key for each in field.inner}
    return holds(field.kind, value) and (field.kind != "group" or value.keys() <= known)
