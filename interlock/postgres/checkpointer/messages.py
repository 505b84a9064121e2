"""Restoring LangChain's messages without validating them again: they were valid when they were stored.

This takes a fifth of the time, and most of a conversation's resume is this. What is not exactly as expected (another
class, a missing or an additional field, content that is no text, arguments of a provider) goes LangGraph's way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ormsgpack
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import EXT_PYDANTIC_V2, JsonPlusSerializer

from interlock.postgres.encryption import Plain

_CLASSES: dict[tuple[str, str], tuple[type[BaseMessage], tuple[str, ...]]] = {
    (kind.__module__, kind.__name__): (kind, tuple(kind.model_fields))
    for kind in (AIMessage, HumanMessage, SystemMessage, ToolMessage)
}
_START = b"msgpack\0"
_EXTENSIONS = {0xC7: len(_START) + 3, 0xC8: len(_START) + 4, 0xC9: len(_START) + 6}
"""Where the data of an extension begins, by how its length is written (msgpack's ext 8, 16 and 32)."""

_KNOWN = (JsonPlusSerializer, Plain)
_set = object.__setattr__


def restores(serde: SerializerProtocol) -> bool:
    """Tell whether a serializer is LangGraph's own, and restores these classes as they are."""
    return type(serde) in _KNOWN and not getattr(serde, "_custom_unpack_ext_hook", True)


def messages(bodies: Sequence[bytes]) -> list[BaseMessage] | None:
    """Return the messages that some stored values are; None where one of them is for LangGraph to restore."""
    inner = [_inner(body) for body in bodies]
    if None in inner:
        return None
    try:
        found = ormsgpack.unpackb(b"".join((_array(len(inner)), *filter(None, inner))))
    except (ValueError, TypeError):  # an extension inside, or keys that are no text
        return None
    made = [_made(*each) for each in found]
    return None if None in made else [each for each in made if each is not None]


def _inner(body: bytes) -> bytes | None:
    """Return what a value's extension holds: module, class, fields and method; None for any other value."""
    head = _EXTENSIONS.get(body[len(_START)]) if body.startswith(_START) else None
    return body[head:] if head is not None and body[head - 1] == EXT_PYDANTIC_V2 else None


def _array(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


def _made(module: str, name: str, fields: dict[str, Any], _method: str) -> BaseMessage | None:
    """Return a message as pydantic makes one of valid fields."""
    kind, names = _CLASSES.get((module, name), (None, ()))
    if kind is None or tuple(fields) != names or fields["additional_kwargs"]:
        return None
    if type(fields["content"]) is not str:
        return None
    made = kind.__new__(kind)
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", set(fields))
    _set(made, "__pydantic_extra__", {})
    _set(made, "__pydantic_private__", None)
    return made
