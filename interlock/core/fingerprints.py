"""Small prints of large values: equal where two values say the same, alike where they say it in other words.

What changes without meaning anything does not count: ids and usage of messages, times of day, request ids, durations,
numbers of attempts; of a message that calls tools only the calls count, and not what the model says beside them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, is_dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel

BITS = 48
SKETCH = 16
"""How many hashes of words a print keeps: the smallest; by them the share of common words is estimated."""
PARTS = 400
"""How many parts of a value, or of each key of a state, are looked at; of lists and mappings the last ones."""
LONG = 4_000
"""Texts with more characters than this are read in full for equality, and in samples for likeness."""
HUGE = 256_000
"""Of longer texts only the length, both ends and evenly spaced pieces are read."""

NAME = 60
"""A text of one word is a name up to so many characters: a path, an address, an item of a list."""

_VOLATILE = re.compile(
    r"""
    [0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}
    | \b\d{4}-\d\d-\d\d[t\ ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?
    | \b\d\d:\d\d:\d\d(?:\.\d+)?\b
    | \b0x[0-9a-f]+\b
    | \b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{12,}\b
    | \b\d+(?:\.\d+)?\s?(?:ms|µs|s|secs?|seconds?)\b
    | \b(?:call|run|req|request|trace|msg)[_-][0-9a-z]{6,}\b
    | \b(?:attempt|try|retry|iteration)\s*[\#:]?\s*\d+
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"\w+")
_UNTOLD = frozenset(
    _WORD.findall(
        "created_at updated_at timestamp started_at finished_at elapsed duration latency usage "
        "usage_metadata response_metadata tool_call_id"
    )
)
_CHATTER = frozenset(
    _WORD.findall(
        "a an the of to in on at for and or is are was were be it its i me my we you your let ll s re ve will now "
        "please again once more another try trying retry sorry see understand can could would this that there"
    )
)


@dataclass(frozen=True, slots=True)
class Print:
    """What is kept of a value.

    Attributes:
        digest: equal for equal values.
        figures: equal where the same numbers and names stand in them, in whatever words; a name is a text of one word.
        words: a sample of hashes of its words, sorted.
    """

    digest: int
    figures: int
    words: tuple[int, ...]


def identity(value: object, *, tail: int | None = None) -> int:
    """Return a digest that is equal for equal values; `tail` is how many of the last elements of a list count."""
    return _identity(list(_bounded(value, tail)))


def fingerprint(value: object) -> Print:
    """Return the print of any value."""
    parts = list(_bounded(value, None))
    texts = [text[-LONG:] for kind, text in parts if kind != "key"]
    words = set(_WORD.findall(" ".join(texts)))
    figures = sorted(word for word in words if any(map(str.isdigit, word)))
    names = {text for text in texts if 0 < len(text) <= NAME and " " not in text}
    plain = {_stem(word) for word in words.difference(figures)} - _CHATTER
    return Print(
        digest=_identity(parts),
        figures=digest(" ".join([*figures, *sorted(names)])),
        words=sketch(zlib.crc32(word.encode()) >> 16 for word in plain),
    )


def _identity(parts: Sequence[tuple[str, str]]) -> int:
    return digest("\0".join(f"{kind}:{text}" for kind, text in parts))


def digest(text: str) -> int:
    """Return a number of `BITS` bits for a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=BITS // 8).digest())


def sketch(hashes: Iterator[int] | Collection[int]) -> tuple[int, ...]:
    """Return the smallest of the hashes; the sketch of a union is the sketch of its sketches."""
    return tuple(sorted(set(hashes))[:SKETCH])


def likeness(a: Collection[int], b: Collection[int]) -> float:
    """Estimate the share of words that two values have in common, of all their words (bottom-k, Broder 1997)."""
    union = sketch([*a, *b])
    return sum(each in a and each in b for each in union) / len(union) if union else 1.0


def normalised(text: str) -> str:
    """Return a text without what changes and means nothing; a text that is nothing else stays, as it is a name."""
    folded = " ".join(text.casefold().split())
    return _VOLATILE.sub("#", folded) if _VOLATILE.fullmatch(folded) is None else folded


def _bounded(value: Any, tail: int | None) -> Iterator[tuple[str, str]]:
    """Take a value apart, so far; each key of a state has its share."""
    if not isinstance(value, Mapping):
        yield from islice(_parts(value, tail), PARTS)
        return
    for name in sorted(value.keys() - _UNTOLD, key=str):
        yield "key", str(name)
        yield from islice(_parts(value[name], tail), PARTS)


def _parts(value: Any, tail: int | None) -> Iterator[tuple[str, str]]:
    """Take a value apart, in a fixed order: (what it is, how it reads)."""
    match value:
        case str():
            yield "text", normalised(value) if len(value) <= LONG else _compact(value)
        case None | bool() | int() | float():
            yield "number", repr(value)
        case bytes() | bytearray():
            yield "bytes", f"{len(value)} {zlib.crc32(value)}"
        case Mapping():
            yield from _mapping(value, tail)
        case Set():
            yield from _sequence(sorted(value, key=repr), tail)
        case Sequence():
            yield from _sequence(value, tail)
        case _:
            yield from _object(value, tail)


def _mapping(value: Mapping[Any, Any], tail: int | None) -> Iterator[tuple[str, str]]:
    if "role" in value and "content" in value:
        value = {name: value[name] for name in ("role", "content", "tool_calls") if name in value}
    for name in sorted(islice(reversed(value), PARTS), key=str):  # what was put in last
        if name not in _UNTOLD:
            yield "key", str(name)
            yield from _parts(value[name], tail)


def _sequence(value: Sequence[Any], tail: int | None) -> Iterator[tuple[str, str]]:
    yield "list", ""
    for each in value[-(tail or PARTS) :]:
        yield from _parts(each, None)


def _object(value: Any, tail: int | None) -> Iterator[tuple[str, str]]:
    match value:
        case BaseMessage():
            yield from _mapping(_message(value), None)
        case Overwrite():
            yield from _parts(value.value, tail)
        case Command():
            yield from _parts([value.update, value.goto], tail)
        case Send():
            yield from _parts([value.node, value.arg], tail)
        case BaseModel():
            yield from _mapping(value.__dict__, tail)
        case _ if is_dataclass(value):
            yield from _mapping(
                {each.name: getattr(value, each.name) for each in fields(value)}, tail
            )
        case _:
            yield "object", normalised(repr(value)[:LONG])


def _message(message: BaseMessage) -> dict[str, Any]:  # plain data
    calls = [(each["name"], each["args"]) for each in getattr(message, "tool_calls", ())]
    said = calls or message.content
    return {"type": message.type, "name": message.name or "", "said": said}


def _compact(text: str) -> str:
    """Return a name for a long text, with samples of its words."""
    pieces = text if len(text) <= HUGE else _spaced(text, 256, 64) + text[:LONG] + text[-LONG:]
    return f"{len(text)} {digest(pieces)} {normalised(_spaced(text, 8, LONG // 8))}"


def _spaced(text: str, pieces: int, length: int) -> str:
    """Return evenly spaced pieces of a long text, the first and the last characters among them."""
    width = (len(text) - length) / (pieces - 1)
    starts = (int(index * width) for index in range(pieces))
    return " ".join(text[start : start + length] for start in starts)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            return word.removesuffix(ending)
    return word
