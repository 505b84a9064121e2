"""Read Word documents with python-docx: paragraphs, headings and tables in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

from interlock.core.documents.limits import Limits
from interlock.core.documents.reading import Extracted, Unreadable

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.table import Table
    from docx.text.paragraph import Paragraph

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)


def read_word(data: bytes, limits: Limits) -> Extracted:
    """Extract the text; headings and tables are written as in Markdown.

    Raises:
        Unreadable: it is no Word document, encrypted, or unpacks to more than the limit.
    """
    _refuse_bombs(data, limits)
    import docx

    document = docx.Document(BytesIO(data))
    return Extracted(
        pages=("\n\n".join(_parts(document)),), title=document.core_properties.title or ""
    )


def _refuse_bombs(data: bytes, limits: Limits) -> None:
    """Add up what the archive says that it unpacks to; zipfile reads no more than it says."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except BadZipFile as error:
        raise Unreadable("it is not a Word document, or it is encrypted") from error
    if unpacked > limits.unpacked_bytes:
        size, limit = unpacked / 1e6, limits.unpacked_bytes / 1e6
        raise Unreadable(f"it unpacks to {size:,.1f} MB, over the limit of {limit:,.1f} MB")


def _parts(document: WordDocument) -> Iterator[str]:
    from docx.table import Table

    for part in document.iter_inner_content():
        text = _table(part) if isinstance(part, Table) else _paragraph(part)
        if text.strip():
            yield text


def _paragraph(paragraph: Paragraph) -> str:
    style = paragraph.style.name if paragraph.style else ""
    if style == "Title":
        return f"# {paragraph.text}"
    heading = _HEADING.match(style or "")
    return f"{'#' * int(heading[1])} {paragraph.text}" if heading else paragraph.text


def _table(table: Table) -> str:
    return "\n".join(
        "| " + " | ".join(" ".join(cell.text.split()) for cell in row.cells) + " |"
        for row in table.rows
    )
