"""Say where in a document something stands."""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

from interlock.core.corpus import Document, Location


class Locator:
    """Turns offsets of one document into lines, or into pages where it has pages."""

    def __init__(self, document: Document) -> None:
        self._kind: Literal["line", "page"] = "page" if document.page_starts else "line"
        self._starts = document.page_starts or _line_starts(document.text)

    def locate(self, start: int, end: int) -> Location:
        """Return where `text[start:end]` stands, from its first to its last character."""
        first, last = self._number(start), self._number(max(start, end - 1))
        return Location(kind=self._kind, first=first, last=last)

    def _number(self, offset: int) -> int:
        return max(1, bisect_right(self._starts, offset))


def locate(document: Document, start: int, end: int) -> Location:
    """Return where `document.text[start:end]` stands; for many places keep a `Locator`."""
    return Locator(document).locate(start, end)


def _line_starts(text: str) -> tuple[int, ...]:
    starts = [0]
    while (found := text.find("\n", starts[-1])) >= 0:
        starts.append(found + 1)
    return tuple(starts)
