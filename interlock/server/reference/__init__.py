"""The page at `/docs`, made from the OpenAPI document, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

FOLDER = Path(__file__).parent

STYLE = (FOLDER / "reference.css").read_text(encoding="utf-8")

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A parameter, or a field of a body."""

    name: str
    kind: str
    needed: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that the server does."""

    method: str
    path: str
    summary: str
    text: str
    parameters: Sequence[Value]
    body: Sequence[Value]
    answers: Sequence[tuple[str, str]]

    @property
    def anchor(self) -> str:
        """Return its name in addresses."""
        return f"{self.method}{self.path}".replace("/", "-").replace("{", "").replace("}", "")


def page(document: Mapping[str, Any]) -> str:  # JSON
    """Return the page about an OpenAPI document."""
    template = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("reference.html")
    return template.render(info=document["info"], groups=groups(document))


def groups(document: Mapping[str, Any]) -> dict[str, list[Operation]]:  # JSON
    """Return all operations by tag, in the order of the document's tags."""
    found: dict[str, list[Operation]] = {each["name"]: [] for each in document.get("tags", ())}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if each := methods.get(method):
                tag = (each.get("tags") or ["Other"])[0]
                found.setdefault(tag, []).append(_operation(document, method, path, each))
    return {tag: operations for tag, operations in found.items() if operations}


def _operation(
    document: Mapping[str, Any],  # JSON
    method: str,
    path: str,
    said: Mapping[str, Any],  # JSON
) -> Operation:
    content = said.get("requestBody", {}).get("content", {}).get("application/json", {})
    lines = said.get("description", "").partition("\n\n")
    return Operation(
        method=method.upper(),
        path=path,
        summary=lines[0] or said.get("summary", ""),
        text=lines[2],
        parameters=[
            Value(
                name=each["name"],
                kind=_kind(document, each.get("schema", {})),
                needed=each.get("required", False),
                text=f"in the {each['in']}",
            )
            for each in said.get("parameters", ())
        ],
        body=list(_fields(document, content.get("schema", {}))),
        answers=[(code, each["description"]) for code, each in sorted(said["responses"].items())],
    )


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Value]:  # JSON
    schema = _resolved(document, schema)
    needed = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield Value(
            name=name,
            kind=_kind(document, each),
            needed=name in needed,
            text=each.get("description", ""),
        )


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:  # JSON
    """Return what a value is, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        kinds = [_kind(document, each) for each in choices]
        return " | ".join(dict.fromkeys(each for each in kinds if each != "null")) or "null"
    if schema.get("type") == "array":
        return f"{_kind(document, schema.get('items', {}))}[]"
    return str(schema.get("format") or schema.get("type") or "any")


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:  # JSON
    """Return the schema that a reference names; of several choices the first one that has fields."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        found: Mapping[str, Any] = document["components"]["schemas"][name]
        return found
    for each in schema.get("anyOf", ()):
        if (found := _resolved(document, each)).get("properties"):
            return found
    return schema
