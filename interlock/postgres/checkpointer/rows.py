"""What callers hand in, as rows: those of one caller, and those of many merged for one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from interlock.postgres.checkpointer.arrays import (
    BoolArray,
    ByteaArray,
    IntArray,
    SmallArray,
    TextArray,
)

Row = TypeVar("Row", bound=tuple[Any, ...])  # rows of different shapes


class Blob(NamedTuple):
    """A channel's value of one version."""

    thread: str
    ns: str
    channel: str
    version: str
    type: str
    body: bytes | None


class Write(NamedTuple):
    """What a task wrote to a channel; `over` replaces an earlier one."""

    thread: str
    ns: str
    checkpoint: str
    task: str
    path: str
    idx: int
    channel: str
    type: str
    body: bytes
    over: bool


class Put(NamedTuple):
    """A checkpoint."""

    thread: str
    ns: str
    checkpoint: str
    parent: str | None
    body: str
    metadata: str


@dataclass(slots=True)
class Rows:
    """What one caller wants saved.

    Attributes:
        thread: the thread of all of it.
        leans: some value refers to content, new or stored before.
        content: content that is not known to be stored for the thread: kind and body by hash.
    """

    thread: str
    leans: bool = False
    content: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    blobs: list[Blob] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many rows it is."""
        return 2 * len(self.content) + len(self.blobs) + len(self.writes) + len(self.puts)

    @property
    def size(self) -> int:
        """About how many bytes it is."""
        bodies = chain(self.content.values(), ((0, each.body or b"") for each in self.blobs))
        written = sum(len(each.body) for each in self.writes)
        return written + sum(len(each.body) for each in self.puts) + sum(len(b) for _, b in bodies)


def merged(all_rows: Sequence[Rows], seen: int) -> dict[str, Any]:  # SQL values
    """Return the values of one flush: each key once, as if the callers had come one after the other.

    Everything is sorted, so that two processes that save the same rows never wait for each other in a circle.
    """
    content = {each: body for rows in all_rows for each, body in rows.content.items()}
    references = sorted({(rows.thread, each) for rows in all_rows for each in rows.content})
    blobs: dict[tuple[Any, ...], Blob] = {}
    for blob in chain.from_iterable(rows.blobs for rows in all_rows):
        blobs.setdefault(blob[:4], blob)
    puts = {put[:3]: put for put in chain.from_iterable(rows.puts for rows in all_rows)}
    writes = _last_writes(chain.from_iterable(rows.writes for rows in all_rows))
    hashes = sorted(content)
    leans = any(rows.leans for rows in all_rows)
    return {
        "seen": seen if leans else None,
        "content_hash": ByteaArray(hashes),
        "content_kind": SmallArray(content[each][0] for each in hashes),
        "content_body": ByteaArray(content[each][1] for each in hashes),
        "reference_holder": TextArray(holder for holder, _ in references),
        "reference_hash": ByteaArray(each for _, each in references),
        **_columns("blob", [blobs[key] for key in sorted(blobs)]),
        **_columns("write", writes),
        **_columns("put", [puts[key] for key in sorted(puts)]),
    }


def _last_writes(writes: Iterable[Write]) -> list[Write]:
    kept: dict[tuple[str, str, str, str, int], Write] = {}
    for write in writes:
        key = (write.thread, write.ns, write.checkpoint, write.task, write.idx)
        if write.over or key not in kept:
            kept[key] = write
    return [kept[key] for key in sorted(kept)]


_ARRAYS: dict[str, type] = {"body": ByteaArray, "idx": IntArray, "over": BoolArray}


def _array(name: str, column: str) -> type:
    if name == "put" and column == "body":
        return TextArray  # JSON
    return _ARRAYS.get(column, TextArray)


_KINDS: dict[str, type[tuple[Any, ...]]] = {"blob": Blob, "write": Write, "put": Put}
_COLUMNS = {
    name: [(f"{name}_{each}", _array(name, each)) for each in kind._fields]  # type: ignore[attr-defined]  # each is a NamedTuple
    for name, kind in _KINDS.items()
}


def _columns(name: str, rows: Sequence[Row]) -> dict[str, Any]:  # SQL values
    if not rows:
        return {column: array() for column, array in _COLUMNS[name]}
    columns = zip(_COLUMNS[name], zip(*rows, strict=True), strict=True)
    return {column: array(values) for (column, array), values in columns}
