"""Restoring LangChain's messages without validating them again: they were valid when they were stored.

This takes a tenth of the time, and most of a conversation's resume is this. What is not exactly as expected (another
class, a missing or an additional field, content that is no text, arguments of a provider) goes LangGraph's way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ormsgpack
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import EXT_PYDANTIC_V2, JsonPlusSerializer
from pydantic import BaseModel

from interlock.postgres.encryption import Plain

_CLASSES: dict[tuple[str, str], tuple[type[BaseMessage], tuple[str, ...], set[str]]] = {
    (kind.__module__, kind.__name__): (kind, tuple(kind.model_fields), set(kind.model_fields))
    for kind in (AIMessage, HumanMessage, SystemMessage, ToolMessage)
}
_HEADS = {0xC7: 3, 0xC8: 4, 0xC9: 6}
"""Where the data of an extension begins, by how its length is written (msgpack's ext 8, 16 and 32)."""

_KNOWN = (JsonPlusSerializer, Plain)
_new = object.__new__
_set = object.__setattr__
_set_fields, _set_extra, _set_private = (
    BaseModel.__dict__[f"__pydantic_{name}__"].__set__
    for name in ("fields_set", "extra", "private")
)


def restores(serde: SerializerProtocol) -> bool:
    """Tell whether a serializer is LangGraph's own, and restores these classes as they are."""
    return type(serde) in _KNOWN and not getattr(serde, "_custom_unpack_ext_hook", True)


def messages(items: Sequence[bytes]) -> list[BaseMessage] | None:
    """Return the messages that some msgpack holds; None where one of it is for LangGraph to restore."""
    inner = [_inner(item) for item in items] if items and _inner(items[0]) else [b""]
    if b"" in inner:
        return None
    try:
        found = ormsgpack.unpackb(array(inner))
    except (ValueError, TypeError):  # an extension inside, or keys that are no text
        return None
    made = []
    for module, name, fields, _ in found:
        known = _CLASSES.get((module, name))
        if known is None or tuple(fields) != known[1] or not _plain(fields):
            return None
        made.append(_made(known[0], fields, known[2].copy()))
    return made


def array(items: Sequence[bytes]) -> bytes:
    """Return one msgpack of some, as the list of them."""
    return b"".join((b"\xdd", len(items).to_bytes(4, "big"), *items))


def _inner(item: bytes) -> bytes:
    """Return what a value's extension holds: module, class, fields and method; nothing for any other value."""
    head = _HEADS.get(item[0])
    return item[head:] if head is not None and item[head - 1] == EXT_PYDANTIC_V2 else b""


def _plain(fields: dict[str, Any]) -> bool:  # of a message
    return not fields["additional_kwargs"] and type(fields["content"]) is str


def _made(kind: type[BaseMessage], fields: dict[str, Any], known: set[str]) -> BaseMessage:
    """Return a message as pydantic makes one of valid fields."""
    made = _new(kind)
    _set(made, "__dict__", fields)
    _set_fields(made, known)
    _set_extra(made, {})
    _set_private(made, None)
    return made
