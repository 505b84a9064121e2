"""What a JSON Schema says of a value: which kind of field holds it, what it is called, what it may look like. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

Json = Any

FieldKind = Literal[
    "text",
    "long",
    "integer",
    "number",
    "flag",
    "choice",
    "lines",
    "message",
    "json",
    "group",
    "items",
]
"""`group` is a mapping with known keys, `items` a list; both have fields inside."""

KINDS: Mapping[str, FieldKind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "flag",
}
NAMES: Mapping[str, str] = {
    "string": "texts",
    "integer": "integers",
    "number": "numbers",
    "object": "entries",
    "values": "values",
}
DEEPEST = 5
"""How deep fields are nested; what is deeper is JSON."""


def resolved(schema: Mapping[str, Json], known: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a schema with what it refers to in its place, and the one type of a value that may be None."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return resolved({**known.get(name, {}), **rest}, known)
    some = schema.get("anyOf", schema.get("oneOf", ()))
    others = [each for each in some if each.get("type") != "null"]
    if len(others) == 1:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        return resolved({**others[0], **rest}, known)
    return schema


def kind_of(schema: Mapping[str, Json], depth: int) -> FieldKind:
    """Return the kind of field that holds what a resolved schema describes, so deep inside of others."""
    if "enum" in schema and all(isinstance(each, str) for each in schema["enum"]):
        return "choice"
    if schema.get("type") == "array":
        return _kind_of_list(resolved(schema.get("items", {}), schema.get("$defs", {})), depth)
    if schema.get("type") == "object" and schema.get("properties"):
        return "group" if depth < DEEPEST else "json"
    return KINDS.get(str(schema.get("type")), "json")


def _kind_of_list(item: Mapping[str, Json], depth: int) -> FieldKind:
    if item.get("type") == "string" and "enum" not in item:
        return "lines"
    nested = item.get("type") == "object" and item.get("properties")
    return "items" if nested and depth < DEEPEST else "json"


def type_name(schema: Mapping[str, Json]) -> str:
    """Return how a person calls what a resolved schema describes."""
    name = str(schema.get("type", "any"))
    if name == "array":
        item = resolved(schema.get("items", {}), schema.get("$defs", {}))
        return f"list of {NAMES.get(str(item.get('type', 'values')), 'values')}"
    if "enum" in schema:
        return "choice"
    return {"string": "text", "boolean": "yes or no", "object": "mapping"}.get(name, name)


def example(schema: Mapping[str, Json]) -> Json:
    """Return what a value may look like."""
    return _example(schema, schema.get("$defs", {}), 0)


def _example(schema: Mapping[str, Json], known: Mapping[str, Json], depth: int) -> Json:
    found = resolved(schema, known)
    if depth > DEEPEST:
        return None
    match found.get("type"):
        case "object" if "properties" in found:
            return {k: _example(v, known, depth + 1) for k, v in found["properties"].items()}
        case "object":
            inner = found.get("additionalProperties")
            return {"name": _example(inner, known, depth + 1) if isinstance(inner, dict) else ""}
        case "array":
            return [_example(found.get("items", {}), known, depth + 1)]
        case kind:
            simple = {"integer": 1, "number": 1.5, "boolean": True, "string": "text"}
            return found.get("enum", [simple.get(str(kind))])[0]


def holds(kind: FieldKind, value: Json) -> bool:
    """Say whether a kind of field can show a value without loss."""
    return HOLDS.get(kind, lambda _: True)(value)


def text_of(kind: FieldKind, value: Json) -> str:
    """Return what stands in a field of a kind for a value."""
    match kind:
        case "text" | "long" | "choice" | "integer" | "number":
            return str(value)
        case "flag":
            return "on" if value else ""
        case "lines":
            return "\n".join(value)
        case _:
            return json.dumps(value, ensure_ascii=False, indent=2)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_lines(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(x, str) and "\n" not in x for x in value)


HOLDS: Mapping[FieldKind, Callable[[Json], bool]] = {
    "text": lambda value: isinstance(value, str),
    "long": lambda value: isinstance(value, str),
    "integer": _is_number,
    "number": _is_number,
    "flag": lambda value: isinstance(value, bool),
    "lines": _is_lines,
    "group": lambda value: isinstance(value, dict),
    "items": lambda value: isinstance(value, list),
    "message": lambda value: False,
}
"""What a field of each kind can show; JSON shows everything."""
