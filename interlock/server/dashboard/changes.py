"""What sets two values apart, so that a person can read it: words of texts, items of lists, keys of mappings. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from interlock.server.dashboard.words import outline, plain
from interlock.wording import clipped

Op = Literal["same", "add", "drop", "gap"]
"""`gap`: something that both have, left out; the piece says how much."""

_WORDS = re.compile(r"\s+|[\w']+|[^\w\s]")
_SENTENCES = re.compile(r"[^.!?\n]*(?:[.!?\n]+\s*|$)")
SHORT = 2_000
"""Characters of two texts up to which all of their words are compared."""
KEPT = 60
"""Characters of what is the same that are shown before and behind a change."""
ITEMS_KEPT = 1
"""Items of a list that are the same and are shown before and behind a change."""
ALIKE = 0.5
"""Of two texts that have less in common each is shown whole."""
MOST = 200
"""Pieces of a list that are shown."""
WORD = 4
"""Characters; what is the same and shorter, between two changes, is not worth telling apart."""
LONGEST = 200_000
"""Characters or items beyond which two values are shown one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a value, and whether it was added, dropped, or is in both; `inner` is of an item that was changed."""

    op: Op
    text: str = ""
    inner: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a value became another.

    Attributes:
        kind: `text` and `list` have `pieces`, `mapping` has `inner`, `value` shows `old` and `new`.
        old: as it is shown; None where there was nothing.
        new: as it is shown; None where there is nothing any more.
    """

    key: str
    kind: Literal["text", "list", "mapping", "value"]
    old: str | None = None
    new: str | None = None
    pieces: Sequence[Piece] = ()
    inner: Sequence[Change] = ()


def changes_of(
    old: Mapping[str, Any], new: Mapping[str, Any], keys: Sequence[str]
) -> list[Change]:  # states
    """Return how the values of some keys became others."""
    return [change_of(key, old.get(key), new.get(key)) for key in keys]


def change_of(key: str, old: Any, new: Any) -> Change:  # values of any state
    """Return how a value became another."""
    return _change(key, plain(old), plain(new))


def shown(value: Any) -> str:  # JSON
    """Return a value as text."""
    return value if isinstance(value, str) else outline(value)


def _change(key: str, old: Any, new: Any) -> Change:  # JSON
    match old, new:
        case str(), str() if len(old) + len(new) < LONGEST and (pieces := _words(old, new)):
            return Change(key=key, kind="text", pieces=pieces)
        case dict(), dict() if old:
            names = [each for each in {**old, **new} if old.get(each) != new.get(each)]
            inner = tuple(_change(str(each), old.get(each), new.get(each)) for each in names)
            return Change(key=key, kind="mapping", inner=inner)
        case None | list(), list() if len(new) + len(old or ()) < LONGEST:
            return Change(key=key, kind="list", pieces=_first(_items(old or [], new)))
        case _:
            return Change(key=key, kind="value", old=_or_nothing(old), new=_or_nothing(new))


def _words(old: str, new: str) -> list[Piece]:
    """Return the pieces of two texts; none where they have too little in common to be read as one."""
    parts = _parts(old, new) if len(old) + len(new) < SHORT else list(_by_sentence(old, new))
    same = sum(len(a) for a, b in parts if a == b)
    if 2 * same < ALIKE * (len(old) + len(new)):
        return []
    return list(_told(_joined(parts)))


def _by_sentence(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield what two long texts have, sentence by sentence, and word by word in those that were changed.

    Comparing all words of both would take seconds.
    """
    a, b = _SENTENCES.findall(old), _SENTENCES.findall(new)
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, a, b).get_opcodes():
        if tag == "replace" and a1 - a0 == b1 - b0:
            for before, after in zip(a[a0:a1], b[b0:b1], strict=True):
                yield from _of_sentence(before, after)
        else:
            yield "".join(a[a0:a1]), "".join(b[b0:b1])


def _of_sentence(old: str, new: str) -> list[tuple[str, str]]:
    if len(old) + len(new) >= SHORT:
        return [(old, new)]
    parts = _parts(old, new)
    same = sum(len(a) for a, b in parts if a == b)
    return parts if 2 * same >= ALIKE * (len(old) + len(new)) else [(old, new)]


def _parts(old: str, new: str) -> list[tuple[str, str]]:
    """Return what two texts have, word by word."""
    a, b = _WORDS.findall(old), _WORDS.findall(new)
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [("".join(a[a0:a1]), "".join(b[b0:b1])) for _, a0, a1, b0, b1 in codes]


def _joined(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return parts in which a space or a stop between two changes is of the change."""
    parts: list[tuple[str, str]] = []
    for number, (old, new) in enumerate(found):
        between = old == new and 0 < number < len(found) - 1 and len(old) < WORD
        last = parts[-1] if parts else ("", "")
        alike = (last[0] == last[1]) == (old == new)
        if parts and (between or alike):
            parts[-1] = (last[0] + old, last[1] + new)
        else:
            parts.append((old, new))
    return parts


def _told(parts: Sequence[tuple[str, str]]) -> Iterator[Piece]:
    for number, (old, new) in enumerate(parts):
        if old == new:
            yield from _around(old, number == 0, number == len(parts) - 1)
            continue
        if old:
            yield Piece(op="drop", text=old)
        if new:
            yield Piece(op="add", text=new)


def _around(text: str, first: bool, last: bool) -> Iterator[Piece]:
    """Yield what is the same beside a change, without its middle."""
    head, tail = ("" if first else text[:KEPT]), ("" if last else text[-KEPT:])
    if len(head) + len(tail) >= len(text):
        yield Piece(op="same", text=text)
        return
    if head:
        yield Piece(op="same", text=head)
    yield Piece(op="gap", text=f"{len(text) - len(head) - len(tail):,} characters")
    if tail:
        yield Piece(op="same", text=tail)


def _first(pieces: Iterator[Piece]) -> tuple[Piece, ...]:
    """Return the first pieces, and how many more there are."""
    found = tuple(pieces)
    more = len(found) - MOST
    return found if more <= 0 else (*found[:MOST], Piece(op="gap", text=f"{more:,} more"))


def _items(old: Sequence[Any], new: Sequence[Any]) -> Iterator[Piece]:  # JSON
    a, b = [_named(each) for each in old], [_named(each) for each in new]
    found = list(
        SequenceMatcher(None, a, b).get_opcodes()
    )  # what stands there again and again is not matched
    for number, (tag, a0, a1, b0, b1) in enumerate(found):
        if tag == "equal":
            yield from _same_items(old[a0:a1], number == 0, number == len(found) - 1)
        elif tag == "replace" and a1 - a0 == b1 - b0:
            for n in range(a1 - a0):
                yield Piece(op="same", inner=_change("", old[a0 + n], new[b0 + n]))
        else:
            yield from (Piece(op="drop", text=shown(each)) for each in old[a0:a1])
            yield from (Piece(op="add", text=shown(each)) for each in new[b0:b1])


def _same_items(items: Sequence[Any], first: bool, last: bool) -> Iterator[Piece]:  # JSON
    head = [] if first else list(items[:ITEMS_KEPT])
    rest = items[len(head) :]
    tail = [] if last else list(rest[-ITEMS_KEPT:])
    between = len(rest) - len(tail)
    yield from (Piece(op="same", text=clipped(shown(each))) for each in head)
    if between:
        yield Piece(op="gap", text=f"{between:,} unchanged")
    yield from (Piece(op="same", text=clipped(shown(each))) for each in tail)


def _named(item: Any) -> str:  # JSON
    return json.dumps(item, sort_keys=True)


def _or_nothing(value: Any) -> str | None:  # JSON
    return None if value is None else shown(value)
