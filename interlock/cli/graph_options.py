"""Command-line options made from a graph's input schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from interlock.cli.texts import read_value
from interlock.errors import UsageError

Schema = Mapping[str, Any]  # JSON Schema of one input key
PREFIX = "input__"
SCALARS: Mapping[str, click.ParamType[Any]] = {
    "string": click.STRING,
    "integer": click.INT,
    "number": click.FLOAT,
}


class JsonOrText(click.ParamType[Any]):
    """A value whose type the command line cannot express: JSON, or else the text itself."""

    name = "text|json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # click's signature
        """Read JSON; keep what is none."""
        return read_value(value) if isinstance(value, str) else value


def options_of(properties: Mapping[str, Schema], taken: Sequence[str]) -> list[click.Option]:
    """Return one option per input key, except for those whose names are taken."""
    return [_option(key, each) for key, each in properties.items() if flag(key) not in taken]


def values_of(params: Mapping[str, Any]) -> dict[str, Any]:  # click's values -> graph input
    """Return the input that was given with those options."""
    given = {
        key.removeprefix(PREFIX): list(value) if isinstance(value, tuple) else value
        for key, value in params.items()
        if key.startswith(PREFIX) and value not in (None, ())
    }
    return {key: _unwrapped(value) for key, value in given.items()}


def read_input(text: str) -> dict[str, Any]:  # graph input
    """Return a whole input given as JSON, or as `@file`; raises `UsageError`."""
    if text.startswith("@"):
        text = _read(text[1:])
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--input is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UsageError("--input is not a JSON object.", hint="Write --input '{\"key\": …}'.")
    return value


def check_complete(graph: str, properties: Mapping[str, Schema], given: Mapping[str, Any]) -> None:
    """Raise `UsageError` that names the options that are missing."""
    missing = [key for key, each in properties.items() if each["required"] and key not in given]
    if missing:
        raise UsageError(
            f"The graph {graph!r} needs {', '.join(flag(key) for key in missing)}.",
            hint=f"`interlock run {graph} --help` says what they mean.",
        )


def spread(arguments: Sequence[str], many: Sequence[str]) -> list[str]:
    """Repeat an option that takes many values before each value: `-x a b` becomes `-x a -x b`."""
    result: list[str] = []
    current = ""
    for argument in arguments:
        if argument.startswith("-") and len(argument) > 1:
            current = argument if argument in many else ""
            result.append(argument)
        elif current and result[-1] != current:
            result += [current, argument]
        else:
            result.append(argument)
    return result


def flag(key: str) -> str:
    """Return the option's name for an input key."""
    return f"--{key.replace('_', '-')}"


def _option(key: str, schema: Schema) -> click.Option:
    kind = _kind(schema)
    text = _help(schema)
    name = flag(key)
    if kind == "boolean":
        names = [f"{name}/--no-{name[2:]}", PREFIX + key]
        return click.Option(names, default=None, help=text)
    if kind == "array":
        items = _not_null(schema).get("items", {})
        return click.Option([name, PREFIX + key], type=_type(items), multiple=True, help=text)
    return click.Option([name, PREFIX + key], type=_type(schema), help=text)


def _type(schema: Schema) -> click.ParamType[Any]:
    if choices := _not_null(schema).get("enum"):
        return click.Choice([str(each) for each in choices])
    return SCALARS.get(_kind(schema), JsonOrText())


def _kind(schema: Schema) -> str:
    return str(_not_null(schema).get("type", "json"))


def _not_null(schema: Schema) -> Schema:
    """Return what an optional value is when it is there."""
    forms = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return forms[0] if len(forms) == 1 else schema


def _help(schema: Schema) -> str:
    text = str(schema.get("description", "")).rstrip(".")
    if schema["required"]:
        return f"{text}  [required]".strip()
    if "default" in schema:
        return f"{text}  [default: {schema['default']}]".strip()
    return text


def _unwrapped(value: Any) -> Any:  # a value of the input
    """Return the list itself where one JSON list was given for an array."""
    alone = isinstance(value, list) and len(value) == 1 and isinstance(value[0], list)
    return value[0] if alone else value


def _read(path: str) -> str:
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return str(file.read())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
