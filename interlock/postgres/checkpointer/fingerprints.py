"""A cheap sign that elements of a list are what they were, also where someone changed them in place.

It is the process's own keyed hash (SipHash) of an exact image of their plain parts. `marshal` of version 2 writes type
and value of each, follows no identity, and refuses whatever is not plain; only buffers all look like bytes to it, so
what has any of those gets no sign to begin with. Two different values look the same by a chance of 1 in 2**64, then,
and what cannot be looked into has no sign and is serialized each time.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from typing import Any

import orjson
from langchain_core.messages import BaseMessage

_PLAIN = frozenset({str, int, float, bool, type(None), dict, list})
_VERSION = 2
_STRICT = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_NON_STR_KEYS
)
_numbers: dict[type, int] = {}


def signed(items: Sequence[Any]) -> int | None:  # of a state key
    """Return the sign of some elements, to be kept; None where one of them cannot be looked into."""
    try:
        images = [_image(item) for item in items]
        orjson.dumps(images, option=_STRICT)  # refuses every buffer
        return hash(marshal.dumps(images, _VERSION))
    except (ValueError, TypeError):
        return None


def agree(items: Sequence[Any], sign: int) -> bool:  # of a state key
    """Tell whether some elements have a sign that was kept."""
    try:
        return hash(marshal.dumps([_image(item) for item in items], _VERSION)) == sign
    except ValueError:
        return False


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
