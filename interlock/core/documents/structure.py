"""The parts that a text is built of: headings, prose, and what must be kept line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from interlock.core.documents.media import CODE, DATA, HTML, MARKDOWN, NOTEBOOK, PLAIN, RST, WORD

Kind = Literal["heading", "prose", "verbatim"]

_MARKDOWN_LIKE = frozenset({MARKDOWN, HTML, NOTEBOOK, WORD})
_UNDERLINES = {MARKDOWN: "=-", NOTEBOOK: "=-", PLAIN: "=-~*#^", RST: "=-~*#^\"'`.+:_"}
_VERBATIM = frozenset({CODE, DATA})
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_HASHES = re.compile(r"(#{1,6})\s+(\S.*?)\s*#*\s*$")
_RULE = re.compile(r"([^\w\s])\1{2,}\s*$")
_TABLE = re.compile(r"\s*[|+]")
_DEFINITION = re.compile(
    r"(?:(?:export|default|pub|public|private|static|abstract|final|async)\s+)*"
    r"(?:def|class|function|func|fn|struct|enum|trait|interface|impl|module|namespace|create)\s+\w"
)
_EMPHASIS = re.compile(r"[*`]+(?=\S)|(?<=\S)[*`]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a text, `text[start:end]`, without blank lines around it.

    Attributes:
        heading: the words of a heading, or those by which a definition heads a section of code.
        level: how deep that heading is, from 1; 0 for what heads nothing.
    """

    kind: Kind
    start: int
    end: int
    heading: str = ""
    level: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str

    @property
    def blank(self) -> bool:
        return not self.text.strip()

    @property
    def indented(self) -> bool:
        return self.text.startswith(("    ", "\t"))


def blocks(text: str, media: str) -> list[Block]:
    """Cut a text into blocks; nothing but white space lies between them."""
    return list(_Parser(text, media).parse())


class _Parser:
    """One pass over the lines."""

    def __init__(self, text: str, media: str) -> None:
        self._lines = list(_lines(text))
        self._media = media
        self._underlines = ["=", "-"] if media in _MARKDOWN_LIKE else []
        self._at = 0

    def parse(self) -> Iterator[Block]:
        if front := self._front_matter():
            yield self._take("verbatim", front)
        while self._at < len(self._lines):
            if self._lines[self._at].blank:
                self._at += 1
            else:
                yield self._heading() or self._body()

    def _front_matter(self) -> int:
        """Count the lines of YAML between two rules at the top of a Markdown file."""
        if self._media != MARKDOWN or not self._lines or self._lines[0].text.strip() != "---":
            return 0
        for at, line in enumerate(self._lines[1:200], start=1):
            if line.text.strip() == "---":
                return at + 1
        return 0

    def _heading(self) -> Block | None:
        line = self._lines[self._at].text
        if self._media in _MARKDOWN_LIKE and (hashes := _HASHES.match(line)):
            return self._take("heading", 1, hashes[2], len(hashes[1]))
        if self._underlined(self._at):
            level = self._level(self._lines[self._at + 1].text[0])
            return self._take("heading", 2, line, level)
        if self._overlined():
            title = self._lines[self._at + 1].text
            return self._take("heading", 3, title, self._level(line[0] * 2))
        return None

    def _underlined(self, at: int) -> bool:
        marks = _UNDERLINES.get(self._media, "")
        if not marks or at + 1 >= len(self._lines):
            return False
        line, under = self._lines[at], self._lines[at + 1].text
        return (
            under[:1] in marks
            and bool(_RULE.match(under))
            and any(character.isalnum() for character in line.text)
            and not line.indented
            and len(line.text.rstrip()) <= len(under.rstrip()) + 3
        )

    def _overlined(self) -> bool:
        line = self._lines[self._at].text.rstrip()
        return (
            self._media not in _MARKDOWN_LIKE
            and bool(_RULE.match(line))
            and self._at + 2 < len(self._lines)
            and self._lines[self._at + 2].text.rstrip() == line
            and self._underlined(self._at + 1)
        )

    def _level(self, mark: str) -> int:
        """Order underlines by their first appearance, as reStructuredText does."""
        if mark not in self._underlines:
            self._underlines.append(mark)
        return self._underlines.index(mark) + 1

    def _body(self) -> Block:
        first = self._lines[self._at]
        if self._media == CODE and _DEFINITION.match(first.text):
            return self._take("verbatim", self._paragraph(), first.text.rstrip(" {:"), 1)
        if self._media not in _VERBATIM and (fence := _FENCE.match(first.text)):
            return self._take("verbatim", self._fenced(fence[1]))
        verbatim = self._media in _VERBATIM or first.indented or bool(_TABLE.match(first.text))
        return self._take("verbatim" if verbatim else "prose", self._paragraph())

    def _paragraph(self) -> int:
        """Count the lines up to a blank one, a heading or a fence."""
        count = 1
        while self._at + count < len(self._lines) and not self._ends(self._at + count):
            count += 1
        return count

    def _ends(self, at: int) -> bool:
        line = self._lines[at]
        if line.blank:
            return True
        if self._media == CODE:
            return bool(_DEFINITION.match(line.text))
        markdown = self._media in _MARKDOWN_LIKE
        return markdown and bool(_HASHES.match(line.text) or _FENCE.match(line.text))

    def _fenced(self, fence: str) -> int:
        """Count the lines up to the closing fence; an open one fences nothing."""
        for at in range(self._at + 1, len(self._lines)):
            closing = self._lines[at].text.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                return at - self._at + 1
        return self._paragraph()

    def _take(self, kind: Kind, count: int, heading: str = "", level: int = 0) -> Block:
        first, last = self._lines[self._at], self._lines[self._at + count - 1]
        self._at += count
        indent = 0 if kind == "verbatim" else len(first.text) - len(first.text.lstrip())
        return Block(
            kind=kind,
            start=first.start + indent,
            end=last.start + len(last.text.rstrip()),
            heading=plain(heading),
            level=level,
        )


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for line in text.split("\n"):
        yield _Line(start, line)
        start += len(line) + 1


def plain(heading: str) -> str:
    """Strip the marks of emphasis from a heading."""
    return _EMPHASIS.sub("", heading).strip()[:200]
