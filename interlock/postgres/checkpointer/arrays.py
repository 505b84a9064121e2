"""Arrays as Postgres takes them in binary form, packed at once: the driver would pack each element by a call."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Self
from weakref import WeakSet

from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format
from psycopg.rows import DictRow

_NULL = b"\xff\xff\xff\xff"
_HEAD = struct.Struct(">iiIii")
_EMPTY = struct.Struct(">iiI")
_ONE = struct.Struct(">iiIiii")  # the head, and the length of the only element
_DOUBLE = struct.Struct(">d")


class Array(bytes):
    """An array in binary form.

    Attributes:
        element: the number of its elements' type in pg_type.
    """

    element: ClassVar[int]

    @classmethod
    def of(cls, items: Sequence[bytes | None]) -> Self:
        """Return the array of elements that are in their own binary form; None is NULL."""
        return bytes.__new__(cls, packed(cls.element, items))


class TextArray(Array):
    """A `text[]`."""

    element = 25

    def __new__(cls, items: Iterable[str] = ()) -> Self:
        """Return it in binary form."""
        return cls.of([each.encode() for each in items])


class ByteaArray(Array):
    """A `bytea[]`."""

    element = 17

    def __new__(cls, items: Iterable[bytes] = ()) -> Self:
        """Return it in binary form."""
        return cls.of(list(items))


class IntArray(Array):
    """An `integer[]`."""

    element = 23

    def __new__(cls, items: Iterable[int] = ()) -> Self:
        """Return it in binary form."""
        return cls.of([each.to_bytes(4, "big", signed=True) for each in items])


class SmallArray(Array):
    """A `smallint[]`."""

    element = 21

    def __new__(cls, items: Iterable[int] = ()) -> Self:
        """Return it in binary form."""
        return cls.of([each.to_bytes(2, "big", signed=True) for each in items])


class FloatArray(Array):
    """A `double precision[]`."""

    element = 701

    def __new__(cls, items: Iterable[float] = ()) -> Self:
        """Return it in binary form."""
        return cls.of([_DOUBLE.pack(each) for each in items])


class BoolArray(Array):
    """A `boolean[]`."""

    element = 16


def prepare(connection: AsyncConnection[DictRow]) -> None:
    """Teach a connection these arrays; it is asked before each use and acts once."""
    if connection not in _prepared:
        for kind, dumper in _DUMPERS:
            connection.adapters.register_dumper(kind, dumper)
        _prepared.add(connection)


def packed(element: int, items: Sequence[bytes | None]) -> bytes:
    """Return a one-dimensional array of Postgres' binary format (array_recv in arrayfuncs.c).

    Args:
        element: the type's number in pg_type.
        items: each element in its own binary format; None is NULL.
    """
    if not items:
        return _EMPTY.pack(0, 0, element)
    if len(items) == 1 and (only := items[0]) is not None:
        return _ONE.pack(1, 0, element, 1, 1, len(only)) + only
    elements = [_NULL if item is None else len(item).to_bytes(4, "big") + item for item in items]
    return b"".join((_HEAD.pack(1, None in items, element, len(items), 1), *elements))


def texts(array: bytes) -> Iterator[str]:
    """Yield the elements of a `text[]` in binary form; none of them is NULL."""
    at = _HEAD.size
    while at < len(array):
        end = at + 4 + int.from_bytes(array[at : at + 4], "big")
        yield array[at + 4 : end].decode()
        at = end


class _Binary(Dumper):
    format = Format.BINARY

    def get_key(self, obj: object, format: PyFormat) -> type:  # noqa: A002  # the driver's name
        return type(obj)

    def upgrade(self, obj: object, format: PyFormat) -> _Binary:  # noqa: A002  # the driver's name
        return self

    def dump(self, obj: bytes) -> Buffer:
        return bytes(obj)


class _TextDumper(_Binary):
    oid = 1009


class _ByteaDumper(_Binary):
    oid = 1001


class _IntDumper(_Binary):
    oid = 1007


class _SmallDumper(_Binary):
    oid = 1005


class _FloatDumper(_Binary):
    oid = 1022


class _BoolDumper(_Binary):
    oid = 1000


_DUMPERS: tuple[tuple[type, type[Dumper]], ...] = (
    (TextArray, _TextDumper),
    (ByteaArray, _ByteaDumper),
    (IntArray, _IntDumper),
    (SmallArray, _SmallDumper),
    (FloatArray, _FloatDumper),
    (BoolArray, _BoolDumper),
)
_prepared: WeakSet[AsyncConnection[DictRow]] = WeakSet()
