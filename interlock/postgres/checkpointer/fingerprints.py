"""A cheap sign that elements of a list are what they were, also where someone changed them in place.

It is the process's own keyed hash (SipHash) of an exact image of their plain parts: `marshal` of version 2 writes type and
value of each, follows no identity, and refuses whatever is not plain. So two different values never look the same but by a
chance of 1 in 2**64, and what cannot be looked into has no fingerprint and is serialized each time.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

_PLAIN = frozenset({str, int, float, bool, type(None), bytes, dict, list})
_numbers: dict[type, int] = {}


def fingerprint(items: Sequence[Any]) -> int | None:  # of a state key
    """Return the sign of some elements; None where one of them cannot be looked into."""
    try:
        return hash(marshal.dumps([_image(item) for item in items], 2))
    except ValueError:
        return None


def _image(item: Any) -> Any:
    kind = type(item)
    if kind in _PLAIN:
        return item
    if kind is tuple:
        return (0, item)
    if isinstance(item, BaseMessage) and kind.__module__.startswith("langchain_core.messages."):
        return (_number(kind), item.__dict__, item.__pydantic_extra__)
    raise ValueError(f"a {kind.__name__} has no image")


def _number(kind: type) -> int:
    return _numbers.setdefault(kind, len(_numbers) + 1)
