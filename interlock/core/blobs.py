"""Large bytes beside the state: kept once under their SHA-256, and named in the state by a small reference."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.errors import NotFound, UsageError

LIMIT = 1 << 30
"""Bytes that one blob may have unless the settings say otherwise."""

PIECE = 1 << 18
"""Bytes in which blobs are stored and handed out."""

_NAME = re.compile(r"blob:sha256:([0-9a-f]{64})(?![0-9a-f])")

_NAMELESS = frozenset({type(None), bool, int, float})
"""Types that hold nothing, exactly these: a subclass may have fields."""

_BYTES = (bytes, bytearray, memoryview)  # made once: a union is made anew wherever it is written
_SEVERAL = (list, tuple, set, frozenset, deque)

Source = bytes | AsyncIterable[bytes]
"""What a blob is made of; parts may be of any size, and are taken one after the other."""


class BlobRef(TypedDict):
    """Names a blob in states, messages and events: plain data, the same for the same bytes.

    Attributes:
        blob: `blob:sha256:` and 64 hexadecimal digits.
        size: in bytes.
    """

    blob: str
    size: int


@runtime_checkable
class Blobs(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.blobs`."""

    async def put(self, source: Source) -> BlobRef:
        """Store bytes as they come, and return their reference; what is stored already is not stored again.

        Raises:
            UsageError: they are more than one blob may have; nothing is kept.
        """
        ...

    def open(self, ref: BlobRef | str) -> AsyncIterator[bytes]:
        """Return the bytes of a blob in parts.

        Raises:
            UsageError: that is no reference.
            NotFound: no such blob; before the first part.
        """
        ...


class MemoryBlobs:
    """Blobs for one process, until its end."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: dict[str, bytes] = {}

    async def put(self, source: Source) -> BlobRef:
        """Store bytes as they come, and return their reference."""
        content = b"".join([part async for part in pieces(source, self._limit)])
        digest = hashlib.sha256(content).hexdigest()
        self._kept.setdefault(digest, content)
        return ref_of(digest, len(content))

    async def open(self, ref: BlobRef | str) -> AsyncIterator[bytes]:
        """Return the bytes of a blob in parts."""
        content = self._kept.get(digest_of(ref))
        if content is None:
            raise missing(ref)
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]


async def read(blobs: Blobs, ref: BlobRef | str, *, limit: int = 1 << 20) -> bytes:
    """Return a small blob whole.

    Raises:
        UsageError: it has more than `limit` bytes: read it in parts, with `open`.
    """
    found = bytearray()
    async with aclosing(_generator(blobs.open(ref))) as parts:
        async for part in parts:
            found += part
            if len(found) > limit:
                raise UsageError(
                    f"{name_of(ref)} has more than {limit} bytes.", hint="Read it in parts: open()."
                )
    return bytes(found)


def ref_of(digest: str, size: int) -> BlobRef:
    """Return the reference of a blob."""
    return BlobRef(blob=f"blob:sha256:{digest}", size=size)


def name_of(ref: BlobRef | str) -> str:
    """Return what stands for a blob in text."""
    return str(ref.get("blob", "")) if isinstance(ref, Mapping) else ref


def digest_of(ref: BlobRef | str) -> str:
    """Return a blob's SHA-256 in hexadecimal; raises `UsageError` for what is no reference."""
    found = _NAME.fullmatch(name_of(ref))
    if found is None:
        raise UsageError(f"{name_of(ref)[:100]!r} names no blob.", hint="Pass what put() returned.")
    return found[1]


def missing(ref: BlobRef | str) -> NotFound:
    """Return the error for a blob that is not there."""
    return NotFound(
        f"There is no {name_of(ref)}.",
        hint="It was never stored here, or nothing named it any more and it was collected.",
    )


async def pieces(source: Source, limit: int) -> AsyncIterator[bytes]:
    """Cut bytes into pieces of one size, the last one shorter; raises `UsageError` when they are too many."""
    waiting = bytearray()
    size = 0
    async for part in _parts(source):
        size += len(part)
        if size > limit:
            raise UsageError(
                f"A blob may have {limit} bytes, and this one has more; nothing was kept.",
                hint="Raise INTERLOCK_BLOB_LIMIT, or store it in several.",
            )
        waiting += part
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)


def named_in(value: Any) -> set[str]:  # anything that can be stored
    """Return the digests of all blobs that are named anywhere in a value: in texts, bytes, keys and fields."""
    found: set[str] = set()
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.update(_NAME.findall(each) if "blob:sha256:" in each else ())
        elif isinstance(each, _BYTES):
            found |= named_in_bytes(bytes(each))
        elif type(each) not in _NAMELESS and id(each) not in seen:  # a value may hold itself
            seen.add(id(each))
            waiting.extend(_inside(each))
    return found


def named_in_bytes(stored: bytes) -> set[str]:
    """Return the digests of all blobs that are named in stored bytes, of whatever format."""
    if b"blob:sha256:" not in stored:
        return set()
    return set(_NAME.findall(stored.decode("latin-1")))


def _inside(value: Any) -> Iterable[Any]:  # anything that can be stored
    if isinstance(value, dict):  # the abstract classes are asked last: they take ten times as long
        return chain(value.keys(), value.values())
    if isinstance(value, _SEVERAL):
        return value
    if isinstance(value, Mapping):
        return chain(value.keys(), value.values())
    return () if isinstance(value, type) else _fields(value)


def _fields(value: Any) -> Iterator[Any]:  # an object, and what it holds
    yield getattr(value, "__dict__", None)
    if isinstance(value, BaseModel):
        yield value.model_extra
    kind: type = type(value)
    for name in _slots(kind):
        yield getattr(value, name, None)


@lru_cache(maxsize=1024)
def _slots(kind: type) -> tuple[str, ...]:
    named = [getattr(each, "__slots__", ()) for each in kind.__mro__]
    return tuple(chain.from_iterable([each] if isinstance(each, str) else each for each in named))


async def _parts(source: Source) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    async for part in source:
        yield part


async def _generator(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    async for part in parts:
        yield part
