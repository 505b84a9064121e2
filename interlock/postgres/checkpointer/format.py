"""How a value that refers to content is stored.

A *reference* stands in the row of a channel's value or a task's write; a *node* is content that refers to more. Both
are the number of their links (two bytes), the links (a hash of twenty bytes each), and a skeleton that says how they
form a value. A skeleton is msgpack: a tag and what it says. SQL reads the links (`checkpoint_links`), Python the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final, Literal

import ormsgpack

REFERENCE: Final = "segments"
"""The `type` in LangGraph's tables; `segments+cipher` where the skeleton is encrypted."""

VALUE: Final = 0
"""Kind of content: a serialized value, `type`, NUL, bytes."""
NODE: Final = 1
PIECE: Final = 2
SEGMENT: Final = 4
"""Kind of a node without links."""
SEALED: Final = 16
"""Added to a kind: the body (of a node, the skeleton) is encrypted; `cipher`, NUL, bytes."""

HASH: Final = 20
"""Bytes of a hash."""

Tag = Literal["v", "c", "l", "s"]
"""A value of one link; a large value cut in pieces; a list; a part of a list, whose items stand in its place."""

Item = bytes | tuple[str, bytes]
"""What is small stands in the skeleton itself: msgpack as it is, anything else with its type."""

Entry = int | bytes | list[str | bytes]
"""An item, or how many of the next links follow."""

Skeleton = list[Any]  # the tag and what it says: entries, a type, whether it is a snapshot


def pack(links: Sequence[bytes], skeleton: bytes) -> bytes:
    """Return a reference or a node."""
    return b"".join((len(links).to_bytes(2, "big"), *links, skeleton))


def unpack(body: bytes) -> tuple[Sequence[bytes], memoryview]:
    """Return the links and the skeleton of a reference or a node, not copied."""
    links = _links(int.from_bytes(body[:2], "big"))
    return links.unpack_from(body, 2), memoryview(body)[2 + links.size :]


@lru_cache
def _links(count: int) -> Struct:
    return Struct(f"{HASH}s" * count)


def dump(skeleton: Skeleton) -> bytes:
    """Return the bytes of a skeleton."""
    return ormsgpack.packb(skeleton)


def load(data: bytes | memoryview) -> Skeleton:
    """Return a skeleton."""
    skeleton: Skeleton = ormsgpack.unpackb(data)
    return skeleton


def typed(kind: str, data: bytes) -> bytes:
    """Return a serialized value as one string of bytes."""
    return kind.encode() + b"\0" + data


def untyped(body: bytes) -> tuple[str, bytes]:
    """Return a serialized value's type and bytes."""
    kind, _, data = body.partition(b"\0")
    return kind.decode(), data
