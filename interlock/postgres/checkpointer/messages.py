"""Restoring LangChain's messages without validating them again: they were valid when they were stored.

This takes a tenth of the time, and most of a conversation's resume is this. What is not exactly as expected (another
class, a missing or an additional field, content that is no text, arguments of a provider) goes LangGraph's way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ormsgpack
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import EXT_PYDANTIC_V2, JsonPlusSerializer
from pydantic import BaseModel

from interlock.postgres.encryption import Plain

_CLASSES: dict[tuple[str, str], tuple[type[BaseMessage], list[str], set[str]]] = {
    (kind.__module__, kind.__name__): (kind, list(kind.model_fields), set(kind.model_fields))
    for kind in (AIMessage, HumanMessage, SystemMessage, ToolMessage)
}
_HEADS = {0xC7: 3, 0xC8: 4, 0xC9: 6}
"""Where the data of an extension begins, by how its length is written (msgpack's ext 8, 16 and 32)."""

_KNOWN = (JsonPlusSerializer, Plain)
_new = object.__new__
_set_dict, _set_fields, _set_extra, _set_private = (
    BaseModel.__dict__[f"__{name}__"].__set__
    for name in ("dict", "pydantic_fields_set", "pydantic_extra", "pydantic_private")
)


def restores(serde: SerializerProtocol) -> bool:
    """Tell whether a serializer is LangGraph's own, and restores these classes as they are."""
    return type(serde) in _KNOWN and not getattr(serde, "_custom_unpack_ext_hook", True)


def restored(items: Sequence[bytes], loads: Callable[[bytes], Any]) -> list[Any]:
    """Return the values of some msgpack, many at once where that is known to be the same.

    Args:
        items: the msgpack of each value.
        loads: restores what is none of these messages.
    """
    if _HEADS.keys().isdisjoint({item[0] for item in items}):
        values: list[Any] = loads(array(items))
        return values
    inner = [_inner(item) for item in items]
    try:
        found = ormsgpack.unpackb(array(inner)) if all(inner) else None
    except (ValueError, TypeError):  # an extension inside, or keys that are no text
        found = None
    if found is None:
        return [message(item, loads) for item in items]
    return [
        made if (made := _message(*parts)) is not None else loads(item)
        for parts, item in zip(found, items, strict=True)
    ]


def message(item: bytes, loads: Callable[[bytes], Any]) -> Any:
    """Return the value of some msgpack; `loads` restores what is none of these messages."""
    made = None
    if inner := _inner(item):
        with suppress(ValueError, TypeError):
            made = _message(*ormsgpack.unpackb(inner))
    return loads(item) if made is None else made


def array(items: Sequence[bytes]) -> bytes:
    """Return one msgpack of some, as the list of them."""
    return b"".join((b"\xdd", len(items).to_bytes(4, "big"), *items))


def _inner(item: bytes) -> bytes:
    """Return what a value's extension holds: module, class, fields and method; nothing for any other value."""
    head = _HEADS.get(item[0])
    return item[head:] if head is not None and item[head - 1] == EXT_PYDANTIC_V2 else b""


def _message(module: str, name: str, fields: dict[str, Any], method: str) -> BaseMessage | None:
    """Return the message of what an extension holds; None where it is for LangGraph to restore."""
    known = _CLASSES.get((module, name))
    if known is None or [*fields] != known[1]:
        return None
    if fields["additional_kwargs"] or type(fields["content"]) is not str:
        return None
    made = _new(known[0])  # as pydantic makes one of valid fields
    _set_dict(made, fields)
    _set_fields(made, known[2].copy())
    _set_extra(made, {})
    _set_private(made, None)
    return made
