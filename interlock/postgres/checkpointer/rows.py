"""What callers hand in, as rows: those of one caller, and those of many merged for one statement.

A row's fields are in Postgres' binary format from the beginning, in which they are packed into arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from interlock.postgres.checkpointer.arrays import (
    Array,
    BoolArray,
    ByteaArray,
    IntArray,
    SmallArray,
    TextArray,
    packed,
)

Row = TypeVar("Row", bound=tuple[bytes | None, ...])  # rows of different shapes

FALSE, TRUE = b"\x00", b"\x01"


class Blob(NamedTuple):
    """A channel's value of one version."""

    thread: bytes
    ns: bytes
    channel: bytes
    version: bytes
    type: bytes
    body: bytes


class Write(NamedTuple):
    """What a task wrote to a channel; `over` replaces an earlier one."""

    thread: bytes
    ns: bytes
    checkpoint: bytes
    task: bytes
    idx: bytes
    path: bytes
    channel: bytes
    type: bytes
    body: bytes
    over: bytes


class Put(NamedTuple):
    """A checkpoint; its body and its metadata are JSON."""

    thread: bytes
    ns: bytes
    checkpoint: bytes
    parent: bytes | None
    body: bytes
    metadata: bytes


@dataclass(slots=True)
class Rows:
    """What one caller wants saved.

    Attributes:
        thread: the thread of all of it.
        leans: some value refers to content, new or stored before.
        replaces: some write takes an earlier one's place.
        size: about how many bytes it is.
        content: content that is not known to be stored for the thread: kind and body by hash.
    """

    thread: str
    leans: bool = False
    replaces: bool = False
    size: int = 0
    content: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    blobs: list[Blob] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many rows it is."""
        return 2 * len(self.content) + len(self.blobs) + len(self.writes) + len(self.puts)


def merged(all_rows: Sequence[Rows], seen: int) -> dict[str, Any]:  # SQL values
    """Return the values of one flush: each key once, as if the callers had come one after the other.

    Everything is sorted, so that two processes that save the same rows never wait for each other in a circle.
    """
    blobs: dict[tuple[Any, ...], Blob] = {}
    writes: dict[tuple[Any, ...], Write] = {}
    puts: dict[tuple[Any, ...], Put] = {}
    leans = False
    for rows in all_rows:
        leans = leans or rows.leans
        for blob in rows.blobs:
            blobs.setdefault(blob[:4], blob)
        for write in rows.writes:
            if write.over == TRUE or write[:5] not in writes:
                writes[write[:5]] = write
        for put in rows.puts:
            puts[put[:3]] = put
    return {
        "seen": seen if leans else None,
        **(_content(all_rows) if leans else _NO_CONTENT),
        **_columns("blob", blobs),
        **_columns("write", writes),
        **_columns("put", puts),
    }


def _content(all_rows: Sequence[Rows]) -> dict[str, Array]:  # SQL values
    content = {each: body for rows in all_rows for each, body in rows.content.items()}
    references = sorted({(rows.thread, each) for rows in all_rows for each in rows.content})
    hashes = sorted(content)
    return {
        "content_hash": ByteaArray(hashes),
        "content_kind": SmallArray(content[each][0] for each in hashes),
        "content_body": ByteaArray(content[each][1] for each in hashes),
        "reference_holder": TextArray(holder for holder, _ in references),
        "reference_hash": ByteaArray(each for _, each in references),
    }


def _array(name: str, column: str) -> type[Array]:
    if name == "put" and column == "body":
        return TextArray  # JSON
    return _ARRAYS.get(column, TextArray)


_ARRAYS: dict[str, type[Array]] = {"body": ByteaArray, "idx": IntArray, "over": BoolArray}
_KINDS: dict[str, type[tuple[Any, ...]]] = {"blob": Blob, "write": Write, "put": Put}
_COLUMNS = {
    name: [(f"{name}_{each}", _array(name, each)) for each in kind._fields]  # type: ignore[attr-defined]  # each is a NamedTuple
    for name, kind in _KINDS.items()
}
_NO_ROWS = {
    name: {column: array.of(()) for column, array in columns} for name, columns in _COLUMNS.items()
}
_NO_CONTENT = _content(())


def _columns(name: str, rows: Mapping[tuple[Any, ...], Row]) -> dict[str, Array]:  # SQL values
    if not rows:
        return _NO_ROWS[name]
    in_order = [rows[key] for key in sorted(rows)] if len(rows) > 1 else rows.values()
    columns = zip(_COLUMNS[name], zip(*in_order, strict=True), strict=True)
    return {
        column: bytes.__new__(array, packed(array.element, values))
        for (column, array), values in columns
    }
