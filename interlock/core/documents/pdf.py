"""Read PDF with pypdf: the text of each page."""

from __future__ import annotations

import logging
import time
from io import BytesIO
from typing import TYPE_CHECKING

from interlock.core.documents.limits import Limits
from interlock.core.documents.reading import Extracted, Unreadable

if TYPE_CHECKING:
    from pypdf import PdfReader

_NO_TITLE = ("untitled", "microsoft word", "microsoft powerpoint", "layout 1", "document")


def read_pdf(data: bytes, limits: Limits) -> Extracted:
    """Extract the text of each page.

    Raises:
        Unreadable: it is encrypted, has too many pages, or takes too long.
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(BytesIO(data))
        _refuse_locked(reader)
        return Extracted(pages=_pages(reader, limits), title=_title(reader), paged=True)
    except PyPdfError as error:
        raise Unreadable(f"the PDF is broken: {error}") from error


def _refuse_locked(reader: PdfReader) -> None:
    """Refuse a PDF that needs a password; many are encrypted with an empty one."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("the PDF is encrypted; save it without a password")


def _pages(reader: PdfReader, limits: Limits) -> tuple[str, ...]:
    count = len(reader.pages)
    if count > limits.pages:
        raise Unreadable(f"it has {count:,} pages, over the limit of {limits.pages:,}")
    deadline = time.monotonic() + limits.seconds
    pages, characters = [], 0
    for page in reader.pages:
        pages.append(page.extract_text())
        characters += len(pages[-1])
        if characters > limits.characters:
            raise Unreadable(f"its text is over the limit of {limits.characters:,} characters")
        if time.monotonic() > deadline:
            raise Unreadable(f"reading its pages takes longer than {limits.seconds:g} seconds")
    return tuple(pages)


def _title(reader: PdfReader) -> str:
    title = str(reader.metadata.title or "") if reader.metadata else ""
    return "" if title.strip().lower().startswith(_NO_TITLE) else title
