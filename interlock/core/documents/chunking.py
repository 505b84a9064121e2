"""Cut a document into passages along its own structure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from interlock.core.corpus import Document, Location
from interlock.core.documents.locating import Locator
from interlock.core.documents.structure import Block, blocks

TARGET = 600
LONGEST = 1_200
_LONGEST_WORD = 2 * LONGEST
_REST = 200
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s)")
_HEADINGS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage before it is indexed: `document.text[start:end]`, below its heading."""

    start: int
    end: int
    heading: str
    location: Location


def chunks(document: Document) -> list[Chunk]:
    """Cut a document into passages of about 600 to 1,200 characters.

    A passage never crosses a heading and never splits a word, other than a run of more than 2,400
    characters without white space. A heading goes along in `heading`, with those above it; one with
    nothing below it is a passage itself.
    """
    locator = Locator(document)
    return [
        Chunk(start=start, end=end, heading=heading, location=locator.locate(start, end))
        for heading, pieces in _sections(document)
        for start, end in _packed(document.text, pieces)
    ]


def _sections(document: Document) -> Iterator[tuple[str, list[Block]]]:
    """Yield the headings above each section and the blocks below it."""
    above: list[Block] = []
    body: list[Block] = []
    for block in blocks(document.text, document.media):
        if block.level:
            yield from _closed(document.title, above, body, block.level)
            above = [heading for heading in above if heading.level < block.level] + [block]
            body = []
        if block.kind != "heading":
            body.append(block)
    yield from _closed(document.title, above, body, 0)


def _closed(
    title: str, above: list[Block], body: list[Block], next_level: int
) -> Iterator[tuple[str, list[Block]]]:
    if body:
        yield _trail(above, title), body
    elif above and next_level <= above[-1].level:
        yield _trail(above[:-1], title), [above[-1]]


def _trail(above: list[Block], title: str) -> str:
    """Join the headings above a passage; the document's title says nothing new."""
    headings = [block.heading for block in above]
    shown = [heading for heading in headings if heading != title] or headings
    return " > ".join(shown[-_HEADINGS_SHOWN:])


def _packed(text: str, body: list[Block]) -> Iterator[tuple[int, int]]:
    """Fill passages with whole pieces; a short rest joins the passage before it where it fits."""
    packs: list[tuple[int, int]] = []
    for start, end in (span for block in body for span in _pieces(text, block)):
        if packs and _joins(packs[-1], end):
            packs[-1] = (packs[-1][0], end)
        else:
            packs.append((start, end))
    yield from packs


def _joins(pack: tuple[int, int], end: int) -> bool:
    length, added = end - pack[0], end - pack[1]
    return length <= LONGEST or (added < _REST and length <= LONGEST + _REST)


def _pieces(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """Cut a block that is too long for one passage: code by lines, prose by sentences."""
    start = block.start
    while block.end - start > LONGEST:
        cut = _cut(text, start, block.end, by_line=block.kind == "verbatim")
        if text[start:cut].strip():
            yield start, start + len(text[start:cut].rstrip())
        start = _next_visible(text, cut, block.end, keep_indent=block.kind == "verbatim")
    if start < block.end:
        yield start, block.end


def _cut(text: str, start: int, end: int, *, by_line: bool) -> int:
    """Return where to cut: the last good place that leaves a passage neither short nor long."""
    low, high = start + TARGET // 2, start + LONGEST
    if by_line and (line := text.rfind("\n", low, high)) > 0:
        return line
    sentences = [found.end() for found in _SENTENCE_END.finditer(text, low, high)]
    if sentences:
        return sentences[-1]
    if (line := text.rfind("\n", low, high)) > 0:
        return line
    return _between_words(text, start, end)


def _between_words(text: str, start: int, end: int) -> int:
    for at in range(start + LONGEST, start, -1):
        if text[at].isspace():
            return at
    for at in range(start + LONGEST, min(end, start + _LONGEST_WORD)):
        if text[at].isspace():
            return at
    return end if end <= start + _LONGEST_WORD else start + LONGEST


def _next_visible(text: str, cut: int, end: int, *, keep_indent: bool) -> int:
    at = cut
    while at < end and text[at].isspace():
        at += 1
    if keep_indent:
        line = text.rfind("\n", cut, at)
        return line + 1 if line >= 0 else at
    return at
