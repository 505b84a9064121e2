"""Whole sentences of prose, cut out of passages word for word; code, tables and fragments stay behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from nodes.research.offline.terms import stems
from nodes.research.verbatim import one_line

SHORTEST, LONGEST = 4, 60
"""How many words a sentence has that is worth quoting."""

_BLANK = re.compile(r"\n[ \t]*\n")
_MARK = re.compile(r"[ \t]*(?:[-*+\u2022]|\(?\d{1,3}[.)]|\(?[a-z][.)]|>)[ \t]+")
_ITEM = re.compile(rf"\n(?={_MARK.pattern})")
_END = re.compile(
    r"[.!?][\"'\u201d\u2019)*\]`]*(?=\s+[\"'\u201c\u2018(*`\[]*[A-Z0-9_\u00c0-\u00de])|$"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|No|Fig|Sec|Ch|Dr|Mr|Mrs|Ms|St|approx|resp|al)|\b[A-Z])\.$"
)
_CODE = re.compile(
    r"^\s*(?:>>>|\.\.\.\s|\$\s|#!|@\w|//|/\*|<\w+[ >]|(?:def|class|import|from|return|raise|print)\b.*[\w)(:]$"
    r"|(?:if|for|while|with|try|else|elif|except|finally|async)\b.*:$|\w[\w.\[\], ]*\s*[-+*/|&]?=\s*\S"
    r"|[\w.]+\(.*\)$|[A-Z]+$)|::=|[{};]\s*$"
)
_TABLE = re.compile(r"^\s*[|+]|\S {3,}\S.* {3,}\S|^\s*[-=+|: ]{6,}$")
_UNDERLINE = re.compile(r"^\s*([^\w\s])\1{2,}\s*$")
_STARTS = re.compile(r"[\"'\u201c\u2018(*`\[]*[A-Z_\u00c0-\u00de\"\u201c`]")
_DANGLING = re.compile(
    r"[*_(\"'\u201c]*(?:(?:this|that|these|those|it|its|they|their|them|such|otherwise|thus|therefore|hence|however"
    r"|moreover|furthermore|also|then|here|similarly|likewise|again|instead|consequently|conversely"
    r"|nevertheless|but|and|so|both|neither|either|still|additionally|finally|next|previously|formerly|yes|no)\b"
    r"|(?:in|for|with|by|of|at|on|to|from|after|before|because of) (?:this|that|these|those|such|it)\b"
    r"|(?:in (?:the (?:first|second|latter|former)|other words|addition|particular|either)|for (?:example"
    r"|instance)|as (?:a result|above|before|such)|on the other hand|the (?:former|latter|above|following"
    r"|same|result|first|second|third|other|previous|next)|if (?:so|not|this|that|it|they))\b)",
    re.IGNORECASE,
)
_POINTING = re.compile(
    r"\(?(?:See|Refer to|Compare|Cf|(?:For )?(?:more|further|additional|other|a full|a complete)"
    r"\b.*\b(?:see|refer to|found (?:in|at)))\b",
    re.IGNORECASE,
)
_HISTORY = re.compile(r"(?:Added|Changed|Deprecated|New|Removed) (?:in|since)\b|PEP \d+\b")
_ENTRY = re.compile(r"[\"\u201c`][^\"\u201d`]+[\"\u201d`]\)?\s+[A-Z][a-z]")
_CLIPPED = re.compile(
    r"\(|(?:Called|Can|Could|Cannot|Equivalent|Evaluates?|Like|Only|Performs?|Prints?|Raises?|Returns?|Same"
    r"|Sets?|Should|Suspends?|Used|Useful|Will)\b|(?:\w+ ){1,3}detail:"
)
_EMPHASIS = re.compile(r"(?<![\w*])(\*\*|\*)(?=[^\s*])([^*]*[^\s*])\1(?![\w*])")
_CLOSING = "\"'\u201d\u2019)*]`"
_AROUND = _CLOSING + "\u201c\u2018(_.,;:["


@dataclass(frozen=True)
class Cut:
    """Sentences of a text that follow each other: `text[start:end]`."""

    text: str
    start: int
    end: int

    @property
    def quote(self) -> str:
        """The words as they stand in the source."""
        return self.text[self.start : self.end]

    @cached_property
    def line(self) -> str:
        """The words on one line."""
        return plain(self.quote)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of its content words."""
        return stems(self.quote)

    @property
    def dangling(self) -> bool:
        """Whether it begins with a word that points to what was said before."""
        return dangling(self.line) is not None

    @property
    def clipped(self) -> bool:
        """Whether it lacks its subject, as entries of a reference do, or is a remark in brackets."""
        return bool(_CLIPPED.match(self.line))


def cuts(text: str) -> list[Cut]:
    """Return what can be quoted: whole sentences, each with the ones before it that it points to."""
    return [cut for start, end in _paragraphs(text) for cut in _sentences(text, start, end)]


def plain(text: str) -> str:
    """Return a quotation as a sentence of a report: on one line, without marks of emphasis."""
    joined = re.sub(r"(?<=[^\W\d_])-\n\s*(?=[^\W\d_])", "-", text)
    return _EMPHASIS.sub(r"\2", one_line(joined))


def dangling(sentence: str) -> str | None:
    """Return the words by which a sentence points to what was said before it, or None."""
    found = _DANGLING.match(sentence)
    return found[0].lstrip("*_(\"'\u201c") if found else None


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for gap in (*_BLANK.finditer(text), None):
        end = gap.start() if gap else len(text)
        yield from _items(text, at, end)
        at = gap.end() if gap else end


def _items(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a paragraph where the items of a list begin, and leave its marks out."""
    bounds = [start, *(found.end() for found in _ITEM.finditer(text, start, end)), end]
    for first, last in pairwise(bounds):
        mark = _MARK.match(text, first, last)
        begin = mark.end() if mark else first
        if text[begin:last].strip() and not _is_no_prose(text[begin:last]):
            yield begin, last


def _is_no_prose(paragraph: str) -> bool:
    lines = [line for line in paragraph.split("\n") if line.strip()]
    odd = sum(bool(_CODE.search(line) or _TABLE.search(line)) for line in lines)
    headed = paragraph.lstrip().startswith("#") or any(map(_UNDERLINE.match, lines))
    return headed or 3 * odd > len(lines)


def _sentences(text: str, start: int, end: int) -> Iterator[Cut]:
    spans = list(_spans(text, start, end))
    for number, (first, last) in enumerate(spans):
        cut = Cut(text, first, last)
        if not _whole(cut):
            continue
        if not cut.dangling:
            yield cut
        elif led := _led(text, spans[: number + 1]):
            yield led


def _led(text: str, spans: list[tuple[int, int]]) -> Cut | None:
    """Take up to two sentences before a dangling one along, so that it can be understood."""
    last = spans[-1][1]
    for first, end in reversed(spans[-3:-1]):
        before = Cut(text, first, end)
        if not _whole(before):
            return None
        if not before.dangling:
            led = Cut(text, first, last)
            return led if len(led.line.split()) <= 1.5 * LONGEST else None
    return None


def _spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    paragraph = text[start:end]
    at = 0
    for found in _END.finditer(paragraph):
        if _ABBREVIATION.search(paragraph[at : found.end()]):
            continue
        piece = paragraph[at : found.end()]
        lead = len(piece) - len(piece.lstrip())
        if piece.strip():
            yield start + at + lead, start + at + len(piece.rstrip())
        at = found.end()


def _whole(cut: Cut) -> bool:
    """Say whether this is a complete sentence of prose."""
    line = cut.line
    words = line.split()
    wordlike = sum(word.strip(_AROUND).isalpha() for word in words)
    return (
        SHORTEST <= len(words) <= LONGEST
        and not _POINTING.match(line)
        and not _HISTORY.match(line)
        and not _ENTRY.match(line)
        and bool(_STARTS.match(line))
        and line.rstrip(_CLOSING).endswith((".", "!", "?"))
        and wordlike >= 0.6 * len(words)
        and line.count("(") == line.count(")")
        and line.count('"') % 2 == 0
        and line.count("“") == line.count("”")
    )
