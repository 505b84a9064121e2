"""How much of the outside world one ingestion takes in; everything beyond is skipped and listed."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits on sources, which come from outside and may be made to hurt.

    Attributes:
        file_bytes: a file or a response over this is not read.
        unpacked_bytes: what a compressed document may unpack to.
        characters: what a document's extracted text may have.
        pages: what a paged document may have.
        seconds: how long the pages of one document may take to read.
        files: how many files one ingestion may find.
        listed: how many skipped sources are listed one by one.
        results: how many pages are taken from one answer of a search tool.
        answers_seconds: how long the answers of search tools outlive an ingestion; older ones are
            forgotten when the sources are ingested again, and asked for anew.
    """

    file_bytes: int = 20 * MEGABYTE
    unpacked_bytes: int = 200 * MEGABYTE
    characters: int = 20 * MEGABYTE
    pages: int = 5_000
    seconds: float = 120.0
    files: int = 50_000
    listed: int = 200
    results: int = 8
    answers_seconds: float = 86_400.0


LIMITS = Limits()
