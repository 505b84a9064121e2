"""Whether a quotation stands in a text, word for word, however the two were typeset.

White space, hyphens at the end of a line, ligatures, the shape of quotation marks and characters
without width are typesetting. The rest is the author's, letter case and other hyphens too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import normalize

_WITHOUT_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_DOUBLE_QUOTES = dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f"), '"')
_SINGLE_QUOTES = dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b"), "'")
_LIGATURES = {code: normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_HYPHENS = {0x2010: "-", 0x2011: "-"}
_ELLIPSIS = {0x2026: "..."}
_TYPESET = _WITHOUT_WIDTH | _DOUBLE_QUOTES | _SINGLE_QUOTES | _LIGATURES | _HYPHENS | _ELLIPSIS
_SOFT_HYPHEN = re.compile("\u00ad\\s*")
_SPACE = re.compile(r"\s+")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(\s?)(?=[^\W_])|(?<=\d)-(\s?)(?=[^\W\d_])")


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text without its typesetting.

    Attributes:
        key: its characters, but for hyphens between letters.
        hyphens: where in `key` one of those stood, and the white space that followed it.
    """

    key: str
    hyphens: dict[int, str]


def stands_in(quote: str, text: str) -> bool:
    """Say whether the quotation stands in the text."""
    if not any(map(str.isalnum, quote)):
        return False
    if quote.strip() in text:
        return True
    wanted, given = _fold(quote.strip(" \t\n\r\f\v-\u2010\u2011\u00ad")), _fold(text)
    return any(_same_hyphens(wanted, given, at) for at in _places(wanted.key, given.key))


def one_line(text: str) -> str:
    """Return the text with each run of white space as one space."""
    return " ".join(text.split())


def _fold(text: str) -> _Folded:
    text = normalize("NFC", _SOFT_HYPHEN.sub("", text)).translate(_TYPESET)
    text = _SPACE.sub(lambda run: "\n" if "\n" in run[0] else " ", text)
    parts: list[str] = []
    hyphens: dict[int, str] = {}
    length = done = 0
    for found in _HYPHEN.finditer(text):
        parts.append(text[done : found.start()])
        length += len(parts[-1])
        hyphens[length] = found[1] or found[2] or ""
        done = found.end()
    return _Folded("".join((*parts, text[done:])).replace("\n", " "), hyphens)


def _places(wanted: str, given: str) -> Iterator[int]:
    at = given.find(wanted) if wanted else -1
    while at >= 0:
        yield at
        at = given.find(wanted, at + 1)


def _same_hyphens(wanted: _Folded, given: _Folded, at: int) -> bool:
    """Compare the hyphens inside the quotation; one at the end of a line may be there or not."""
    inside = {
        place - at: space
        for place, space in given.hyphens.items()
        if at < place < at + len(wanted.key)
    }
    required = {place: space for place, space in inside.items() if space != "\n"}
    return wanted.hyphens.keys() <= inside.keys() and all(
        wanted.hyphens.get(place, "none").replace("\n", " ") == space
        for place, space in required.items()
    )
