"""Reads TOML and YAML into plain values, and tells in one line what is wrong with a text or with its content."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Hashable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from interlock.errors import PolicyInvalid

FormT = TypeVar("FormT", bound=BaseModel)
Document = Mapping[str, Any]  # what the file says
Fault = Mapping[str, Any]  # pydantic's ErrorDetails
Place = tuple[int | str, ...]

LARGEST = 1_000_000
"""Bytes that a file may have."""


def read(path: Path) -> bytes:
    """Return a file's content; raises `PolicyInvalid`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyInvalid(
            f"{path} cannot be read: {error.strerror}.", hint="Name a .toml or .yaml file."
        ) from error
    if len(content) > LARGEST:
        raise PolicyInvalid(
            f"{path} has {len(content):,} bytes.", hint=f"It may have {LARGEST:,} at most."
        )
    return content


def parse(content: bytes, path: Path) -> Document:
    """Return what a file says; the name's ending tells the format. Raises `PolicyInvalid` with the line."""
    parser = PARSERS.get(path.suffix.lower())
    if parser is None:
        raise PolicyInvalid(
            f"{path} is neither TOML nor YAML by its name.", hint="Call it .toml, .yaml or .yml."
        )
    try:
        found = parser(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{path} is not UTF-8.", hint="Save it as UTF-8.") from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        raise PolicyInvalid(
            f"{path} cannot be understood: {_told(error)}.",
            hint="Mend it, or name another file in INTERLOCK_POLICY.",
        ) from error
    if not isinstance(found, dict):
        raise PolicyInvalid(f"{path} holds no keys.", hint="docs/policy.md shows an example.")
    return found


def checked(form: type[FormT], document: Document, path: Path, owner: str) -> FormT:
    """Return a document in its form; raises `PolicyInvalid` that names each fault.

    Args:
        form: what it must look like.
        document: what the file says.
        path: the file, for the message.
        owner: the key of the list whose entries have names by which a person knows them.
    """
    try:
        return form.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        told = "; ".join(_sentence(dict(each), document, form, owner) for each in faults)
        raise PolicyInvalid(f"{path}: {told}.", hint="docs/policy.md shows the format.") from error


def _sentence(fault: Fault, document: Document, form: type[BaseModel], owner: str) -> str:
    place: Place = fault["loc"]
    where = _where(place, document, owner)
    match fault["type"]:
        case "extra_forbidden":
            return f"{where} is not a key here{_meant(str(place[-1]), _keys(form, place[:-1]))}"
        case "missing":
            return f"{where} is missing"
        case "model_type":
            return f"{where} is {_shown(fault['input'])}: write a table with keys"
        case "value_error":
            said = str(fault["msg"]).removeprefix("Value error, ")
            return f"{where}: {said}" if where else said
        case _:
            said = str(fault["msg"]).replace("Input should be", "it should be")
            return f"{where} is {_shown(fault['input'])}: {said}"


def _where(place: Place, document: Document, owner: str) -> str:
    """Return a place as a person finds it: the entry by its name, then the keys."""
    if len(place) < 2 or place[0] != owner or not isinstance(place[1], int):
        return _path(place)
    entry = document[owner][place[1]]
    name = entry.get("name") if isinstance(entry, dict) else None
    noun = owner.removesuffix("s")
    label = f'{noun} "{name}"' if isinstance(name, str) and name else f"{noun} {place[1] + 1}"
    return f"{label}, {_path(place[2:])}" if place[2:] else label


def _path(place: Place) -> str:
    return ".".join(str(each + 1) if isinstance(each, int) else each for each in place)


def _meant(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"; {near[0]} is" if near else f"; it may be {', '.join(known)}" if known else ""


def _keys(form: type[BaseModel], place: Place) -> list[str]:
    """Return the keys that are known at a place."""
    for each in place:
        if isinstance(each, str) and each in form.model_fields:
            inner = _form_in(form.model_fields[each].annotation)
            if inner is None:
                return []
            form = inner
    return [field.alias or name for name, field in form.model_fields.items()]


def _form_in(annotation: Any) -> type[BaseModel] | None:  # a type: `list[Form]`, `Form | None`
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_form_in(each) for each in getattr(annotation, "__args__", ()))
    return next((each for each in found if each is not None), None)


def _shown(value: Any) -> str:  # what the file says
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


class _UniqueKeys(yaml.SafeLoader):  # type: ignore[misc]  # the library has no types
    """YAML lets the last of two equal keys win in silence; half a rule would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set[Hashable]()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


def _yaml(text: str) -> Any:  # what the file says
    return yaml.load(text, _UniqueKeys)  # noqa: S506  # a SafeLoader


def _told(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} (at line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split()).removesuffix(".")


PARSERS: Mapping[str, Callable[[str], Any]] = {  # what the file says
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
}
