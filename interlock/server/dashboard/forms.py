"""What a form gives, read back into values: checked, and with what is wrong beside each field. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import (
    BaseModel,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from interlock.errors import UsageError
from interlock.server.dashboard.fields import Field

Json = Any

SPEAKERS: Mapping[str, type[BaseMessage]] = {
    "human": HumanMessage,
    "ai": AIMessage,
    "system": SystemMessage,
}
"""Who says a message that is written in a form."""


def read(
    fields: Sequence[Field], form: Mapping[str, str], *, changed_only: bool = False
) -> tuple[dict[str, Any], list[Field]]:  # values of keys
    """Return what a form gives, and its fields with what was given and what is wrong with it.

    Args:
        fields: as the form was made.
        form: what was sent; a field that was not is as it was.
        changed_only: leave out what stands as it stood.
    """
    values: dict[str, Any] = {}
    read_back = []
    for field in fields:
        field = _taken(field, form)  # noqa: PLW2901  # the field as it was sent
        leave_out = _is_unchanged(field) if changed_only else is_empty(field)
        if leave_out or (field.adds and is_empty(field)):
            needed = field.required and not changed_only
            read_back.append(replace(field, fault="This is needed." if needed else ""))
            continue
        found, field = _checked(field)  # noqa: PLW2901  # the field with what is wrong
        if not field.faulty:
            values[field.key] = found
        read_back.append(field)
    return values, read_back


def read_json(text: str, what: str) -> Json:
    """Return JSON that a person wrote; raises `UsageError`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{what}: this is not JSON: {error}.") from error


def read_loosely(text: str) -> Json:
    """Return JSON where a text is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def is_empty(field: Field) -> bool:
    """Say whether a field gives nothing."""
    if field.kind in ("group", "items"):
        return all(is_empty(each) for each in field.inner)
    if field.kind == "message":
        return not field.given.strip() and not any(_is_edited(each) for each in field.inner)
    return field.kind != "flag" and not field.given.strip()


def _taken(field: Field, form: Mapping[str, str]) -> Field:
    """Return a field with what a form gives to it, and to those inside."""
    kept = field.given if field.kind != "flag" else ""
    given = form.get(field.name, kept).replace("\r\n", "\n")
    role = form.get(f"role:{field.path}", "")
    inner: Sequence[Field] = [_taken(each, form) for each in field.inner]
    if field.kind == "items":
        gone = {n for n in range(len(inner)) if f"drop:{field.path}.{n}" in form}
        inner = [replace(each, dropped=n in gone) for n, each in enumerate(inner)]
        inner = [*inner, *(_taken(field.item(n), form) for n in _added(field, form))]
    return replace(field, given=given, inner=inner, type_name=role or field.type_name)


def _added(field: Field, form: Mapping[str, str]) -> list[int]:
    """Return the numbers of the items that a form adds."""
    form_of_items = re.compile(rf"value:{re.escape(field.path)}\.(\d{{1,4}})\b")
    found = {int(named[1]) for key in form if (named := form_of_items.match(key))}
    return sorted(number for number in found if number >= len(field.inner))


def _is_unchanged(field: Field) -> bool:
    match field.kind:
        case "message":
            return is_empty(field)
        case "group":
            return all(_is_unchanged(each) for each in field.inner)
        case "items":
            return all(
                _is_unchanged(x) and not x.dropped if x.is_there else is_empty(x)
                for x in field.inner
            )
        case _:
            return not _is_edited(field)


def _is_edited(field: Field) -> bool:
    return field.given.strip() != field.shown.strip()


def _checked(field: Field) -> tuple[Any, Field]:  # a value of the key
    """Return the value that a field gives, and the field with what is wrong with it."""
    value, field = _valued(field)
    if field.faulty:
        return None, field
    try:
        adapter = TypeAdapter(field.hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value, field  # a type that pydantic does not know
    try:
        made = adapter.validate_python(value)
    except ValidationError as error:
        for each in error.errors()[:5]:
            field = _told(field, [str(part) for part in each["loc"]], each["msg"])
        return None, field
    return (made if isinstance(field.original, BaseModel) else value), field


def _valued(field: Field) -> tuple[Any, Field]:  # a value of the key
    """Return the value of a field as it was sent, and the field with what cannot be read."""
    if field.is_there and _is_unchanged(field):
        return field.value, field
    if field.kind not in ("group", "items"):
        return _leaf(field)
    found = [_valued(each) for each in field.inner]
    field = replace(field, inner=[each for _, each in found])
    kept = [(value, each) for value, each in found if _counts(each)]
    if field.kind == "items":
        return [value for value, _ in kept], field
    return {each.key: value for value, each in kept}, field


def _counts(field: Field) -> bool:
    """Say whether a part is in what holds it; what was not there and is left empty is not."""
    if field.kind == "flag":
        return field.is_there or bool(field.given)
    return not field.dropped and (field.is_there or not is_empty(field))


def _leaf(field: Field) -> tuple[Any, Field]:  # a value of the key
    try:
        return _value_of(field), field
    except UsageError as error:
        return None, replace(field, fault=str(error))


def _value_of(field: Field) -> Any:  # a value of the key
    text = field.given
    match field.kind:
        case "text" | "long":
            return text
        case "choice" | "integer" | "number":
            return _one_of(field) if text.strip() else None
        case "flag":
            return text == "on"
        case "lines":
            return [line.strip() for line in text.split("\n") if line.strip()]
        case _:
            return (
                _messages(field)
                if field.kind == "message"
                else read_json(text or "null", "The value")
            )


def _one_of(field: Field) -> str | float:
    if field.kind == "choice":
        return field.given
    return _number(field.given, whole=field.kind == "integer")


def _messages(field: Field) -> list[BaseMessage]:
    """Return messages that were changed, under their ids, and the one that was written."""
    edited = [each for each in field.inner if _is_edited(each)]
    changed = [each.value.model_copy(update={"content": each.given}) for each in edited]
    said = SPEAKERS.get(field.type_name, HumanMessage)
    return [*changed, *([said(field.given)] if field.given.strip() else [])]


def _number(text: str, *, whole: bool) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise UsageError("This is not a whole number." if whole else "This is no number.") from None


def _told(field: Field, place: Sequence[str], said: str) -> Field:
    """Return a field with what is wrong, at the part that it is of."""
    kept = [n for n, each in enumerate(field.inner) if _counts(each) or field.kind == "group"]
    if field.kind == "items" and place and place[0].isdigit() and int(place[0]) < len(kept):
        at = kept[int(place[0])]
    else:
        at = next((n for n, each in enumerate(field.inner) if place and each.key == place[0]), -1)
    if at < 0 or field.kind == "message":
        return replace(field, fault=f"{'.'.join(place)}: {said}".removeprefix(": "))
    inner = list(field.inner)
    inner[at] = _told(inner[at], place[1:], said)
    return replace(field, inner=inner)
