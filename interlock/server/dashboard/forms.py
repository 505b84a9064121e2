"""What a form gives, read back into values: checked, and with what is wrong beside each field. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from interlock.errors import UsageError
from interlock.server.dashboard.fields import Field

Json = Any


def read(
    fields: Sequence[Field], form: Mapping[str, str], *, changed_only: bool = False
) -> tuple[dict[str, Any], list[Field]]:  # values of keys
    """Return what a form gives, and its fields with what was given and what is wrong with it.

    Args:
        fields: as the form was made.
        form: what was sent.
        changed_only: leave out what stands as it stood.
    """
    values: dict[str, Any] = {}
    read_back = []
    for field in fields:
        given = form.get(field.name, "").replace("\r\n", "\n")
        field = replace(field, given=given)  # noqa: PLW2901  # the field as it was sent
        same = given.strip() == field.shown.strip()
        if (changed_only and same) or (_is_empty(field) and not (changed_only and not field.adds)):
            fault = "This is needed." if field.required and not changed_only else ""
            read_back.append(replace(field, fault=fault))
            continue
        try:
            values[field.key] = _checked(field)
        except UsageError as error:
            field = replace(field, fault=str(error))  # noqa: PLW2901  # as above
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


def _is_empty(field: Field) -> bool:
    return field.kind != "flag" and not field.given.strip()


def _checked(field: Field) -> Any:  # a value of the key
    value = _value_of(field)
    try:
        adapter = TypeAdapter(field.hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value  # a type that pydantic does not know
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        raise UsageError("; ".join(_told(each) for each in error.errors()[:3])) from error
    return value


def _told(fault: Mapping[str, Any]) -> str:  # pydantic's own
    place = ".".join(str(each) for each in fault["loc"])
    return f"{place}: {fault['msg']}".removeprefix(": ")


def _value_of(field: Field) -> Any:  # a value of the key
    text = field.given
    match field.kind:
        case "text" | "long" | "choice":
            return text
        case "integer" | "number":
            return _number(text, whole=field.kind == "integer")
        case "flag":
            return text == "on"
        case "lines":
            return [line.strip() for line in text.split("\n") if line.strip()]
        case "message":
            return [HumanMessage(text)]
        case "json":
            return read_json(text or "null", "The value")


def _number(text: str, *, whole: bool) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise UsageError("This is not a whole number." if whole else "This is no number.") from None
