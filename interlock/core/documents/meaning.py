"""Order hits by what they mean; vectors are made when a passage is first looked at, and kept."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Hashable, Mapping
from operator import mul
from typing import TypeVar

from interlock.core.corpus import Embedder, Vector

LOOKED_AT = 64
"""How many of the best hits by words are ordered by meaning: what is not among them hardly helps."""

Key = TypeVar("Key", bound=Hashable)


async def vectors_of(
    embedder: Embedder, texts: Mapping[Key, str], known: Mapping[Key, Vector]
) -> dict[Key, Vector]:
    """Return the vectors of those texts whose vector is not known yet."""
    missing = [key for key in texts if key not in known]
    made = await embedder.embed([texts[key] for key in missing]) if missing else []
    return dict(zip(missing, made, strict=True))


def likeness(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors of length one: 1.0 for the same direction."""
    return float(sum(map(mul, one, other)))


def packed(vector: Vector) -> bytes:
    """Return a vector as bytes: single precision, little end first on every machine."""
    return _little(vector).tobytes()


def unpacked(data: bytes) -> Vector:
    """Return the vector that was packed."""
    return _little(array("f", data))


def _little(vector: Vector) -> Vector:
    if sys.byteorder == "little":
        return vector
    swapped = array("f", vector)
    swapped.byteswap()
    return swapped
