"""Values between the command line and a server as JSON: our dataclasses by their fields, errors by their kind.

Both sides know from a method's signature what comes; only an answer to a question says which kind of answer it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from interlock import errors
from interlock.core.answers import Approve, Edit, Reject, Respond, Resume
from interlock.documents.runs import plain
from interlock.errors import InterlockError

TAG = "answer"
ANSWERS = (Approve, Edit, Reject, Respond, Resume)


def encode(value: Any) -> Any:  # anything -> JSON
    """Return a value as JSON; what is neither JSON nor ours becomes what `--json` would print of it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): encode(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [encode(each) for each in value]
        case _:
            return _ours(value) if _is_ours(value) else plain(value)


def _is_ours(value: object) -> bool:
    module = type(value).__module__
    return is_dataclass(value) and module.startswith("interlock.")


def _ours(value: Any) -> dict[str, Any]:  # a dataclass of ours -> JSON
    tag = {TAG: type(value).__name__} if isinstance(value, ANSWERS) else {}
    return tag | {each.name: encode(getattr(value, each.name)) for each in fields(value)}


def _tag_of(value: Any) -> str:  # JSON
    return str(value.get(TAG, "")) if isinstance(value, Mapping) else type(value).__name__


Answer = Annotated[
    Annotated[Approve, Tag("Approve")]
    | Annotated[Edit, Tag("Edit")]
    | Annotated[Reject, Tag("Reject")]
    | Annotated[Respond, Tag("Respond")]
    | Annotated[Resume, Tag("Resume")],
    Discriminator(_tag_of),
]
"""An answer as it is read: by the kind that it says it is of."""


def encode_error(error: InterlockError) -> dict[str, Any]:  # JSON
    """Return an error with its kind, its sentence, what to do next, and what else it carries."""
    more = {name: encode(value) for name, value in vars(error).items() if name != "hint"}
    kind = type(error).__name__
    return {"kind": kind, "message": str(error.args[0]), "hint": error.hint, "more": more}


def decode_error(said: Mapping[str, Any]) -> InterlockError:  # JSON
    """Return the error that was encoded; one of a kind that is not known here is a plain one."""
    found = getattr(errors, str(said["kind"]), InterlockError)
    kind = found if inspect.isclass(found) and issubclass(found, InterlockError) else InterlockError
    taken = inspect.signature(kind).parameters
    more = {name: _frozen(value) for name, value in said["more"].items() if name in taken}
    return kind(said["message"], **(more | {"hint": said["hint"]}))


def _frozen(value: Any) -> Any:  # JSON
    return tuple(value) if isinstance(value, list) else value
