"""Turn the bytes of a source into a document: extracted text, title, page starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from interlock.core.corpus import Document
from interlock.core.documents import media as kinds
from interlock.core.documents.limits import LIMITS, Limits
from interlock.core.documents.structure import blocks
from interlock.errors import SourceError

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_TITLE_SEARCHED = 20_000


class Unreadable(SourceError):
    """A source cannot be read; the message says why in plain words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What a reader found; `pages` are joined by the caller, so that their starts are known."""

    pages: tuple[str, ...]
    title: str = ""
    paged: bool = False


Reader = Callable[[bytes, Limits], Extracted]


def read(source: str, data: bytes, media: str, limits: Limits = LIMITS) -> Document:
    """Read one source; what is returned can be stored anywhere (no NUL, no lone surrogates).

    Raises:
        Unreadable: it is broken, encrypted, binary, empty or over a limit.
    """
    extracted = _extract(data, media, limits)
    pages = [clean(page) for page in extracted.pages]
    text = "\n\n".join(pages)
    if len(text) > limits.characters:
        raise Unreadable(f"its text is over the limit of {limits.characters:,} characters")
    if not text.strip():
        raise Unreadable(_EMPTY.get(media, "it holds no text"))
    return Document(
        id=document_id(source, data),
        source=source,
        title=_title(text, media, extracted.title, source),
        media=media,
        text=text,
        page_starts=_starts(pages) if extracted.paged else (),
    )


def document_id(source: str, data: bytes) -> str:
    """Return the name of a document: of the same source with the same bytes it is the same."""
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(data)
    return digest.hexdigest()[:16]


def decode(data: bytes) -> str:
    """Decode text by its byte order mark, as UTF-8, or else as Latin-1, which takes any bytes.

    Raises:
        Unreadable: it holds NUL bytes, as text does not.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if b"\0" in data:
        raise Unreadable("it is binary, not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def clean(text: str) -> str:
    """Take out what databases refuse, and make every line end alike."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _extract(data: bytes, media: str, limits: Limits) -> Extracted:
    try:
        return _reader(media)(data, limits)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # a parser may raise anything on input made to break it
        name = type(error).__name__
        raise Unreadable(f"it is broken: {str(error)[:200] or name}") from error


def _reader(media: str) -> Reader:
    """Return the reader of a medium; each imports its library when it is first used."""
    match media:
        case kinds.PDF:
            from interlock.core.documents.pdf import read_pdf

            return read_pdf
        case kinds.WORD:
            from interlock.core.documents.word import read_word

            return read_word
        case kinds.HTML:
            from interlock.core.documents.html import read_html

            return read_html
        case kinds.NOTEBOOK:
            from interlock.core.documents.notebook import read_notebook

            return read_notebook
        case _:
            return _read_text


def _read_text(data: bytes, _limits: Limits) -> Extracted:
    return Extracted(pages=(decode(data),))


def _starts(pages: list[str]) -> tuple[int, ...]:
    starts, offset = [], 0
    for page in pages:
        starts.append(offset)
        offset += len(page) + len("\n\n")
    return tuple(starts)


def _title(text: str, media: str, metadata: str, source: str) -> str:
    """Return the first of the highest headings, the metadata's title, or the file's name."""
    found = _front_title(text) if media == kinds.MARKDOWN else ""
    if not found and media not in {kinds.CODE, kinds.DATA, kinds.PDF}:
        found = _first_heading(text[:_TITLE_SEARCHED], media)
    title = found or " ".join(clean(metadata).split())[:200]
    return title or PurePosixPath(source.rstrip("/")).name or source


def _first_heading(text: str, media: str) -> str:
    headings = [block for block in blocks(text, media) if block.kind == "heading"]
    return min(headings, key=lambda block: block.level).heading if headings else ""


def _front_title(text: str) -> str:
    front = re.match(r"---\n(.*?)\n---\s*\n", text[:_TITLE_SEARCHED], re.DOTALL)
    title = re.search(r"^title:\s*(.+)$", front[1], re.MULTILINE) if front else None
    return title[1].strip().strip("\"'")[:200] if title else ""


_EMPTY: Mapping[str, str] = {
    kinds.PDF: "it holds no text; if its pages are scans, run text recognition on it first"
}
